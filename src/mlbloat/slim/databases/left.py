"""What slimming leaves of a tree, as far as package databases need to know it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.package import Package

_DPKG = "/var/lib/dpkg/"
_CONFIGURATION = "/etc/"
MAX_DATABASE_BYTES = 64 << 20
"""A larger file is left as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    tree: FileTree
    kept: frozenset[str]
    touched: frozenset[str]
    """Files that a run read or a rule keeps: they stay as they are."""

    def lost(self, path: str) -> bool:
        """Tell whether a path, as a database writes it, names a file that slimming removes."""
        found = path if path in self.tree else self.tree.find(path, follow=False).path
        return found in self.tree and found not in self.kept

    def free(self, path: str) -> bool:
        """Tell whether a file may be changed: it stays, nobody needs it as it is, and no other name shares it."""
        entry = self.tree.get(path)
        return (
            path in self.kept
            and path not in self.touched
            and entry is not None
            and entry.kind is Kind.FILE
            and entry.size_bytes <= MAX_DATABASE_BYTES
        )

    def configures(self, path: str) -> bool:
        """Tell whether a file is configuration that somebody needs; what nobody needs outlives its package."""
        return path.startswith(_CONFIGURATION) and path in self.touched

    def read(self, path: str) -> str:
        """Read a database; bytes that are not UTF-8 come back as they were."""
        return self.tree.read(self.tree[path], MAX_DATABASE_BYTES).decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    removed: frozenset[str] = frozenset()
    """Files that only describe packages that are gone."""
    directories: frozenset[str] = frozenset()
    """Directories that would stand for such a package although they are empty."""
    rewritten: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    """New contents by path."""
    flags: tuple[str, ...] = ()
    """What stays although it is not true any more, as sentences."""


def coded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def survivors(packages: Iterable[Package], left: Left) -> frozenset[str]:
    """Return the keys of packages with payload left, of those whose configuration or own record a run read, and what
    holds them.

    A package without payload stays while something of it does, or while a package that stays requires it.
    """
    packages = tuple(packages)
    stay = {package.key for package in packages if _stays(package, left)}
    hollow = {package.key for package in packages if not _payload(package)}
    by_key = {package.key: package for package in packages}
    waiting = list(stay)
    while waiting:
        for key in by_key[waiting.pop()].requires:
            if key in hollow and key not in stay:
                stay.add(key)
                waiting.append(key)
    return frozenset(stay)


def _stays(package: Package, left: Left) -> bool:
    if left.touched.intersection(own_records(package)) or any(map(left.configures, package.files)):
        return True
    payload = _payload(package)
    rest = payload or {path for path in package.files if path not in package.database and not path.startswith(_DPKG)}
    return not rest or any(path in left.kept for path in rest)


def _payload(package: Package) -> set[str]:
    """Return what a package is installed for. Configuration in /etc outlives a package that is gone."""
    payload = set(package.files).difference(package.metadata, package.database)
    return {path for path in payload if not path.startswith(_CONFIGURATION)}


def own_records(package: Package) -> Iterator[str]:
    """Yield the database files that describe this package alone."""
    return (path for path in package.database if path in package.files)
