"""Ends that come from outside, by a signal: none of them is lost, and none comes where it would leave something behind.

A launcher is told to end by SIGTERM, which becomes an exception wherever it is.
"""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGTERM, signal.SIGALRM)
_AGAIN_SECONDS = 0.01


class Stopped(BaseException):
    """The one that waits for us is gone, or wants us gone."""


def listen() -> None:
    """Raise Stopped at SIGTERM from now on, once.

    Python drops an exception that is raised in a destructor or a weak reference's callback, as imports have many: the
    alarm raises it again, outside of that.
    """
    sys.unraisablehook = _again
    for number in _SIGNALS:
        signal.signal(number, _stop)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whoever started us let no signal come before


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


def _again(dropped: "sys.UnraisableHookArgs") -> None:
    if isinstance(dropped.exc_value, Stopped):
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    else:
        sys.__unraisablehook__(dropped)


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
        try:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)  # raises what is to be raised by then
        finally:
            clean_up()
