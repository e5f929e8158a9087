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


def listen() -> None:
    """Raise Stopped at SIGTERM from now on, and again each second until what was made is being taken away.

    Python drops an exception that is raised in a destructor or a weak reference's callback, as imports have many.
    """
    _Ears.deaf = False
    for number in _SIGNALS:
        signal.signal(number, _stop)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whoever started us let no signal come before


def _stop(number: int, frame: FrameType | None) -> None:
    if not _Ears.deaf:
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


def undisturbed() -> contextlib.AbstractContextManager[None]:
    """Let a launcher not end here: between starting something and knowing it, or an order and its answer."""
    return held_back(*_SIGNALS)


@contextlib.contextmanager
def cleaned_up(clean_up: Callable[[], object]) -> Iterator[None]:
    """Clean up at the end, whatever happened, and let nothing stop that."""
    try:
        yield
    finally:
        _Ears.deaf = True
        clean_up()
