"""Uses that the strings of an extension module, or of a library that embeds Python, lead to."""

from collections.abc import Iterator
from functools import lru_cache

from mlbloat.model.package import Inventory
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.python.binary import Strings
from mlbloat.usage.python.cython import MARKS
from mlbloat.usage.python.finder import Finder, Place, files_of
from mlbloat.usage.python.layout import Environment
from mlbloat.usage.python.modules import EXTENSION, Module, Modules

_LEAST_UNMARKED = 2
"""A shorter name is anywhere in a table without marks between the names."""
_LONGEST_NAME = 64


class Extensions:
    def __init__(self, inventory: Inventory, finder: Finder, modules: Modules) -> None:
        self._inventory = inventory
        self._finder = finder
        self._modules = modules
        self._packages = {package.key: package for package in inventory.packages}
        self._provided = lru_cache(maxsize=1 << 12)(self._names_provided)
        self._ends = lru_cache(maxsize=1 << 16)(self._names_at_end)

    def named(self, place: Place, strings: Strings) -> Iterator[Use]:
        for path in dict.fromkeys(self._linked(place, strings)):
            yield Use(path, Level.LINKED, Reason.IMPORTED, place.path)
        hidden = self._all_around(place) if _hides_names(strings) else ()
        for path in dict.fromkeys([*self._glued(place, strings), *self._single(place, strings), *hidden]):
            yield Use(path, Level.SAFE, Reason.MAY_IMPORT, place.path)

    def _all_around(self, place: Place) -> Iterator[str]:
        """Every module of the outermost package, and what the distribution requires: any of them may be imported."""
        if place.in_package:
            top = place.directory[len(place.root) + 1 :].partition("/")[0]
            yield from self._modules.submodules(f"{place.root}/{top}", place.version, recursive=True)
        for owner in self._inventory.owners.get(place.path, ()):
            for key in owner.requires:
                for name in sorted(self._provided(key, place.root)):
                    yield from files_of(self._finder.absolute(place, name))

    def _linked(self, place: Place, strings: Strings) -> Iterator[str]:
        """Extension modules named in full: their C functions are imported as the module loads (Cython's cimport)."""
        for word in sorted(strings.words):
            if "." in word:
                for path in files_of(
                    [each for each in self._finder.absolute(place, word) if each.length == word.count(".") + 1]
                ):
                    if EXTENSION.fullmatch(path.rpartition("/")[2]):
                        yield path

    def _single(self, place: Place, strings: Strings) -> Iterator[str]:
        """Modules named without a package: neighbours, and top-level ones."""
        known = self._finder.top_level(place.environments)
        neighbours = self._modules.names(place.directory) if place.in_package else ()
        for name in sorted(known & strings.words):
            yield from files_of(self._finder.absolute(place, name))
        likely = sorted(self._likely(place)) if strings.tables else []
        for name in likely:
            if len(name) >= _LEAST_UNMARKED and _in_any(strings.tables, name):
                yield from files_of(self._finder.absolute(place, name))
        for name in neighbours:
            if name in strings.words or (len(name) >= _LEAST_UNMARKED and _in_any(strings.tables, name)):
                module = self._modules.member(place.directory, name, place.version)
                yield from module.files if module is not None else ()

    def _likely(self, place: Place) -> Iterator[str]:
        """Yield what a distribution imports without naming it clearly: the standard library and its requirements."""
        for each in place.environments:
            if each.standard_library:
                yield from (name for name in self._modules.names(each.standard_library) if name != "test")
        keys = {key for owner in self._inventory.owners.get(place.path, ()) for key in owner.requires}
        for key in keys:
            yield from self._provided(key, place.root)

    def _names_provided(self, key: str, root: str) -> frozenset[str]:
        """Return the top-level names that a distribution puts in a directory of modules."""
        package = self._packages.get(key)
        inside = [path[len(root) + 1 :] for path in package.files if path.startswith(f"{root}/")] if package else []
        return frozenset(path.partition("/")[0].partition(".")[0] for path in inside)

    def _glued(self, place: Place, strings: Strings) -> Iterator[str]:
        for run in sorted(strings.glued):
            parts = run.split(".")
            for number, part in enumerate(parts[:-1]):
                for name in self._ends(place.environments, part):
                    yield from self._walk(place, name, parts[number + 1 :])

    def _names_at_end(self, environments: tuple[Environment, ...], part: str) -> tuple[str, ...]:
        """Return the top-level names that a run of name characters may end with, the shortest first."""
        known = self._finder.top_level(environments)
        ends = (part[-length:] for length in range(1, min(len(part), _LONGEST_NAME) + 1))
        return tuple(end for end in ends if end in known)

    def _walk(self, place: Place, top: str, parts: list[str]) -> Iterator[str]:
        """Follow names from a top-level package; the last may have a neighbour's characters at its end."""
        for found in self._finder.absolute(place, top):
            module: Module | None = found.module
            for part in parts:
                if module is None or not module.directory:
                    break
                directory = module.directory
                module = self._modules.member(directory, part, place.version)
                if module is not None:
                    yield from module.files
                    continue
                for length in range(2, min(len(part), _LONGEST_NAME)):
                    glued = self._modules.member(directory, part[:length], place.version)
                    yield from glued.files if glued is not None else ()


def _in_any(tables: tuple[str, ...], name: str) -> bool:
    return True in [name in table for table in tables]  # most often one: a generator takes longer than the search


def _hides_names(strings: Strings) -> bool:
    """Tell a module of Cython whose table of names is packed in a way that is not known here."""
    if "cython_runtime" not in strings.words or not MARKS.isdisjoint(strings.words):
        return False
    return not any(mark in table for mark in MARKS for table in strings.tables)
