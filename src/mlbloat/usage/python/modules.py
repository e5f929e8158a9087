"""Which files a module name stands for, as importlib's path finder decides it.

https://docs.python.org/3/reference/import.html#the-path-based-finder

Looser in one way on purpose: a package that is split over several directories (PEP 420, pkgutil.extend_path) is found
wherever the whole name is found first, with no account of what makes the parts one package.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from mlbloat.model.filetree import FileTree, Kind

EXTENSION = re.compile(r"([^.]+)\.(?:(?:cpython-|pypy|graalpy)(\d)(\d+)[^.]*|abi3[^.]*)\.so")
_FILE = re.compile(r"([^.]+)\.(?:py|pyc|so|(?:cpython-|pypy|graalpy)(\d)(\d+)[^.]*\.so|abi3[^.]*\.so)")
TESTS = frozenset({"test", "tests", "conftest", "__main__", "setup"})
_DEPTH = 12
_MEMORY = 1 << 17


@dataclass(frozen=True, slots=True)
class Module:
    files: tuple[str, ...]
    """What is loaded; empty for a namespace package."""
    directory: str = ""
    """Where its submodules are, canonical; empty for what is not a package."""


@dataclass(frozen=True, slots=True)
class _Listing:
    files: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Module name to (version or empty, path)."""
    directories: dict[str, str] = field(default_factory=dict)


class Modules:
    """Module look-ups in one tree; remembers what it looked up."""

    def __init__(self, tree: FileTree) -> None:
        self._tree = tree
        self._listing = lru_cache(maxsize=_MEMORY)(self._list)
        self.names = lru_cache(maxsize=_MEMORY)(self._sorted_names)
        """`names(directory)`: the names of modules and possible packages directly in a directory, sorted."""
        self.member = lru_cache(maxsize=_MEMORY)(self._member)
        """`member(directory, name, version)`: the module of that name directly in a directory, or None."""
        self.descend = lru_cache(maxsize=_MEMORY)(self._descend)
        """`descend(directory, name, version)`: follow a dotted name from a package's directory."""
        self.resolve = lru_cache(maxsize=_MEMORY)(self._resolve)
        """`resolve(roots, version, name)`: how far a dotted name leads, see `Resolution`."""

    def is_package(self, directory: str) -> bool:
        return "__init__" in self._listing(directory).files

    def has(self, directory: str, name: str) -> bool:
        """Tell whether a directory has a module or possible package of a name."""
        listing = self._listing(directory)
        return name in listing.files or name in listing.directories

    def _sorted_names(self, directory: str) -> tuple[str, ...]:
        listing = self._listing(directory)
        return tuple(sorted({*listing.files, *listing.directories} - {"__init__", "__pycache__"}))

    def submodules(self, directory: str, version: str, *, recursive: bool = False, depth: int = 0) -> Iterator[str]:
        """Yield the files of all modules in a package, tests left out."""
        for name in self.names(directory):
            module = self.member(directory, name, version) if name not in TESTS else None
            if module is None:
                continue
            yield from module.files
            if recursive and module.files and module.directory and depth < _DEPTH:
                yield from self.submodules(module.directory, version, recursive=True, depth=depth + 1)

    def _descend(self, directory: str, name: str, version: str) -> "Resolution":
        parts = name.split(".")
        module: Module | None = None
        for number, part in enumerate(parts):
            following = self.member(directory, part, version) if directory else None
            if following is None:
                return Resolution(module, number)
            module, directory = following, following.directory
        return Resolution(module, len(parts))

    def _resolve(self, roots: tuple[str, ...], version: str, name: str) -> "Resolution":
        first, length = name.partition(".")[0], name.count(".") + 1
        best = Resolution(None, 0)
        for root in roots:
            if not self.has(root, first):
                continue
            found = self._descend(root, name, version)
            if found.length == length and found.module is not None and found.module.files:
                return found
            if found.length > best.length:
                best = found
        return best

    def _member(self, directory: str, name: str, version: str) -> Module | None:
        listing = self._listing(directory)
        inside = listing.directories.get(name)
        if inside is not None:
            start = self._files(self._listing(inside), "__init__", version)
            if start:
                return Module(start, inside)
        files = self._files(listing, name, version)
        if files:
            return Module(files)
        return Module((), inside) if inside is not None else None

    def _files(self, listing: _Listing, name: str, version: str) -> tuple[str, ...]:
        """Return all files of a name: a source beside the extension made from it shows what the extension imports."""
        return tuple(path for made_for, path in listing.files.get(name, ()) if made_for in {"", version} or not version)

    def _list(self, directory: str) -> _Listing:
        listing = _Listing()
        for path in self._tree.children(self._tree.find(directory).path):
            entry = self._tree[path]
            kind = entry.kind
            if kind is Kind.SYMLINK:
                there = self._tree.find(path).entry
                kind = there.kind if there is not None else kind
            name = posixpath.basename(path)
            if kind is Kind.DIRECTORY:
                listing.directories[name] = self._tree.find(path).path if entry.kind is Kind.SYMLINK else path
            elif kind is Kind.FILE and (match := _FILE.fullmatch(name)):
                made_for = f"{match[2]}.{match[3]}" if match[2] else ""
                listing.files.setdefault(match[1], []).append((made_for, path))
        return listing


@dataclass(frozen=True, slots=True)
class Resolution:
    module: Module | None
    """The module that the first `length` parts of the name stand for."""
    length: int
