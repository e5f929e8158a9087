"""Who may import what from where: module names as the file that writes them would have them resolved."""

import posixpath
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from mlbloat.model.filetree import FileTree
from mlbloat.usage.python.layout import Environment, Layout
from mlbloat.usage.python.modules import Module, Modules, Resolution

_MEMORY = 1 << 18
_PLACES = 1 << 10
"""A file is placed some times in a row."""
_VENDORED = re.compile(r"_?vendor(?:ed)?|_?third_?party|_?externs?")
"""Names of directories that packages put on sys.path themselves, with copies of their requirements."""


class Place(msgspec.Struct, frozen=True, eq=False):
    """A file's place among the modules."""

    path: str
    directory: str
    root: str
    """Where its module name counts from: a directory of sys.path, or of an application the one above its packages."""
    environments: tuple[Environment, ...]
    local: tuple[str, ...] = ()
    """Directories of an application that may be on sys.path: which of them is, only its command line knows."""
    version: str = ""
    """Of all its environments; empty where they differ."""
    vendored: tuple[str, ...] = ()
    """Directories in its package that the package may put on sys.path itself."""
    known: dict[str, tuple[Resolution, ...]] = msgspec.field(default_factory=dict)
    """Names that were found from a place with the same search paths."""
    statements: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = msgspec.field(default_factory=dict)
    """Modules and what is taken from them, to the files that importing it loads, from such a place."""
    in_package: bool = False
    starts_package: bool = False
    is_top_level: bool = False
    """It is a module directly in a directory of sys.path, or the start of a package there."""
    is_standard: bool = False
    """It is a module of a standard library."""


class Finder:
    """Look-ups for every file of one tree."""

    def __init__(self, tree: FileTree, layout: Layout, modules: Modules, working_directory: str) -> None:
        self._tree = tree
        self._layout = layout
        self._modules = modules
        there = tree.find(working_directory or "/").path
        self._working = (there,) if there != "/" else ()
        self._same: dict[tuple[tuple[Environment, ...], tuple[str, ...]], Place] = {}
        """Places by their search paths: what is known of one holds for all."""
        self._scope = lru_cache(maxsize=_MEMORY)(self._scope_of)
        self._vendored = lru_cache(maxsize=_MEMORY)(self._vendored_in)
        self._directories: dict[str, list[str]] = {}
        self.place = lru_cache(maxsize=_PLACES)(self._place)
        """`place(path)`, `place(path, environments)`: where a file is, which may name its interpreter itself."""
        self.top_level = lru_cache(maxsize=256)(self._top_level)
        """`top_level(environments)`: names of the modules and packages that they hold."""

    def _place(self, path: str, environments: tuple[Environment, ...] = ()) -> Place:
        directory, _, name = path.rpartition("/")
        scope = self._scope(directory or "/", environments, name.startswith("__init__."))
        return replace(scope, path=path)

    def _scope_of(self, directory: str, environments: tuple[Environment, ...], starts_package: bool) -> Place:
        """Return the place of a directory: all that its files have in common, apart from those that start a package."""
        root = self._layout.root_of(directory)
        local: tuple[str, ...] = ()
        if root is not None and root not in self._layout.extra:
            found = self._layout.of_root(root)
        else:
            found = environments or self._layout.near(directory)
            local = tuple(dict.fromkeys([*_up_to_top(directory), *self._working, *self._layout.extra]))
        same = self._same.setdefault((found, local), Place("", "", "", found, local, _version(found)))
        root = root or self._above_packages(directory)
        top = posixpath.join(root, directory[len(root) + 1 :].partition("/")[0])
        vendored = self._vendored(top) if directory != root else ()
        library = root.removesuffix("/lib-dynload")
        return replace(
            same,
            directory=directory,
            root=root,
            vendored=vendored,
            in_package=directory != root,
            starts_package=starts_package,
            is_top_level=root == (posixpath.dirname(directory) if starts_package else directory),
            is_standard=any(library == each.standard_library for each in found),
        )

    def _above_packages(self, directory: str) -> str:
        while directory != "/" and self._modules.is_package(directory):
            directory = posixpath.dirname(directory)
        return directory

    def absolute(self, place: Place, name: str) -> tuple[Resolution, ...]:
        """Find a dotted name in every search path that the file may run with; as much of it as there is."""
        found = place.known.get(name)
        if found is None:
            found = place.known[name] = self._look_up(place.local, place.environments, name)
        return found

    def _look_up(
        self, local: tuple[str, ...], environments: tuple[Environment, ...], name: str
    ) -> tuple[Resolution, ...]:
        length = name.count(".") + 1
        tries = [self._modules.resolve((directory,), "", name) for directory in local]
        found = [each for each in tries if _complete(each, length)]
        installed = [self._modules.resolve(each.roots, each.version, name) for each in environments]
        found += [each for each in installed if _complete(each, length)]
        if not found and local:
            others = [self._modules.resolve(each.roots, each.version, name) for each in self._layout.environments]
            found = [each for each in others if _complete(each, length)]
        return tuple(dict.fromkeys(found or [each for each in installed if each.length]))

    def _vendored_in(self, top: str) -> tuple[str, ...]:
        return tuple(path for path in self._tree.children(top) if _VENDORED.fullmatch(posixpath.basename(path)))

    def relative(self, place: Place, dots: int, name: str) -> Resolution:
        """Find a name below the package that so many dots mean; an empty name is that package itself."""
        directory = place.directory
        for _ in range(dots - 1):
            directory = posixpath.dirname(directory)
        if not name:
            return Resolution(Module(self.start_of(directory, place.version), directory), 0)
        return self._modules.descend(directory, name, place.version)

    def start_of(self, directory: str, version: str) -> tuple[str, ...]:
        """Return the files that run when a package is imported."""
        there = self._modules.member(directory, "__init__", version)
        return there.files if there is not None else ()

    def package_above(self, place: Place) -> str:
        """Return the nearest directory with a start file that the file is in and does not start; empty for none."""
        here = posixpath.dirname(place.directory) if place.starts_package else place.directory
        while here not in {place.root, "/"}:
            if self._modules.is_package(here):
                return here
            here = posixpath.dirname(here)
        return ""

    def packages_named(self, place: Place, name: str, above: str = "") -> Iterator[str]:
        """Yield the packages that a dotted name ends as `management.commands` ends `one.app.management.commands`.

        Those that the file may import, and below one directory when that is given.
        """
        if not self._directories:
            for directory in self._tree.directories():
                self._directories.setdefault(posixpath.basename(directory), []).append(directory)
        end = "/" + name.replace(".", "/")
        roots = [above] if above else [*place.local, *(root for each in place.environments for root in each.roots)]
        for directory in self._directories.get(end.rpartition("/")[2], ()):
            if directory.endswith(end) and any(directory.startswith(f"{root}/") for root in roots):
                yield directory

    def _top_level(self, environments: tuple[Environment, ...]) -> frozenset[str]:
        roots = dict.fromkeys(root for each in environments for root in each.roots)
        return frozenset(name for root in roots for name in self._modules.names(root))


def files_of(resolutions: Sequence[Resolution]) -> Iterator[str]:
    for each in resolutions:
        if each.module is not None:
            yield from each.module.files


def _complete(resolution: Resolution, length: int) -> bool:
    return resolution.length == length and resolution.module is not None and bool(resolution.module.files)


def _version(environments: tuple[Environment, ...]) -> str:
    versions = {each.version for each in environments}
    return versions.pop() if len(versions) == 1 else ""


def _up_to_top(directory: str) -> Iterator[str]:
    while directory != "/":
        yield directory
        directory = posixpath.dirname(directory)
