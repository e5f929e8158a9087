"""What an engine needs of a tracer: which system calls to stop at, and somebody to answer."""

from contextlib import AbstractContextManager
from typing import Protocol


class Listener(Protocol):
    """The other end of a seccomp user notification (seccomp_unotify(2))."""

    @property
    def calls(self) -> frozenset[str]:
        """Names of the system calls that wait for an answer."""

    def serve(self, descriptor: int) -> AbstractContextManager[None]:
        """Answer notifications until every process under the filter ended. Owns the descriptor and closes it."""
