"""What an engine needs of a tracer: what to set up for it, which system calls to stop at, and somebody to answer."""

from contextlib import AbstractContextManager
from typing import Protocol

from mlbloat.model.use import Phase
from mlbloat.runtime.messages import Means


class Listener(Protocol):
    """The other end of a seccomp user notification (seccomp_unotify(2)), or of a queue of events (fanotify(7))."""

    @property
    def calls(self) -> frozenset[str]:
        """Names of the system calls that wait for an answer."""

    @property
    def means(self) -> tuple[Means, ...]:
        """What the launcher sets up for it."""

    def serve(self, means: Means, *descriptors: int) -> AbstractContextManager[None]:
        """Answer or read until the run ended. Owns the descriptors and closes them."""

    def enter(self, phase: Phase) -> None:
        """Learn that the run does something else from now on."""
