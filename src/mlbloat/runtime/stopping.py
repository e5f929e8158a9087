"""Ends that come from outside, by a signal: none of them is lost, and none comes where it would leave something behind.

A launcher is told to end by SIGTERM, which becomes an exception wherever it is.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGALRM)
_AGAIN_SECONDS = 1.0


class Stopped(BaseException):
    """The one that waits for us is gone, or wants us gone."""


class _Ears:
    deaf = False
    """What was made is being taken away: nothing may stop that."""
    covered = 0
    """How many are at work that must not be disturbed."""
    heard = False
    """An end came meanwhile."""


def listen() -> None:
    """Raise Stopped at SIGTERM from now on, and again each second until what was made is being taken away.

    Python drops an exception that is raised in a destructor or a weak reference's callback, as imports have many.
    """
    _Ears.deaf, _Ears.covered, _Ears.heard = False, 0, False
    for number in _SIGNALS:
        signal.signal(number, _stop)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whoever started us let no signal come before


def forget_inherited() -> None:
    """Ignore no signal because whoever started us does, as shells let background jobs ignore two: programs inherit it.

    Python ignores two for itself, and lets the programs that it starts have them.
    """
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _stop(number: int, frame: FrameType | None) -> None:
    if _Ears.deaf:
        return
    if _Ears.covered:
        _Ears.heard = True
        return
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    raise Stopped


@contextlib.contextmanager
def held_back(*numbers: signal.Signals) -> Iterator[None]:
    """Let these signals come only when this is over. Processes started meanwhile hold them back, too."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let a launcher not end here: between starting something and knowing it, or an order and its answer.

    The signals are let come: what is started meanwhile would start with them held back, and so would a container.
    """
    _Ears.covered += 1
    try:
        yield
    finally:
        _Ears.covered -= 1
        if _Ears.heard and not _Ears.covered:
            _Ears.heard = False
            signal.raise_signal(signal.SIGTERM)


@contextlib.contextmanager
def cleaned_up(clean_up: Callable[[], object]) -> Iterator[None]:
    """Clean up at the end, whatever happened, and let nothing stop that."""
    try:
        yield
    finally:
        _Ears.deaf = True
        clean_up()
