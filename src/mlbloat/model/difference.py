"""What is different between two images, by package, layer and file; its field names are the JSON (docs/diff.md).

Format history: 1, first.
"""

from dataclasses import dataclass
from typing import Literal

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A package as one of the two images has it."""

    version: str
    size_bytes: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    reference: str
    id: str
    size_bytes: int
    files: int
    compressed_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageChange:
    manager: str
    name: str
    location: str
    before: Part | None
    """None: added."""
    after: Part | None
    """None: removed."""

    @property
    def grown_bytes(self) -> int:
        return (self.after.size_bytes if self.after else 0) - (self.before.size_bytes if self.before else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerChange:
    diff_id: str
    created_by: str
    held_by: Literal["both", "before", "after"]
    size_bytes: int
    """Of the merged tree's files that it supplies, in the image that has it; in the first when both do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    path: str
    kind: str
    """file, directory, symlink, fifo, character device, block device; in the second image when both have it."""
    before_bytes: int | None
    """None: there is none in this image. 0 for what is no regular file."""
    after_bytes: int | None
    what: tuple[str, ...]
    """added, removed, or of: kind, content, mode, owner, link, attributes, time."""

    @property
    def grown_bytes(self) -> int:
        return (self.after_bytes or 0) - (self.before_bytes or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    kind: Literal["mlbloat.diff"] = "mlbloat.diff"
    format: int = FORMAT
    before: Side
    after: Side
    packages: tuple[PackageChange, ...]
    """Largest change first."""
    layers: tuple[LayerChange, ...]
    """Those of the first image in their order, then those that only the second has."""
    files: tuple[FileChange, ...] | None
    """By path; None when one side is a report, which has no files."""
