"""Installed packages as the image's own databases describe them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Manager(StrEnum):
    APT = "apt"
    PIP = "pip"
    CONDA = "conda"
    APK = "apk"
    RPM = "rpm"
    NPM = "npm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    manager: Manager
    name: str
    """Normalised by the manager's own rule (PEP 503 for pip); with `:arch` for a foreign APT architecture."""
    version: str
    location: str
    """Where it is installed: the root "/" for apt, apk and rpm, a site-packages directory for pip, a prefix
    for conda, a node_modules directory for npm.
    (manager, name, location) is unique in an image."""
    files: tuple[str, ...] = ()
    """Regular files of the tree that it owns, canonical paths, sorted, metadata included."""
    metadata: frozenset[str] = frozenset()
    """Those of `files` that are no evidence of use: they describe the package (database records, documentation,
    licences), or one of its programs wrote them at installation (ld.so.cache)."""
    database: tuple[str, ...] = ()
    """Files that scanners read to find this package; kept at every level while the package is reported."""
    requires: tuple[str, ...] = ()
    """Keys of installed packages that this one depends on, sorted."""
    recommends: tuple[str, ...] = ()
    """Keys of installed packages that this one recommends and does not require, sorted."""
    integrates: tuple[str, ...] = ()
    """Keys of installed packages that this one requires with some extra, whether or not anybody asked for that; sorted.
    Of pip alone: others have no extras, or record nothing of them."""
    essential: bool = False
    """Its manager refuses to remove it."""
    section: str = ""
    """What its distribution files it under (`libdevel`); empty when it does not say."""
    requested: bool | None = None
    """Installed by name (True) or pulled in (False); None when the database does not say."""

    @property
    def key(self) -> str:
        """Names the package within one image: `pip:numpy@/usr/lib/python3/dist-packages`."""
        return f"{self.manager}:{self.name}@{self.location}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedPackage:
    """A package that lies in a cache: it can be installed from there, and nothing else needs it."""

    manager: Manager
    name: str
    version: str
    path: str
    """The archive, or the directory that it is unpacked in."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A package database, or a part of one, that was not understood."""

    path: str
    """The database file."""
    text: str
    """One printable sentence: what could not be read, why, and what follows from it."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All packages of a tree and who owns which file."""

    packages: tuple[Package, ...]
    """Sorted by manager, name, location."""
    owners: Mapping[str, tuple[Package, ...]]
    """Path to the packages that claim it, highest authority first; a path that is missing here is unowned."""
    counted_as: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """Of content with several names (a hard-linked file, by inode) the name by which its bytes have an owner."""
    cached: tuple[CachedPackage, ...] = ()
    """In order of path."""
    problems: tuple[Problem, ...] = ()
    """Database files that could not be read."""
