"""Limits on memory and processes, and what the kernel did to keep to them. cgroups(7), versions 1 and 2."""

import contextlib
import errno
import os
import time
from collections.abc import Iterator, Sequence

from mlbloat.runtime.stopping import cleaned_up

_ROOT = "/sys/fs/cgroup"
_REMOVE_SECONDS = 60.0


@contextlib.contextmanager
def limited(name: str, memory_bytes: int, processes: int) -> Iterator[tuple[str, ...]]:
    """Yield directories of control groups with these limits; none where this process may not make them."""
    made: list[str] = []
    with cleaned_up(lambda: _remove(made)):
        with contextlib.suppress(OSError):
            _make(name, memory_bytes, processes, made)
        yield tuple(directory for directory in made if os.path.isdir(directory))


def _make(name: str, memory_bytes: int, processes: int, made: list[str]) -> None:
    if os.path.exists(f"{_ROOT}/cgroup.controllers"):
        wanted = [("", "memory.max", memory_bytes), ("", "pids.max", processes)]
    else:
        wanted = [("/memory", "memory.limit_in_bytes", memory_bytes), ("/pids", "pids.max", processes)]
    for controller, file, value in wanted:
        directory = f"{_ROOT}{controller}/{name}"
        if directory not in made:
            made.append(directory)  # first: nothing may come between making it and knowing of it
            os.mkdir(directory)
        with open(f"{directory}/{file}", "w", encoding="ascii") as stream:
            stream.write(str(value))


def enter(directories: Sequence[str]) -> None:
    """Put this process, and what it will start, under the limits."""
    for directory in directories:
        with open(f"{directory}/cgroup.procs", "w", encoding="ascii") as stream:
            stream.write("0")


def of_process(process: int) -> tuple[str, ...]:
    """Return the directories that may tell about the memory of a process."""
    found = []
    with contextlib.suppress(OSError), open(f"/proc/{process}/cgroup", encoding="utf-8", errors="replace") as stream:
        for line in stream:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if "memory" in controllers.split(",") or not controllers:
                found.append(f"{_ROOT}/memory{path}" if controllers else f"{_ROOT}{path}")
    return tuple(found)


def memory_flags(directories: Sequence[str], memory_bytes: int) -> list[str]:
    """Say when the kernel killed something because the memory was used up."""
    for directory in directories:
        for file in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError), open(f"{directory}/{file}", encoding="ascii") as stream:
                if any(line.split()[0] == "oom_kill" and line.split()[1] != "0" for line in stream):
                    return [killed(memory_bytes)]
    return []


def killed(memory_bytes: int) -> str:
    limit = f"{memory_bytes >> 20} MiB"
    return f"a process of it was killed, because it used more than {limit} of memory; raise `memory`"


def _remove(directories: Sequence[str]) -> None:
    """Remove control groups; the last process in them may take a moment to be gone."""
    deadline = time.monotonic() + _REMOVE_SECONDS
    for directory in directories:
        while True:
            try:
                os.rmdir(directory)
                break
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.ENOTEMPTY) or time.monotonic() > deadline:
                    break
                time.sleep(0.01)
