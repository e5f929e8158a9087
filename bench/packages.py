"""The inventory of an image against asking the image: one container for each package, as MMLB does it.

A container runs `dpkg -L` for one package; a sample of the packages is asked, and the median stands for the others. The
inventory is all packages of all managers at once, from the files.
"""

import argparse
import random
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from bench.measure import spread
from mlbloat.image import load, squash
from mlbloat.packages import take_inventory


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", help="a name in the docker engine, with dpkg in it")
    parser.add_argument("-n", "--runs", type=int, default=5, help="inventories, and packages asked for in containers")


def main(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="mlbloat-bench-") as space:
        tree = squash(load(f"docker:{options.image}", Path(space)))
        names = [package.name for package in take_inventory(tree).packages if package.manager == "apt"]
        asked = random.Random(0).sample(names, min(options.runs, len(names)))
        inventories, processor, containers = [], [], []
        for name in asked:
            before, used = time.perf_counter(), time.process_time()
            inventory = take_inventory(tree)
            inventories.append(time.perf_counter() - before)
            processor.append(time.process_time() - used)
            containers.append(_ask(options.image, name))
    count = len(inventory.packages)
    asking = statistics.median(containers) * count
    print(f"{options.image}: {count} packages, {len(tree)} entries")
    print(f"  inventory of all packages     {spread(inventories)} s, processor {spread(processor)} s")
    print(f"  one container for one package {spread(containers)} s, so {asking:.0f} s for all")
    print(f"  containers / inventory        {asking / statistics.median(inventories):.0f}")


def _ask(image: str, package: str) -> float:
    before = time.perf_counter()
    command = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "dpkg", image, "-L", package]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - before
