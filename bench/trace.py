"""What tracing costs: the profile runs of a workload, untraced and under each tracer in turn, on the same root."""

import argparse
import multiprocessing
import resource
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.measure import spread
from mlbloat import runtime, workload
from mlbloat.image import load, squash
from mlbloat.model.container import Container
from mlbloat.model.workload import Run
from mlbloat.usage.trace import tracers

DEMO = Path(__file__).parents[1] / "fixtures" / "images"
_UNTRACED = "untraced"


@dataclass(frozen=True, slots=True)
class _Once:
    seconds: float
    """Of the command, without set-up."""
    cpu_seconds: float
    """Of all processes, set-up included."""
    peak_bytes: int
    """Of the process that traces."""
    accesses: int


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="?", default=f"oci-archive:{DEMO / 'demo.oci.tar'}", help="default: the demo")
    parser.add_argument("-w", "--workload", type=Path, default=DEMO / "demo.yaml")
    parser.add_argument("-n", "--runs", type=int, default=5, help="counted runs of each side")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--tracers", nargs="+", default=["auto", "fanotify", "strace"], help="default: %(default)s")
    parser.add_argument("--command", nargs=argparse.REMAINDER, help="run this in place of the workload's runs")


def main(options: argparse.Namespace) -> None:
    engine = runtime.choose(options.engine, tracing=True)
    runs = workload.load(options.workload).profile
    if options.command:
        runs = (Run(name=" ".join(options.command), run=tuple(options.command)),)
    space = Path(tempfile.mkdtemp(prefix="mlbloat-bench-"))
    try:
        image = load(options.image, space)
        tree = squash(image)
        rootfs = space / "rootfs"
        runtime.unpack(tree, rootfs)
        for run in runs:
            container = runtime.container_of(image.config, run, tree, engine)
            print(f"{options.image} run '{run.name}' under {engine.name}, {options.runs} runs each")
            _compare(engine.name, [_UNTRACED, *options.tracers], container, rootfs, options.runs)
    finally:
        runtime.remove_tree(space)


def _compare(engine: str, sides: list[str], container: Container, rootfs: Path, runs: int) -> None:
    measured: dict[str, list[_Once]] = {side: [] for side in sides}
    _apart(engine, _UNTRACED, container, rootfs)  # warms the page cache for all sides
    for _ in range(runs):
        for side in sides:
            measured[side].append(_apart(engine, side, container, rootfs))
    base = measured[_UNTRACED]
    memory = statistics.median(once.peak_bytes for once in base)
    for side, all_of_it in measured.items():
        pairs = list(zip(all_of_it, base, strict=True))
        more = statistics.median(once.peak_bytes for once in all_of_it) - memory
        print(
            f"  {side:9} {spread([once.seconds for once in all_of_it])} s"
            f"  wall {spread([once.seconds / other.seconds for once, other in pairs])}x"
            f"  CPU {spread([once.cpu_seconds / other.cpu_seconds for once, other in pairs])}x"
            f"  memory {memory / (1 << 20):.1f} MiB {more / (1 << 20):+.1f}"
            f"  {all_of_it[-1].accesses} accesses"
        )


def _apart(engine: str, side: str, container: Container, rootfs: Path) -> _Once:
    """Measure in a fresh interpreter, so that its memory is that of tracing, and of nothing before it."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_once, (engine, side, container, rootfs))


def _once(engine: str, side: str, container: Container, rootfs: Path) -> _Once:
    recorder: tracers.Tracing | None = None if side == _UNTRACED else tracers.recorder(tracers.choose(side))
    before = _cpu_seconds()
    outcome = runtime.choose(engine, tracing=True).run(container, rootfs, rootfs.parent, recorder)
    if outcome.exit or outcome.timed_out:
        raise RuntimeError(f"{side}: exit {outcome.exit}: {outcome.stderr[-500:].decode(errors='replace')}")
    return _Once(
        seconds=outcome.seconds,
        cpu_seconds=_cpu_seconds() - before,
        peak_bytes=_peak_bytes(),
        accesses=0 if recorder is None else len(recorder.accesses()),
    )


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _peak_bytes() -> int:
    # Not ru_maxrss: a process inherits that from the one that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
