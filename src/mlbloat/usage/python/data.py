"""Package data: what lies beside modules and is opened, not imported.

https://docs.python.org/3/library/importlib.resources.html; which suffixes are development files follows what
setuptools, scikit-build and Cython install beside modules for compilers and type checkers.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from mlbloat.model.filetree import Entry, Kind
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.usage.elf.head import HEAD
from mlbloat.usage.ground import Ground
from mlbloat.usage.python.modules import Modules

_MODULE = re.compile(r".*\.(?:py|pyc|pyo)")
_LIBRARY = re.compile(r".*\.so(?:\.[0-9.]+)?")
_DEVELOPMENT = re.compile(
    r".*\.(?:pyi|pyx|pxd|pxi|c|cc|cpp|cxx|cu|cuh|f|f90|h|hh|hpp|hxx|inc|inl|tcc|a|o|la|lib|pc|cmake|dll|dylib|exe|pyd)|CMakeLists\.txt"
)
_DEVELOPMENT_DIRECTORIES = frozenset({"include", "cmake"})
_OTHER = frozenset({"test", "tests", "__pycache__"})
_LEFT_OUT = _OTHER | _DEVELOPMENT_DIRECTORIES
_METADATA = (".dist-info", ".egg-info")


@dataclass(frozen=True, slots=True)
class Data:
    files: tuple[str, ...]
    """Opened by any code of the package."""
    named_only: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """File name to paths: programs, libraries and development files, which count when something names them."""


class DataFiles:
    """The data of the packages of one tree; remembers what it looked up."""

    def __init__(self, ground: Ground, inventory: Inventory, modules: Modules) -> None:
        self._tree = ground.tree
        self._learning = ground.learning
        self._inventory = inventory
        self._modules = modules
        self._beside: dict[tuple[str, str], tuple[str, ...]] = {}
        self.of_package = lru_cache(maxsize=1 << 14)(self._of_package)
        """`of_package(directory)`: files whose nearest enclosing package it is."""
        self.inside = lru_cache(maxsize=1 << 14)(self._inside)
        """`inside(directory)`: programs and libraries of a package and of those in it, name to paths."""
        self.of_directory = lru_cache(maxsize=1 << 14)(self._of_directory)
        """`of_directory(directory)`: files directly in a directory that is in no package."""

    def beside(self, path: str, root: str) -> Iterator[str]:
        """Yield the data that the distribution of a top-level module put next to it, outside of any package.

        What lies beside a command (`bin`) are other commands.
        """
        for package in self._inventory.owners.get(path, ()):
            if package.manager in (Manager.PIP, Manager.CONDA) and posixpath.basename(root) != "bin":
                key = (package.key, root)
                if key not in self._beside:
                    self._beside[key] = tuple(self._data_beside(package, root))
                yield from self._beside[key]

    def _data_beside(self, package: Package, root: str) -> Iterator[str]:
        for file in package.files:
            if file.startswith(root + "/") and file not in package.metadata and self._is_beside(file, root):
                yield file

    def _is_beside(self, file: str, root: str) -> bool:
        first, _, below = file[len(root) + 1 :].partition("/")
        if (
            first.endswith(_METADATA)
            or first in _OTHER
            or (below and self._modules.is_package(posixpath.join(root, first)))
        ):
            return False
        entry = self._tree.get(file)
        inside = _DEVELOPMENT_DIRECTORIES.isdisjoint(below.split("/"))
        return entry is not None and inside and not _is_module(entry) and not self._is_named_only(entry)

    def _of_directory(self, directory: str) -> Data:
        return self._sort((self._tree[path], False) for path in self._tree.children(directory))

    def _of_package(self, directory: str) -> Data:
        return self._sort(self._walk(directory))

    def _inside(self, directory: str) -> dict[str, tuple[str, ...]]:
        """A package may have a package of nothing but programs: it names them, and that one only says where it is."""
        found = {name: [*paths] for name, paths in self.of_package(directory).named_only.items()}
        for package in self._packages_in(directory):
            for name, paths in self.of_package(package).named_only.items():
                if not _DEVELOPMENT.fullmatch(name):
                    found.setdefault(name, []).extend(paths)
        return {name: tuple(paths) for name, paths in found.items()}

    def _packages_in(self, directory: str) -> Iterator[str]:
        waiting = [directory]
        while waiting:
            for path in self._tree.children(waiting.pop()):
                entry = self._tree[path]
                if entry.kind is Kind.DIRECTORY and entry.name not in _LEFT_OUT:
                    waiting.append(path)
                    if self._modules.is_package(path):
                        yield path

    def _walk(self, directory: str) -> Iterator[tuple[Entry, bool]]:
        """Yield the entries of a package, and whether they are in a directory of development files."""
        waiting = [(directory, False)]
        while waiting:
            here, development = waiting.pop()
            for path in self._tree.children(here):
                entry = self._tree[path]
                if entry.kind is not Kind.DIRECTORY:
                    # Headers of C++ libraries have no suffix to know them by.
                    yield entry, development
                elif entry.name not in _OTHER and not self._modules.is_package(path):
                    waiting.append((path, development or entry.name in _DEVELOPMENT_DIRECTORIES))

    def _sort(self, entries: Iterable[tuple[Entry, bool]]) -> Data:
        files: list[str] = []
        named: dict[str, list[str]] = {}
        for entry, development in entries:
            if entry.kind not in {Kind.FILE, Kind.SYMLINK} or _is_module(entry):
                continue
            if development or self._is_named_only(entry):
                named.setdefault(entry.name, []).append(entry.path)
            else:
                files.append(entry.path)
        return Data(tuple(files), {name: tuple(paths) for name, paths in named.items()})

    def _is_named_only(self, entry: Entry) -> bool:
        name = entry.name
        if (".so" in name and _LIBRARY.fullmatch(name)) or _DEVELOPMENT.fullmatch(name):
            return True
        return entry.kind is Kind.FILE and bool(entry.mode & 0o111) and self._learning.of(HEAD, entry).is_elf


def _is_module(entry: Entry) -> bool:
    return entry.path.endswith((".py", ".pyc", ".pyo")) and _MODULE.fullmatch(entry.name) is not None
