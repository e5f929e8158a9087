"""Ends that come from outside while a run goes on: Ctrl-C, and the end of its time."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlbloat.runtime import process
from tests.support.leftovers import below

_SECONDS = 180.0


@contextmanager
def interrupted(scratch: Path, after_seconds: float = 1.0) -> Iterator[None]:
    """Interrupt the run that keeps its directory in `scratch`, so long after its launcher was started."""

    def interrupt() -> None:
        deadline = time.monotonic() + _SECONDS
        while not (any(scratch.iterdir()) and below(os.getpid())) and time.monotonic() < deadline:
            time.sleep(0.01)
        if not over.wait(after_seconds):
            os.kill(os.getpid(), signal.SIGINT)

    over = threading.Event()
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        over.set()
        thread.join()


def time_is_over_after(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run's time be over once its command has said this, however long that takes, and not before."""

    class Clock:
        said = started = False
        """Under runc a command may speak before its launcher tells that it started."""

        def monotonic(self) -> float:
            return time.monotonic() + (86_400.0 if self.said and self.started else 0.0)

    clock, read, listen = Clock(), process._Stream.read, process._Launch._listen

    def read_and_look(stream: process._Stream) -> None:
        read(stream)
        clock.said = clock.said or said in stream.kept

    def listen_and_look(launch: process._Launch) -> None:
        listen(launch)
        clock.started = clock.started or bool(launch._started)

    monkeypatch.setattr(process, "time", clock)
    monkeypatch.setattr(process._Stream, "read", read_and_look)
    monkeypatch.setattr(process._Launch, "_listen", listen_and_look)
