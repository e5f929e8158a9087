"""What each keep level is worth: its size, and which runs of a workload pass on an image slimmed at it.

The profile is recorded once, or given. At each level the image is planned, written, read again and run, as `slim` does
it; runs on the original are made once for all levels.
"""

import argparse
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from mlbloat import __version__, metrics, runtime, verify, workload
from mlbloat.cache import Cache, NoCache, open_store, usual_directory
from mlbloat.image import load, squash
from mlbloat.model.container import Outcome
from mlbloat.model.filetree import FileTree
from mlbloat.model.image import Image
from mlbloat.model.report import Verdict
from mlbloat.model.use import Level, RunRecord
from mlbloat.model.workload import Run
from mlbloat.packages import known_inventory
from mlbloat.slim import Method, make_plan, write
from mlbloat.usage import entrypoint, marking, static
from mlbloat.usage import trace as tracing

_LEVELS = {level.label: level for level in Level}
_QUICK = Method("zstd", 1)


@dataclass
class _Side:
    """An image that runs are made on, unpacked when the first one is made."""

    image: Image
    tree: FileTree
    space: Path
    engine: runtime.Engine
    outcomes: dict[Run, Outcome] = field(default_factory=dict)

    @property
    def rootfs(self) -> Path:
        directory = self.space / "rootfs"
        if not directory.exists():
            runtime.unpack(self.tree, directory)
        return directory

    def record(self, run: Run) -> RunRecord:
        made = tracing.trace(run, self.image.config, self.tree, self.rootfs, self.space, self.engine)
        verify.require_expectations(run, made)
        return made

    def run(self, run: Run) -> Outcome:
        if run not in self.outcomes:
            container = runtime.container_of(self.image.config, run, self.tree, self.engine)
            self.outcomes[run] = self.engine.run(container, self.rootfs, self.space)
        return self.outcomes[run]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", help="in the forms of docs/images.md")
    parser.add_argument("-w", "--workload", type=Path, required=True)
    parser.add_argument("--profile", type=Path, action="append", default=[], help="recorded before; default: record it")
    parser.add_argument("--keep", nargs="+", choices=_LEVELS, default=["traced", "linked", "safe"])
    parser.add_argument("--also", nargs="+", metavar="GLOB", default=[], help="try each level with this kept as well")
    parser.add_argument("--engine", default="auto", help="as of mlbloat slim")


def main(options: argparse.Namespace) -> None:
    asked = workload.load(options.workload)
    engine = runtime.choose(options.engine, tracing=not options.profile)
    space = Path(tempfile.mkdtemp(prefix="mlbloat-bench-"))
    try:
        with open_store(usual_directory(), __version__) as cache:
            original = _opened(options.image, space / "original", engine, cache)
            tree, config = original.tree, original.image.config
            records = tuple(record for profile in options.profile for record in tracing.load_profile(profile))
            records = records or tuple(original.record(run) for run in asked.profile)
            inventory = known_inventory(tree, cache)
            touched = (*tracing.uses_of(records, tree, config), *entrypoint.wanted(inventory, asked))
            uses = static.follow(tree, inventory, config, touched, entrypoint.commands_of(config, asked), cache)
        looked = tracing.seen_directories(records, tree)
        print(f"{options.image}: {metrics.size_bytes(tree) / 1e6:.1f} MB", flush=True)
        for level in options.keep:
            tried = None
            for also in ((), tuple(options.also)):
                keep = (*asked.keep, *also)
                marks = marking.mark(tree, inventory, uses, keep=keep, drop=asked.drop, traced=True)
                plan = make_plan(original.image, tree, marks, _LEVELS[level], inventory=inventory, looked=looked)
                if plan.kept == tried:
                    continue
                tried = plan.kept
                written = write(original.image, plan, space / "layout", method=_QUICK)
                slim = _opened(f"oci-dir:{written.directory}", space / "slim", engine, NoCache())
                verdict = verify.verify(asked, original=original.run, slim=slim.run, recorded=records)
                _print(" ".join((level, *also)), metrics.size_bytes(slim.tree), verdict)
                runtime.remove_tree(slim.space)
                runtime.remove_tree(written.directory)
    finally:
        runtime.remove_tree(space)


def _opened(reference: str, space: Path, engine: runtime.Engine, cache: Cache) -> _Side:
    space.mkdir()
    image = load(reference, space, cache=cache, verified=True)
    return _Side(image, squash(image), space, engine)


def _print(kept: str, size_bytes: int, verdict: Verdict) -> None:
    rates = []
    for kind in ("profile", "verify"):
        passed = [run.passed for run in verdict.runs if run.kind == kind]
        rates.append(f"{kind} {sum(passed)} of {len(passed)}")
    print(f"  {kept:<24}{size_bytes / 1e6:10.1f} MB   {'   '.join(rates)}", flush=True)
    for run in verdict.runs:
        for difference in run.differences[:1]:
            print(f"    {run.name}: {difference}", flush=True)
