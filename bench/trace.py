"""What tracing costs: the profile runs of a workload, untraced and traced in turn, on the same unpacked image."""

import argparse
import resource
import tempfile
from pathlib import Path

from bench.measure import spread
from mlbloat import runtime, workload
from mlbloat.image import load, squash
from mlbloat.usage import trace as tracing

DEMO = Path(__file__).parents[1] / "fixtures" / "images"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="?", default=f"oci-archive:{DEMO / 'demo.oci.tar'}", help="default: the demo")
    parser.add_argument("-w", "--workload", type=Path, default=DEMO / "demo.yaml")
    parser.add_argument("-n", "--runs", type=int, default=5, help="counted runs of each side")
    parser.add_argument("--engine", default="auto")


def main(options: argparse.Namespace) -> None:
    reference, runs = options.image, options.runs
    engine = runtime.choose(options.engine, tracing=True)
    asked = workload.load(options.workload)
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
            print(f"  untraced  {spread(untraced)} s")
            print(f"  traced    {spread(traced)} s")
            print(f"  ratio     {spread(ratios)}")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"  peak memory of this process, tracer included: {peak / 1024:.0f} MiB")
    finally:
        runtime.remove_tree(space)
