"""The verdict on each file of an image."""

from enum import StrEnum

import msgspec

from mlbloat.model.use import Level, Use


class FileClass(StrEnum):
    """Every regular file is in exactly one class (docs/measures.md)."""

    USED = "used"
    REACHABLE = "reachable"
    UNUSED = "unused"


class Mark(msgspec.Struct, frozen=True, gc=False):
    path: str
    level: Level | None
    """The lowest level that keeps it; None: nothing reaches it."""
    file_class: FileClass
    uses: tuple[Use, ...]
    """Reasons, strongest first; empty for what nothing reaches."""
    dropped_by: str = ""
    """The `drop:` rule that overrides every reason but a traced one."""

    @property
    def pinned(self) -> bool:
        return True in [use.pinned for use in self.uses]  # asked of every file: a generator takes twice as long
