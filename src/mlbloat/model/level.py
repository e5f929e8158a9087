"""Keep levels, apart from what is kept: a command line is understood without it."""

from enum import IntEnum
from typing import Literal

LevelName = Literal["traced", "linked", "safe", "package"]
_NAMES: tuple[LevelName, ...] = ("traced", "linked", "safe", "package")


class Level(IntEnum):
    """Keep levels; each contains the ones before it (docs/keep-levels.md)."""

    TRACED = 0
    LINKED = 1
    SAFE = 2
    PACKAGE = 3

    @property
    def label(self) -> LevelName:
        """The name that `--keep` takes."""
        return _NAMES[self]
