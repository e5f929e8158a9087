"""What slimming costs beside running the workload: time and memory, against compressing the kept bytes alone.

The peer reads every file that stays from the unpacked layers and sends it through the same compressor, in the same
number of threads, and does nothing else: no hashing, no headers, no reading of the original, no comparison.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from mlbloat import runtime, verify, workload
from mlbloat.cache import NoCache
from mlbloat.image import load, squash
from mlbloat.model.filetree import Entry, Kind
from mlbloat.model.image import Image
from mlbloat.model.use import Level
from mlbloat.packages import take_inventory
from mlbloat.slim import Plan, make_plan, parse_method, write
from mlbloat.slim.compress import GZIP, Method
from mlbloat.usage import marking, static
from mlbloat.usage import trace as tracing

_CHUNK_BYTES = 1 << 20
_THREADS = 2

Figures = dict[str, tuple[float, float]]
"""Wall and CPU seconds by stage."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", help="in the forms of docs/images.md")
    parser.add_argument("-w", "--workload", type=Path, required=True)
    parser.add_argument("--profile", type=Path, action="append", default=[], help="recorded before; default: static")
    parser.add_argument("--compression", default="", help="as of mlbloat slim")


def main(options: argparse.Namespace) -> None:
    measure(options.image, options.workload, options.profile, options.compression)


def measure(reference: str, workload_file: Path, profiles: list[Path], compression: str) -> None:
    asked = workload.load(workload_file)
    commands = tuple(run.run for run in asked.profile if run.run)
    method = parse_method(compression)
    space = Path(tempfile.mkdtemp(prefix="mlbloat-bench-"))
    figures: Figures = {}
    for name in ("original", "slim"):
        (space / name).mkdir()
    try:
        with _timed(figures, "read the original"):
            image = load(reference, space / "original", cache=NoCache())
            tree = squash(image)
        with _timed(figures, "read package databases"):
            inventory = take_inventory(tree)
        with _timed(figures, "follow and mark"):
            records = tuple(record for profile in profiles for record in tracing.load_profile(profile))
            touched = tracing.uses_of(records, tree, image.config)
            uses = static.follow(tree, inventory, image.config, touched, commands)
            marks = marking.mark(tree, inventory, uses, keep=asked.keep, drop=asked.drop, traced=bool(records))
        with _timed(figures, "plan"):
            plan = make_plan(image, tree, marks, Level.SAFE, inventory=inventory)
        with _timed(figures, "write"):
            written = write(image, plan, space / "layout", method=method)
        with _timed(figures, "read the slim image"):
            slim = load(f"oci-dir:{written.directory}", space / "slim", cache=NoCache())
            slim_tree = squash(slim)
        with _timed(figures, "compare"):
            gone = (*plan.removed, *plan.removed_directories)
            rewritten = {path: plan.rewritten[tree[path].inode] for path in plan.cut}
            documents = (image.config.document, slim.config.document)
            differences = verify.compare(tree, slim_tree, *documents, gone, rewritten=rewritten)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert not differences, differences
        _print(reference, figures, _peer(image, plan, method or GZIP), peak, written.tar_bytes)
    finally:
        runtime.remove_tree(space)


@contextmanager
def _timed(figures: Figures, name: str) -> Iterator[None]:
    wall, cpu = time.monotonic(), time.process_time()
    yield
    figures[name] = (time.monotonic() - wall, time.process_time() - cpu)


def _peer(image: Image, plan: Plan, method: Method) -> tuple[float, float]:
    figures: Figures = {}
    with _timed(figures, "peer"), ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(lambda layer: _compress(image, layer.members, method), plan.layers):
            pass
    return figures["peer"]


def _compress(image: Image, members: tuple[Entry, ...], method: Method) -> None:
    compressor = method.start()
    for entry in members:
        if entry.kind is Kind.FILE and entry.member >= 0:
            with image.layers[entry.layer].source.open(entry) as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    compressor.compress(chunk)
    compressor.flush()


def _print(reference: str, figures: Figures, peer: tuple[float, float], peak: int, tar_bytes: int) -> None:
    print(f"{reference}: {tar_bytes / 1e6:.0f} MB of layers are left")
    for name, (wall, cpu) in figures.items():
        print(f"  {name:<24}{wall:8.2f} s wall {cpu:8.2f} s CPU   {cpu / peer[1]:6.2f} x the peer's CPU")
    wall, cpu = (sum(each[number] for each in figures.values()) for number in (0, 1))
    print(f"  {'all of it':<24}{wall:8.2f} s wall {cpu:8.2f} s CPU   {cpu / peer[1]:6.2f} x")
    print(f"  {'peer: compress alone':<24}{peer[0]:8.2f} s wall {peer[1]:8.2f} s CPU   wall ratio {wall / peer[0]:.2f}")
    print(f"  peak memory of this process: {peak / 1024:.0f} MiB")
