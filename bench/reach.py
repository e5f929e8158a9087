"""What following costs: cold, in one process and several, with known facts, with a known answer; against ast.parse."""

import argparse
import ast
import gc
import resource
import statistics
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.trace import DEMO
from mlbloat import runtime
from mlbloat.cache import Cache, NoCache
from mlbloat.image import load, squash
from mlbloat.model.filetree import FileTree
from mlbloat.model.use import Use
from mlbloat.packages import take_inventory
from mlbloat.usage import static


class _Memory:
    """A cache in memory: what a database takes is measured by `scan`."""

    def __init__(self) -> None:
        self.parts: dict[tuple[str, str], dict[int, bytes]] = {}

    def load(self, kind: str, key: str) -> dict[int, bytes]:
        return dict(self.parts.get((kind, key), {}))

    def save(self, kind: str, key: str, parts: Mapping[int, bytes]) -> None:
        self.parts.setdefault((kind, key), {}).update(parts)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="?", default=f"oci-archive:{DEMO / 'demo.oci.tar'}", help="default: the demo")
    parser.add_argument("-n", "--runs", type=int, default=3, help="counted runs of each way")


def main(options: argparse.Namespace) -> None:
    space = Path(tempfile.mkdtemp(prefix="mlbloat-bench-"))
    try:
        image = load(options.image, space)
        tree, config = squash(image), image.config
        inventory, commands = take_inventory(tree), (config.entrypoint + config.command,)

        def follow(cache: Cache, processes: int | None) -> tuple[Use, ...]:
            return static.follow(tree, inventory, config, (), commands, cache, processes)

        _compare(tree, follow, options.runs)
    finally:
        runtime.remove_tree(space)


def _compare(tree: FileTree, follow: Callable[[Cache, int | None], tuple[Use, ...]], runs: int) -> None:
    known = _Memory()
    reached = {use.path for use in follow(known, None)}
    facts = _Memory()
    facts.parts = {key: parts for key, parts in known.parts.items() if not key[0].startswith(static.ANSWERS)}
    sources = [tree.read(tree[path]) for path in sorted(reached) if path.endswith(".py")]
    parsing = _seconds(lambda: _parse(sources), runs)
    size = sum(map(len, sources))
    print(f"{len(reached)} paths reached, {len(sources)} Python files of {size / 1e6:.0f} MB")
    print(f"  ast.parse of these files        {parsing:6.2f} s")
    for name, work in {
        "cold, one process": lambda: follow(NoCache(), 1),
        "cold, as many as processors": lambda: follow(NoCache(), None),
        "facts known": lambda: follow(_copy(facts), 1),
        "answer known": lambda: follow(known, 1),
    }.items():
        seconds = _seconds(work, runs)
        print(f"  {name:31} {seconds:6.2f} s  {seconds / parsing:5.2f} of ast.parse")


def _copy(cache: _Memory) -> _Memory:
    copy = _Memory()
    copy.parts = dict(cache.parts)
    return copy


def _parse(sources: list[bytes]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for source in sources:
            try:
                ast.parse(source)
            except (SyntaxError, ValueError):  # of another version of Python, or a test of a parser
                continue


def _seconds(work: Callable[[], object], runs: int) -> float:
    """Return the median processor time, of this process and of those that it waited for."""
    times = []
    for _ in range(runs):
        gc.collect()
        before = _used()
        work()
        times.append(_used() - before)
    return statistics.median(times)


def _used() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)
