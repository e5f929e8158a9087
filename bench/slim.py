"""What slimming costs beside running the workload: time and memory, against compressing the kept bytes alone.

The peer reads every file that stays from the unpacked layers and sends it through the same compressor, on as many
cores, and does nothing else: no hashing, no headers, no reading of the original, no comparison. It is shown on one core
as well, as a pipe through gzip would be. The image is looked at once before, so that the cache knows its layers, unless
`--cold` says otherwise.
"""

import argparse
import os
import resource
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mlbloat import __version__, runtime, verify, workload
from mlbloat.cache import Cache, NoCache, open_store
from mlbloat.image import checked_beside, load, squash
from mlbloat.model.filetree import Entry, Kind
from mlbloat.model.image import Image
from mlbloat.model.use import Level
from mlbloat.packages import known_inventory
from mlbloat.slim import Plan, make_plan, parse_method, write
from mlbloat.slim.compress import GZIP, Method
from mlbloat.usage import marking, static
from mlbloat.usage import trace as tracing

_CHUNK_BYTES = 1 << 20

Figures = dict[str, tuple[float, float]]
"""Wall and CPU seconds by stage."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", help="in the forms of docs/images.md")
    parser.add_argument("-w", "--workload", type=Path, required=True)
    parser.add_argument("--profile", type=Path, action="append", default=[], help="recorded before; default: static")
    parser.add_argument("--compression", default="", help="as of mlbloat slim")
    parser.add_argument("--cold", action="store_true", help="nothing is known of the image's layers")


def main(options: argparse.Namespace) -> None:
    method = parse_method(options.compression) or GZIP
    with tempfile.TemporaryDirectory(prefix="mlbloat-bench-") as home, open_store(Path(home), __version__) as cache:
        if not options.cold:
            measure(options, method, cache)
        figures, peers, tar_bytes = measure(options, method, cache)
        _print(options.image, figures, peers, tar_bytes)


def measure(options: argparse.Namespace, method: Method, cache: Cache) -> tuple[Figures, Figures, int]:
    """Slim once; return what it and its peers took, and the size of the layers that are left."""
    asked = workload.load(options.workload)
    commands = tuple(run.run for run in asked.profile if run.run)
    space = Path(tempfile.mkdtemp(prefix="mlbloat-bench-"))
    figures: Figures = {}
    peers: Figures = {}
    for name in ("original", "slim"):
        (space / name).mkdir()
    beside = ExitStack()
    try:
        with _timed(figures, "read the original"):
            image = load(options.image, space / "original", cache=cache, verified=True)
            tree = squash(image)
            beside.enter_context(checked_beside(image))
        with _timed(figures, "read package databases"):
            inventory = known_inventory(tree, cache)
        with _timed(figures, "follow and mark"):
            records = tuple(record for profile in options.profile for record in tracing.load_profile(profile))
            touched = tracing.uses_of(records, tree, image.config)
            uses = static.follow(tree, inventory, image.config, touched, commands, cache)
            marks = marking.mark(tree, inventory, uses, keep=asked.keep, drop=asked.drop, traced=bool(records))
        with _timed(figures, "plan"):
            plan = make_plan(image, tree, marks, Level.SAFE, inventory=inventory)
        with _timed(figures, "write"):
            written = write(image, plan, space / "layout", method=method)
            beside.close()  # so that its processor time is counted
        with _timed(figures, "read the slim image"):
            slim = load(f"oci-dir:{written.directory}", space / "slim", cache=NoCache())
            slim_tree = squash(slim)
        with _timed(figures, "compare"):
            gone = (*plan.removed, *plan.removed_directories)
            rewritten = {path: plan.rewritten[tree[path].inode] for path in plan.cut}
            documents = (image.config.document, slim.config.document)
            differences = verify.compare(tree, slim_tree, *documents, gone, rewritten=rewritten)
        assert not differences, differences
        for cores in sorted({os.cpu_count() or 1, 1}, reverse=True):
            with _timed(peers, f"peer on {cores} core{'s'[: cores - 1]}"):
                _compress(image, plan, method, cores)
        return figures, peers, written.tar_bytes
    finally:
        beside.close()
        runtime.remove_tree(space)


@contextmanager
def _timed(figures: Figures, name: str) -> Iterator[None]:
    wall, cpu = time.monotonic(), _cpu_seconds()
    yield
    figures[name] = (time.monotonic() - wall, _cpu_seconds() - cpu)


def _cpu_seconds() -> float:
    """Of this process and those that it started and that ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _compress(image: Image, plan: Plan, method: Method, cores: int) -> None:
    members = (entry for layer in plan.layers for entry in layer.members)
    with ThreadPoolExecutor(cores) as pool:
        deque(method.compressed(_contents(image, members), pool), 0)


def _contents(image: Image, members: Iterable[Entry]) -> Iterator[bytes]:
    for entry in members:
        if entry.kind is Kind.FILE and entry.member >= 0:
            with image.layers[entry.layer].source.open(entry) as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    yield chunk


def _print(reference: str, figures: Figures, peers: Figures, tar_bytes: int) -> None:
    print(f"{reference}: {tar_bytes / 1e6:.0f} MB of layers are left")
    whole = tuple(sum(each[number] for each in figures.values()) for number in (0, 1))
    for name, (wall, cpu) in (*figures.items(), ("all of it", whole)):
        print(f"  {name:<24}{wall:8.2f} s wall {cpu:8.2f} s CPU")
    for name, (wall, cpu) in peers.items():
        ratios = f"all of it is {whole[0] / wall:.2f} of its wall, {whole[1] / cpu:.2f} of its CPU"
        print(f"  {name:<24}{wall:8.2f} s wall {cpu:8.2f} s CPU   {ratios}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"  peak memory of this process: {peak / 1024:.0f} MiB")
