"""Package databases that stay true: what is gone is not listed any more, so that scanners see what is there.

A database that a run read, or that a rule keeps, stays as it is. Adding a manager is one module and its name in
DATABASES; those that come later see what the earlier ones changed, because checksums of it are in their lists.
"""

from collections.abc import Mapping
from typing import Protocol

from mlbloat.model.filetree import FileTree
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.slim.databases import apk, conda, dpkg, pip
from mlbloat.slim.databases.left import Cut, Left, survivors

__all__ = ["DATABASES", "Cut", "Left", "cut_databases"]

_RPM = ("/var/lib/rpm", "/usr/lib/sysimage/rpm", "/var/lib/rpmmanifest")


class Database(Protocol):
    """One package manager's own records."""

    @property
    def MANAGER(self) -> Manager:  # noqa: N802  # a constant of a module
        """Whose packages they describe."""

    def cut(self, packages: tuple[Package, ...], stay: frozenset[str], left: Left, changed: Mapping[str, bytes]) -> Cut:
        """Say what goes and what changes, for the packages of this manager; `stay` are the keys of those left."""


DATABASES: tuple[Database, ...] = (pip, conda, dpkg)


def cut_databases(tree: FileTree, inventory: Inventory, kept: frozenset[str], touched: frozenset[str]) -> Cut:
    """Cut every database to what is left of its packages."""
    left = Left(tree=tree, kept=kept, touched=touched)
    stay = survivors(inventory.packages, left)
    removed: set[str] = set()
    directories: set[str] = set()
    rewritten: dict[str, bytes] = {}
    for database in DATABASES:
        packages = tuple(package for package in inventory.packages if package.manager is database.MANAGER)
        if packages:
            # What is removed already is lost to the lists that come after it.
            now = Left(tree=tree, kept=kept - removed - directories, touched=touched)
            result = database.cut(packages, stay, now, rewritten)
            removed |= result.removed
            directories |= result.directories
            rewritten |= _changed(tree, result)
    rewritten |= _changed(tree, apk.cut(left))
    shared = _shared(tree, removed | rewritten.keys())
    return Cut(
        removed=frozenset(removed),
        directories=frozenset(directories),
        rewritten={path: rewritten[path] for path in sorted(rewritten) if path not in shared},
        flags=_flags(tree, kept),
    )


def _changed(tree: FileTree, cut: Cut) -> dict[str, bytes]:
    """Leave out what comes out as it was."""
    contents = cut.rewritten.items()
    return {path: new for path, new in contents if len(new) != tree[path].size_bytes or new != tree.read(tree[path])}


def _shared(tree: FileTree, paths: set[str]) -> set[str]:
    """Return the paths whose file has another name, such as one in a package cache: it stays as it is there."""
    inodes = {tree[path].inode for path in paths}
    names: dict[tuple[int, int], int] = {}
    for entry in tree.files():
        if entry.inode in inodes:
            names[entry.inode] = names.get(entry.inode, 0) + 1
    return {path for path in paths if names[tree[path].inode] > 1}


def _flags(tree: FileTree, kept: frozenset[str]) -> tuple[str, ...]:
    found = [path for path in _RPM if any(entry.path in kept for entry in tree.below(path))]
    return tuple(
        f"the rpm database {path} is kept whole: it still names packages and files that were removed" for path in found
    )
