"""Uses that the string literals of a source lead to: names of modules, plug-in groups, libraries, programs and files.

Whatever a name is used for, it counts only where something of that name exists; the more general the name, the more the
code around it must look like code that imports, loads or runs. A name that is put together from the network, a file or
the environment cannot be seen here.
"""

import fnmatch
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from mlbloat.model.package import Inventory
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.ground import Ground
from mlbloat.usage.python.data import DataFiles
from mlbloat.usage.python.distributions import Distributions
from mlbloat.usage.python.entrypoints import EntryPoint, entry_points
from mlbloat.usage.python.facts import ANY_NAME, SOURCE, SourceFacts
from mlbloat.usage.python.finder import Finder, Place, files_of
from mlbloat.usage.python.imports import Imports
from mlbloat.usage.python.layout import Environment
from mlbloat.usage.python.modules import TESTS, Modules, Resolution
from mlbloat.usage.python.source import Import, When

_OF_PYTEST = "conftest"
"""Loaded by pytest itself, and named elsewhere only to be left out: https://docs.pytest.org/en/stable/reference/fixtures.html"""
_MAGIC = re.compile(r"[*?\[]")


class Literals:
    def __init__(
        self,
        ground: Ground,
        inventory: Inventory,
        finder: Finder,
        modules: Modules,
        imports: Imports,
        data: DataFiles,
    ) -> None:
        self._ground = ground
        self._finder = finder
        self._modules = modules
        self._imports = imports
        self._data = data
        self._distributions = Distributions(inventory)
        self._names = ground.names
        self._groups = lru_cache(maxsize=256)(self._groups_of)

    def uses(self, place: Place, facts: SourceFacts) -> Iterator[Use]:
        if facts.lazy:
            # What a lazy package tells type checkers is what it loads later.
            hints = (each for each in facts.imports if each.when is When.NEVER and _is_own(place, each))
            yield from self._imports.uses(place, hints, deferred=True, until=When.NEVER)
        if facts.lazy or not place.is_standard:
            # Tables of names in the standard library are for data of other times, as in `_compat_pickle`.
            yield from self._dotted(place, facts)
        yield from self._own_modules(place, facts)
        yield from self._computed(place, facts)
        yield from self._importer_calls(place, facts)
        if facts.code:
            certain = [statement for statement in facts.code if self._is_certain(place, statement)]
            yield from self._imports.uses(place, certain, deferred=True)
        yield from self._plugins(place, facts)
        yield from self._files(place, facts)
        for path in self._distributions.named((*facts.names, *facts.files)) if facts.asks_metadata else ():
            yield Use(path, Level.SAFE, Reason.ASKED, place.path)
        for name in facts.libraries:
            for path in self._names.libraries(name):
                yield Use(path, Level.SAFE, Reason.MAY_LOAD, place.path)
        for name in facts.programs:
            program = self._names.program(name)
            if program is not None:
                yield Use(program, Level.SAFE, Reason.MAY_RUN, place.path)
        yield from self._names.path_uses(facts.paths, place.path)

    def _dotted(self, place: Place, facts: SourceFacts) -> Iterator[Use]:
        """`package.module`, `package.module.object`, `package.module:object`."""
        for name in facts.dotted:
            for each in self._finder.absolute(place, name):
                if each.length > 1 and each.module is not None:
                    for path in each.module.files:
                        yield Use(path, Level.SAFE, Reason.MAY_IMPORT, place.path)

    def _own_modules(self, place: Place, facts: SourceFacts) -> Iterator[Use]:
        """Lazy tables: of the package's own modules the named ones, or all where none can be."""
        if facts.reads_stub:
            yield Use(place.path + "i", Level.SAFE, Reason.NAMED, place.path)
        if not place.in_package:
            return
        if facts.lazy or (place.starts_package and facts.names_modules):
            for name in facts.names:
                if name != _OF_PYTEST and (
                    name[0] == "." or self._modules.has(place.directory, name.partition(".")[0])
                ):
                    yield from self._imports.relative(place, name, Level.SAFE)
        if (place.starts_package and facts.replaces_itself) or facts.lists_modules or facts.walks_packages:
            yield from self._imports.submodules(place, place.directory, recursive=facts.walks_packages)

    def _computed(self, place: Place, facts: SourceFacts) -> Iterator[Use]:
        for prefix in facts.prefixes:
            yield from self._all_below(place, prefix)
        if facts.computed:
            if place.in_package:
                yield from self._imports.submodules(place, place.directory)
            # What the standard library computes comes from its callers: its own strings are no module names.
            known = frozenset[str]() if place.is_standard else self._finder.top_level(place.environments)
            for name in facts.names:
                if name in known:
                    yield from self._imports.absolute(place, name, Level.SAFE)
        yield from self._gathered(place, facts)

    def _gathered(self, place: Place, facts: SourceFacts) -> Iterator[Use]:
        """What a framework looks for under one name in many packages: `{app}.management.commands.{name}`."""
        found = [self._finder.packages_named(place, name) for name in facts.infixes]
        if facts.lists_modules and facts.computed and place.in_package and not place.is_standard:
            top = "/".join([place.root, place.path[len(place.root) + 1 :].partition("/")[0]])
            words = (name for name in facts.names if "." not in name and name not in TESTS)
            found += [self._finder.packages_named(place, name, top) for name in words]
        for directory in dict.fromkeys(itertools.chain.from_iterable(found)):
            yield from self._imports.submodules(place, directory)

    def _all_below(self, place: Place, prefix: str) -> Iterator[Use]:
        bare = prefix.strip(".")
        dots = len(prefix) - len(prefix.lstrip("."))
        if dots and place.in_package:
            found = self._finder.relative(place, dots, bare)
            if found.module is not None and found.module.directory != place.root:  # where modules begin is no package
                yield from self._below(place, [found])
        elif bare:
            length = bare.count(".") + 1
            yield from self._below(place, [e for e in self._finder.absolute(place, bare) if e.length == length])

    def _importer_calls(self, place: Place, facts: SourceFacts) -> Iterator[Use]:
        for name in facts.called:
            if name.startswith("."):
                yield from self._imports.relative(place, name, Level.SAFE)
                continue
            yield from self._imports.absolute(place, name, Level.SAFE)
            if facts.hooks:
                # An import hook gives a package's modules other names, which only its callers know.
                yield from self._below(place, self._finder.absolute(place, name), recursive=True)
        for dots, name in facts.handed:
            found = [self._finder.relative(place, dots, name)] if dots else self._finder.absolute(place, name)
            yield from self._below(place, found, recursive=True)
        for name in facts.started:
            yield from self.run_module(place, name, Level.SAFE)

    def _below(self, place: Place, found: Iterable[Resolution], *, recursive: bool = False) -> Iterator[Use]:
        for each in found:
            if each.module is not None and each.module.directory:
                yield from self._imports.submodules(place, each.module.directory, recursive=recursive)

    def run_module(self, place: Place, name: str, level: Level) -> Iterator[Use]:
        """`python -m name`: a module, or a package's `__main__`."""
        if ANY_NAME.fullmatch(name) and not name.startswith("."):
            yield from self._imports.absolute(place, name, level)
            yield from self._imports.absolute(place, f"{name}.__main__", level)
            for path in files_of(self._finder.absolute(place, name)):
                yield from self._run(path)

    def _run(self, path: str) -> Iterator[Use]:
        """Yield what a module imports only when it is run."""
        entry = self._ground.tree[path]
        facts = self._ground.learning.of(SOURCE, entry) if path.endswith(".py") else SourceFacts()
        only = (each for each in facts.imports if each.when is When.SCRIPT)
        yield from self._imports.uses(self._finder.place(path), only, until=When.SCRIPT)

    def _is_certain(self, place: Place, statement: Import) -> bool:
        """Prose has sentences such as "from the import list"; a program names modules that exist, whole."""
        length = statement.module.count(".") + 1
        return any(each.length == length for each in self._finder.absolute(place, statement.module))

    def _plugins(self, place: Place, facts: SourceFacts) -> Iterator[Use]:
        groups = self._groups(place.environments) if facts.groups else {}
        for group in facts.groups if groups else ():
            for point in groups.get(group, ()):
                yield Use(point.path, Level.SAFE, Reason.NAMED, place.path)
                # Named, not only imported: plug-ins are of distributions that nobody here requires.
                for path in files_of(self._finder.absolute(place, point.module)):
                    yield Use(path, Level.SAFE, Reason.NAMED, place.path)

    def _groups_of(self, environments: tuple[Environment, ...]) -> Mapping[str, tuple[EntryPoint, ...]]:
        merged: dict[str, tuple[EntryPoint, ...]] = {}
        for root in dict.fromkeys(root for each in environments for root in each.roots):
            for group, points in entry_points(self._ground, root).items():
                merged[group] = (*merged.get(group, ()), *points)
        return merged

    def _files(self, place: Place, facts: SourceFacts) -> Iterator[Use]:
        """Programs, libraries, sources and scripts of the file's own package, by their names."""
        package = place.directory if self._modules.is_package(place.directory) else self._finder.package_above(place)
        named = self._data.inside(package) if package else {}
        if named:
            for name in (*facts.files, *facts.names, *_matches(named, facts.patterns)):
                for path in named.get(name, ()):
                    yield Use(path, Level.SAFE, Reason.NAMED, place.path)
        for name in (*facts.files, *facts.names):
            if name.endswith(".py"):
                yield Use(f"{place.directory}/{name}", Level.SAFE, Reason.NAMED, place.path)


def _is_own(place: Place, statement: Import) -> bool:
    """Tell an import of the file's own package; a type checker is told of others that nothing here loads."""
    if statement.dots or place.local:
        return True
    return statement.module.partition(".")[0] == place.path[len(place.root) + 1 :].partition("/")[0]


def _matches(named: Mapping[str, tuple[str, ...]], patterns: Iterable[str]) -> Iterator[str]:
    """Yield the names that shell patterns match; most patterns are none, and making an expression of one takes long."""
    for pattern in patterns:
        head = _MAGIC.split(pattern, maxsplit=1)[0]
        tail = pattern.rpartition("*")[2]
        tail = "" if _MAGIC.search(tail) or "]" in tail else tail
        likely = [name for name in named if name.startswith(head) and name.endswith(tail)]
        yield from fnmatch.filter(likely, pattern) if likely else ()
