"""strace(1) of this machine, attached from outside to a process that waits for it. ptrace(2).

It is no process of the container: the image needs no strace, and nothing of strace's own is in what it prints. A
process that is traced waits while strace prints, so what comes through the pipe is complete and in order.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from mlbloat.errors import EngineError
from mlbloat.runtime import kernel
from mlbloat.runtime.program import find

NAME_BYTES = 4096
"""Longest string that is printed whole: PATH_MAX."""

_HOW_TO_GET = "install it (apt-get install strace), or take seccomp"
_ATTACH_SECONDS = 60.0
_END_SECONDS = 20.0


def problem() -> str:
    """Say why it cannot be used here; empty when it can."""
    return "" if find("strace") else f"strace is not installed; {_HOW_TO_GET}"


@dataclass(frozen=True, slots=True)
class Attached:
    """A strace at work. Whoever has it reads `output` to its end, closes it, and finishes."""

    process: int
    threads: tuple[int, ...]
    """Of the process, when strace had attached to all of them."""
    output: int
    """Descriptor of what strace prints."""
    _descriptor: int
    _program: "subprocess.Popen[bytes]"
    _said: BinaryIO

    def finish(self) -> str:
        """Wait for its end, which follows that of the processes; say what went wrong, empty when nothing did.

        When it ended before them, the first of them is killed: what it does from then on is not seen.
        """
        try:
            status = self._program.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            status = _end(self._program)
        try:
            with self._said:
                if status:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        kernel.send_signal(self._descriptor, signal.SIGKILL)
                return _last_words(self._said, status) if status else ""
        finally:
            os.close(self._descriptor)

    def kill(self) -> None:
        """End it: its processes go on untraced, and its output ends."""
        self._program.kill()


def attach(descriptor: int, calls: Iterable[str]) -> Attached:
    """Attach to the process of a pidfd and to all that it will start. EngineError when that cannot be done.

    `calls` are names of system calls; those that this strace does not know are left out.
    """
    program = find("strace")
    if program is None:
        raise EngineError(f"cannot trace: {problem()}")
    process = _process_of(descriptor)
    reading, writing = os.pipe()
    said = tempfile.TemporaryFile()  # noqa: SIM115  closed by `finish`
    running = None
    try:
        running = subprocess.Popen(
            [program, *_options(calls), "-o", f"/proc/self/fd/{writing}", "-p", str(process)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            pass_fds=(writing,),
            start_new_session=True,  # an interrupt of the terminal is for us alone
        )
        os.close(writing)
        threads = _await(running, process, said)
        return Attached(process, threads, reading, os.dup(descriptor), running, said)
    except BaseException:
        if running is None:
            os.close(writing)
        else:
            _end(running)
        os.close(reading)
        said.close()
        raise


def _options(calls: Iterable[str]) -> list[str]:
    """Follow all that it starts; name the files of descriptors; escape every byte.

    Not --decode-pids: it looks through all of /proc for each process that is started.
    """
    traced = ",".join(f"?{name}" for name in sorted(calls))
    return ["-f", "-q", "-y", "-xx", f"-s{NAME_BYTES}", f"--trace={traced}"]


def _process_of(descriptor: int) -> int:
    """Return the number of a pidfd's process, as this process sees it."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as stream:
        number = next(int(line.split()[1]) for line in stream if line.startswith("Pid:"))
    if number <= 0:
        raise EngineError("cannot trace: the process has ended before it began; run it again")
    return number


def _await(running: "subprocess.Popen[bytes]", process: int, said: BinaryIO) -> tuple[int, ...]:
    """Wait until every thread of a process is traced; one that another starts from then on is traced, too."""
    until = time.monotonic() + _ATTACH_SECONDS
    before: tuple[int, ...] = ()
    while time.monotonic() < until:
        if (status := running.poll()) is not None:
            why = _last_words(said, status)
            raise EngineError(
                f"cannot trace: strace says: {why}; run as root with the capability SYS_PTRACE (in a container: "
                "--cap-add SYS_PTRACE), or take seccomp"
            )
        with contextlib.suppress(OSError):
            threads = tuple(sorted(int(name) for name in os.listdir(f"/proc/{process}/task")))
            if all(_tracer_of(process, thread) == running.pid for thread in threads):
                if threads == before:
                    return threads
                before = threads
        time.sleep(0.001)
    raise EngineError(f"cannot trace: strace did not attach within {_ATTACH_SECONDS:.0f} seconds; run it again")


def _tracer_of(process: int, thread: int) -> int:
    with open(f"/proc/{process}/task/{thread}/status", "rb") as stream:
        return next((int(line.split()[1]) for line in stream if line.startswith(b"TracerPid:")), 0)


def _end(running: "subprocess.Popen[bytes]") -> int:
    running.kill()
    return running.wait()


def _last_words(said: BinaryIO, status: int) -> str:
    said.seek(0)
    lines = said.read(1 << 16).decode(errors="replace").strip().splitlines()
    return lines[-1].partition("strace: ")[2].strip() or lines[-1] if lines else f"it ended with status {status}"
