"""What is installed together: the files of one package that have one name in the places where modules are."""

import posixpath
from collections.abc import Collection
from functools import cached_property

from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.package import Inventory

Group = tuple[str, str]
"""The package that owns the files, empty for none, and their name; files of two packages are never one group."""


class Groups:
    def __init__(self, tree: FileTree, inventory: Inventory, shared: Collection[str], alone: Collection[str]) -> None:
        self._tree = tree
        self._owners = inventory.owners
        self._shared = shared
        """Directories in which each child has a name, as far as no other of them is in between."""
        self._alone = alone
        """Directories that are a group of their own."""

    def of(self, path: str) -> Group | None:
        """Return what a file belongs to; None for one in no such directory."""
        here, directory = path, posixpath.dirname(path)
        while directory != "/":
            if directory in self._alone:
                return self._owner(path), directory
            if directory in self._shared:
                return self._owner(path), self._name(here)
            here, directory = directory, posixpath.dirname(directory)
        return None

    def members(self, path: str) -> tuple[str, ...]:
        """Return the group of a file, in order of path; empty for none."""
        group = self.of(path)
        return self._members.get(group, ()) if group is not None else ()

    def _owner(self, path: str) -> str:
        return next((owner.key for owner in self._owners.get(path, ())), "")

    def _name(self, path: str) -> str:
        name = posixpath.basename(path)
        return name if self._tree[path].kind is Kind.DIRECTORY else name.rpartition(".")[0] or name

    @cached_property
    def _members(self) -> dict[Group, tuple[str, ...]]:
        found: dict[Group, dict[str, None]] = {}
        for directory in sorted({*self._shared, *self._alone}):
            for entry in self._tree.below(directory):
                group = self.of(entry.path) if self._counts(entry) else None
                if group is not None:
                    found.setdefault(group, {})[entry.path] = None
        return {group: tuple(sorted(paths)) for group, paths in found.items()}

    def _counts(self, entry: Entry) -> bool:
        """Tell a file that is not there only to describe its package."""
        described = (entry.path in owner.metadata for owner in self._owners.get(entry.path, ()))
        return entry.kind in (Kind.FILE, Kind.SYMLINK) and not any(described)
