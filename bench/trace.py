"""What tracing costs: the profile runs of a workload, untraced and traced in turn, on the same unpacked image."""

import resource
import statistics
import tempfile
from pathlib import Path

from mlbloat import runtime, workload
from mlbloat.image import load, squash
from mlbloat.usage import trace as tracing


def main(reference: str, workload_file: Path, runs: int, engine_name: str) -> None:
    engine = runtime.choose(engine_name, tracing=True)
    asked = workload.load(workload_file)
    space = Path(tempfile.mkdtemp(prefix="mlbloat-bench-"))
    try:
        image = load(reference, space)
        tree = squash(image)
        rootfs = space / "rootfs"
        runtime.unpack(tree, rootfs)
        for run in asked.profile:
            container = runtime.container_of(image.config, run, tree)
            engine.run(container, rootfs, space)  # warms the page cache for both sides
            untraced, traced, accesses = [], [], 0
            for _ in range(runs):
                untraced.append(engine.run(container, rootfs, space).seconds)
                record = tracing.trace(run, image.config, tree, rootfs, space, engine)
                traced.append(record.seconds)
                accesses = len(record.accesses)
            ratios = [after / before for before, after in zip(untraced, traced, strict=True)]
            print(f"{reference} run '{run.name}' under {engine.name}, {runs} runs each, {accesses} accesses recorded")
            print(f"  untraced  {_spread(untraced)} s")
            print(f"  traced    {_spread(traced)} s")
            print(f"  ratio     {_spread(ratios)}")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"  peak memory of this process, tracer included: {peak / 1024:.0f} MiB")
    finally:
        runtime.remove_tree(space)


def _spread(figures: list[float]) -> str:
    return f"{statistics.median(figures):.2f} ({min(figures):.2f} to {max(figures):.2f})"
