"""What rules look at, and what they have in common.

Content counts by inode and only where it would go: a cached file that is hard-linked into an environment frees nothing.
"""

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from mlbloat.cache import Facts
from mlbloat.model import graph
from mlbloat.model.devicecode import Census
from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.image import Image
from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.report import Finding

MAX_PATHS = 10
"""Paths shown per finding, largest first."""
Groups = dict[str, list[Entry]]
"""Regular files by the path to show for them."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One image with its marks."""

    image: Image
    tree: FileTree
    inventory: Inventory
    marks: tuple[Mark, ...]
    device: Census
    """Code for GPUs inside files."""
    symbols: Facts[int]
    """Bytes for debuggers in a file."""
    beginnings: Facts[bytes]
    """Digest of a file's first block."""
    digests: Facts[bytes]
    """Digest of a whole file."""

    @cached_property
    def files(self) -> tuple[Entry, ...]:
        return tuple(self.tree.files())

    @cached_property
    def touched(self) -> frozenset[str]:
        """Files that a run touched: no rule calls them waste."""
        return frozenset(mark.path for mark in self.marks if mark.file_class is FileClass.USED)

    @cached_property
    def unused(self) -> tuple[Entry, ...]:
        return tuple(self.tree[mark.path] for mark in self.marks if mark.file_class is FileClass.UNUSED)

    @cached_property
    def unused_paths(self) -> frozenset[str]:
        return frozenset(entry.path for entry in self.unused)

    @cached_property
    def names(self) -> Mapping[tuple[int, int], int]:
        """How many names each content has."""
        counts: dict[tuple[int, int], int] = {}
        for entry in self.files:
            counts[entry.inode] = counts.get(entry.inode, 0) + 1
        return counts

    @cached_property
    def packages(self) -> Mapping[str, Package]:
        return {package.key: package for package in self.inventory.packages}

    @cached_property
    def unneeded(self) -> frozenset[str]:
        """Keys of packages that could go as a whole."""
        return graph.unneeded(
            self.inventory,
            is_needed=lambda path: path not in self.unused_paths,
            is_used=self.touched.__contains__,
        )

    @cached_property
    def package_bytes(self) -> Mapping[str, int]:
        """What each package would free alone, by key."""
        return {package.key: freed(self, self.entries_of([package])) for package in self.inventory.packages}

    def entries_of(self, packages: Iterable[Package]) -> list[Entry]:
        paths = {path for package in packages for path in package.files}
        return [entry for path in paths if (entry := self.tree.entries.get(path)) is not None]

    def is_unowned(self, path: str) -> bool:
        return path not in self.inventory.owners

    def of_manager(self, manager: Manager) -> Iterable[Package]:
        return (package for package in self.inventory.packages if package.manager is manager)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One known way to waste bytes."""

    name: str
    severity: Literal["note", "warning", "error"]
    finds: str
    """What it finds, as the catalogue says it."""
    example: str
    """A step of a Dockerfile, or a file, that leads to it."""
    remedy: str
    """The step that avoids it; words in capitals are for the reader."""
    find: "Callable[[Rule, Scene], Iterable[Finding]]"

    def finding(self, scene: Scene, title: str, groups: Groups, advice: str = "") -> Finding:
        """Return the finding about these files; without an advice of its own, with the rule's."""
        return Finding(
            rule=self.name,
            severity=self.severity,
            title=title,
            bytes=freed(scene, (entry for group in groups.values() for entry in group)),
            paths=largest(scene, groups),
            advice=advice or self.remedy,
        )


def grouped(entries: Iterable[Entry], key: Callable[[Entry], str | None]) -> Groups:
    """Group regular files by the path to show for them, leaving out those that have none."""
    groups: Groups = {}
    for entry in entries:
        path = key(entry)
        if path is not None:
            groups.setdefault(path, []).append(entry)
    return groups


def matched(pattern: re.Pattern[str], path: str) -> str | None:
    match = pattern.match(path)
    return match[0] if match else None


def freed(scene: Scene, entries: Iterable[Entry]) -> int:
    """Return the bytes that go when these names go: content with a name elsewhere stays."""
    going: dict[tuple[int, int], int] = {}
    sizes: dict[tuple[int, int], int] = {}
    for entry in entries:
        going[entry.inode] = going.get(entry.inode, 0) + 1
        sizes[entry.inode] = entry.size_bytes
    names = scene.names
    return sum(sizes[inode] for inode, count in going.items() if count == names[inode])


def largest(scene: Scene, groups: Groups) -> tuple[str, ...]:
    sizes = {path: freed(scene, entries) for path, entries in groups.items()}
    return tuple(sorted(groups, key=lambda path: (-sizes[path], path)))[:MAX_PATHS]


def without(scene: Scene, groups: Groups) -> str:
    """Return the step that installs the largest of these, with their removal in the same layer."""
    removable = _whole(scene, {path: groups[path] for path in largest(scene, groups)})
    paths = [path for path in largest(scene, removable) if path.isprintable()]
    return f"RUN INSTALL && rm -rf {shlex.join(paths)}"


def _whole(scene: Scene, groups: Groups) -> Groups:
    """Split the directories that hold something else as well into their files."""
    whole: Groups = {}
    for path, entries in groups.items():
        there = sum(entry.kind is not Kind.DIRECTORY for entry in scene.tree.below(path))
        if there > len(entries):
            whole.update({entry.path: [entry] for entry in entries})
        else:
            whole[path] = entries
    return whole
