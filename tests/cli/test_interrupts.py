"""Ctrl-C ends the command, wherever it comes."""

import signal
import sys
import time
from collections.abc import Iterator

import pytest

from mlbloat import cli


@pytest.fixture
def ready_for_interrupts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "unraisablehook", cli._again)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    handlers = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, cli._interrupt)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("ready_for_interrupts")
def test_an_interrupt_that_python_drops_comes_again() -> None:
    class Last:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    deadline = time.monotonic() + 60
    with pytest.raises(KeyboardInterrupt):
        Last()
        while time.monotonic() < deadline:
            time.sleep(0.01)
