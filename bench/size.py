"""Time and memory of a scan against the size of the image, and against the limit: decompressing and hashing alone.

A table, and with --plot a picture (SVG).
"""

import argparse
import hashlib
import re
import statistics
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import IO, TypeVar

from isal import igzip_lib

from bench import images, plot
from bench.measure import Measured, measure

_STAGE = re.compile(r"^\s*([0-9.]+) s\s+(.*)$", re.MULTILINE)
_STAGES = (("load", "reading oci"), ("resolve", "reading package"), ("reach", "following"), ("add up", "adding"))

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    name: str
    tar_bytes: int
    limit: dict[str, float]
    """Seconds of one thread that reads, decompresses and hashes, each by itself."""
    scan: Measured
    stages: dict[str, float]

    @property
    def limit_seconds(self) -> float:
        return sum(self.limit.values())


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", help="names in the docker engine, of different sizes")
    parser.add_argument("-n", "--runs", type=int, default=3)
    parser.add_argument("--plot", type=Path, help="write a picture here")


def main(options: argparse.Namespace) -> None:
    rows = sorted((_row(name, options.runs) for name in options.images), key=lambda row: row.tar_bytes)
    print("      GB  peak MB    scan s | read decompress hash = limit s | ", end="")
    print(" ".join(name for name, _ in _STAGES), "| scan / limit")
    for row in rows:
        limit = " ".join(f"{seconds:.2f}" for seconds in row.limit.values())
        stages = " ".join(f"{row.stages.get(name, 0):.2f}" for name, _ in _STAGES)
        print(
            f"{row.tar_bytes / 1e9:8.2f} {row.scan.peak_bytes / 1e6:8.0f} {row.scan.seconds:9.2f} | "
            f"{limit} = {row.limit_seconds:.2f} | {stages} | {row.scan.seconds / row.limit_seconds:.2f}  {row.name}"
        )
    if options.plot:
        sizes = [row.tar_bytes / 1e9 for row in rows]
        lines = {
            "scan, s": [row.scan.seconds for row in rows],
            "decompressing and hashing alone, one thread, s": [row.limit_seconds for row in rows],
            "peak memory of the scan, 10 MB": [row.scan.peak_bytes / 1e7 for row in rows],
        }
        options.plot.write_text(plot.draw(sizes, "GB uncompressed", lines))


def _row(name: str, runs: int) -> _Row:
    with images.forms(name, sources=("oci-archive",)) as forms:
        reference = forms["oci-archive"]
        images.warm(Path(reference.partition(":")[2]))
        limits = [_limit(reference) for _ in range(runs)]
        scans = [_scan(reference) for _ in range(runs)]
    middle = sorted(scans, key=lambda scan: scan.seconds)[len(scans) // 2]
    seconds = {text: float(number) for number, text in _STAGE.findall(middle.output)}
    return _Row(
        name=name,
        tar_bytes=limits[0][0],
        limit={part: statistics.median(limit[part] for _, limit in limits) for part in limits[0][1]},
        scan=middle,
        stages={
            name: sum(value for text, value in seconds.items() if text.startswith(start)) for name, start in _STAGES
        },
    )


def _scan(reference: str) -> Measured:
    with tempfile.TemporaryDirectory(prefix="mlbloat-bench-") as cache:
        command = [sys.executable, "-c", "from mlbloat.cli import main; main()", "scan", "-v", reference, "-o", "json"]
        return measure(command, {"MLBLOAT_CACHE_DIR": cache})


def _limit(reference: str) -> tuple[int, dict[str, float]]:
    """What no reader can do without, in one thread: uncompressed bytes, and seconds by part."""
    clock, total = _Clock(), 0
    with tarfile.open(reference.partition(":")[2]) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name.startswith("blobs/") else None
            if stream is not None and stream.read(2) == b"\x1f\x8b":
                stream.seek(0)
                total += _read(stream, clock)
    return total, clock.seconds


class _Clock:
    def __init__(self) -> None:
        self.seconds = {"read": 0.0, "decompress": 0.0, "hash": 0.0}

    def time(self, part: str, work: Callable[[], _Result]) -> _Result:
        started = perf_counter()
        result = work()
        self.seconds[part] += perf_counter() - started
        return result


def _read(stream: IO[bytes], clock: _Clock) -> int:
    decoder = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    stored, content, total = hashlib.sha256(), hashlib.sha256(), 0
    while not decoder.eof:
        data = clock.time("read", lambda: stream.read(1 << 18))
        clock.time("hash", partial(stored.update, data))
        while True:
            expanded = clock.time("decompress", partial(decoder.decompress, data, max_length=4 << 20))
            clock.time("hash", partial(content.update, expanded))
            total, data = total + len(expanded), b""
            if decoder.needs_input or decoder.eof:
                break
    return total
