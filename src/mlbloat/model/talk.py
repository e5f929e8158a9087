"""What a user sees while the line works; never part of a result."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Talk(Protocol):
    """What a user sees while the line works; never part of a result."""

    def stage(self, text: str) -> AbstractContextManager[None]:
        """Announce a stage, and that it ended."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Bytes done of a long read."""

    def say(self, text: str) -> None:
        """Mention which way was taken, for those who want to know."""


class Silence:
    """Talk for a program that uses mlbloat as a library."""

    def stage(self, text: str) -> AbstractContextManager[None]:
        return nullcontext()

    def progress(self, what: str, done: int, total: int | None) -> None:
        pass

    def say(self, text: str) -> None:
        pass


SILENCE = Silence()
