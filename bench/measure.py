"""One command as a whole: wall time, processor time and peak memory of all its processes together."""

import os
import statistics
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

_EVERY_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    """Largest sum over its processes of what each has for itself (PSS); at least what the largest one had."""
    output: str


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Measured:
    """Run a command to its end; RuntimeError with its last words when it fails."""
    started = perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    ended, peaks = threading.Event(), [0]
    sampler = threading.Thread(target=_sample, args=(process.pid, ended, peaks))
    sampler.start()
    assert process.stderr is not None
    output = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    sampler.join()
    process.stderr.close()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}: {output[-500:]}")
    return Measured(
        seconds=seconds,
        cpu_seconds=used.ru_utime + used.ru_stime,
        peak_bytes=max(used.ru_maxrss * 1024, *peaks),
        output=output,
    )


def _sample(session: int, ended: threading.Event, peaks: list[int]) -> None:
    while not ended.wait(_EVERY_SECONDS):
        processes = _processes(session)
        if len(processes) > 1:  # of one alone the kernel tells the exact peak in the end
            peaks.append(sum(_own_bytes(process) for process in processes))


def _processes(session: int) -> list[int]:
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                fields = (directory / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it ended
                continue
            if int(fields[3]) == session:
                found.append(int(directory.name))
    return found


def _own_bytes(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def spread(figures: Sequence[float]) -> str:
    """Median, smallest and largest."""
    return f"{statistics.median(figures):.2f} ({min(figures):.2f} to {max(figures):.2f})"
