"""Content of an image, each inode once, and its sums by class."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from mlbloat.model.filekind import FileKind, kind_of
from mlbloat.model.filetree import FileTree
from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.package import Inventory, Package
from mlbloat.model.use import Level

UNOWNED = "unowned"
_USED, _REACHABLE = FileClass.USED, FileClass.REACHABLE


class Content(msgspec.Struct, frozen=True, gc=False):
    """One inode: its names share one class, one level and one weight."""

    size_bytes: int
    layer: int
    path: str
    """The name that it counts as: one with an owner, if there is one."""
    mark: Mark
    owner: Package | None
    """Of highest authority."""
    kind: FileKind
    held_from: Level | None
    """The lowest keep level that holds it."""
    files: int = 1
    """None where this is a part of one that is counted elsewhere."""

    @property
    def manager(self) -> str:
        return UNOWNED if self.owner is None else str(self.owner.manager)

    def kept_at(self, level: Level) -> bool:
        """Tell whether a keep level holds it."""
        return self.held_from is not None and self.held_from <= level


Contents = Mapping[tuple[int, int], Content]


@dataclass(frozen=True, slots=True)
class Sum:
    files: int
    size_bytes: int
    used_bytes: int
    reachable_bytes: int
    unused_bytes: int

    @property
    def bloat_ratio(self) -> float | None:
        return ratio(self.size_bytes - self.used_bytes, self.size_bytes)

    @property
    def removable_ratio(self) -> float | None:
        return ratio(self.unused_bytes, self.size_bytes)


def contents_of(tree: FileTree, inventory: Inventory, marks: Sequence[Mark]) -> Contents:
    """Return the content of every regular file, by inode."""
    contents: dict[tuple[int, int], Content] = {}
    entries, counted_as, owners_of = tree.entries, inventory.counted_as, inventory.owners
    for mark in marks:
        entry = entries[mark.path]
        inode = entry.inode
        if inode not in contents:
            name = counted_as.get(inode, mark.path)
            owners = owners_of.get(name, ())
            contents[inode] = Content(
                entry.size_bytes,
                inode[0],
                name,
                mark,
                owners[0] if owners else None,
                kind_of(name, entry.mode),
                Level.TRACED if mark.pinned else mark.level,
            )
    return contents


def sum_of(contents: Iterable[Content]) -> Sum:
    files = used = reachable = unused = 0
    for content in contents:  # of each file, a dozen times
        files += content.files
        file_class = content.mark.file_class
        if file_class is _USED:
            used += content.size_bytes
        elif file_class is _REACHABLE:
            reachable += content.size_bytes
        else:
            unused += content.size_bytes
    return Sum(files, used + reachable + unused, used, reachable, unused)


def total(parts: Iterable[Sum]) -> Sum:
    parts = tuple(parts)
    return Sum(
        sum(part.files for part in parts),
        sum(part.size_bytes for part in parts),
        sum(part.used_bytes for part in parts),
        sum(part.reachable_bytes for part in parts),
        sum(part.unused_bytes for part in parts),
    )


def ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
