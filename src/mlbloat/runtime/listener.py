"""What an engine needs of a tracer: which system calls to stop at, and somebody to answer."""

from contextlib import AbstractContextManager
from typing import Protocol


class Listener(Protocol):
    """The other end of a seccomp user notification (seccomp_unotify(2)), or of a queue of file-system events."""

    @property
    def calls(self) -> frozenset[str]:
        """Names of the system calls that wait for an answer."""

    @property
    def watches(self) -> bool:
        """Whether it reads events of the container's file system instead (fanotify(7))."""

    def serve(self, descriptor: int) -> AbstractContextManager[None]:
        """Answer or read until the run ended. Owns the descriptor and closes it."""
