"""Uses that the import statements of a source lead to."""

from collections.abc import Iterable, Iterator

from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.python.finder import Finder, Place, files_of
from mlbloat.usage.python.modules import Modules, Resolution
from mlbloat.usage.python.source import Import, When


class Imports:
    def __init__(self, finder: Finder, modules: Modules) -> None:
        self._finder = finder
        self._modules = modules

    def uses(
        self, place: Place, imports: Iterable[Import], *, deferred: bool = False, typing: bool = False
    ) -> Iterator[Use]:
        """Yield what the imports load.

        `deferred` when the text around them decides whether they run at all; `typing` when what type checkers are told
        counts: a lazy package tells them what it loads later.
        """
        for statement in imports:
            if statement.when is not When.NEVER or typing:
                level = Level.LINKED if statement.when is When.LOAD and not deferred else Level.SAFE
                yield from self._statement(place, statement, level)

    def absolute(self, place: Place, name: str, level: Level) -> Iterator[Use]:
        """Yield the module of a dotted name, or as much of it as there is."""
        for found, certain in self._found(place, name):
            yield from _uses(place, files_of([found]), level if certain else Level.SAFE)

    def _found(self, place: Place, name: str) -> Iterator[tuple[Resolution, bool]]:
        found = self._finder.absolute(place, name)
        yield from ((each, True) for each in found)
        if place.in_package:
            for directory in self._finder.added(place.root, place.directory, alone=not found):
                yield self._modules.descend(directory, name.split("."), place.version), False

    def relative(self, place: Place, name: str, level: Level) -> Iterator[Use]:
        """Yield the module of a name such as `..package.module`."""
        bare = name.lstrip(".")
        found = self._finder.relative(place, max(1, len(name) - len(bare)), bare)
        yield from _uses(place, files_of([found]), level)

    def submodules(self, place: Place, directory: str, *, recursive: bool = False) -> Iterator[Use]:
        yield from _uses(place, self._modules.submodules(directory, place.version, recursive=recursive), Level.SAFE)

    def _statement(self, place: Place, statement: Import, level: Level) -> Iterator[Use]:
        if not statement.names:
            yield from self.absolute(place, statement.module, level)
            return
        if statement.dots:
            found = [(self._finder.relative(place, statement.dots, statement.module), True)]
        else:
            found = list(self._found(place, statement.module))
        length = statement.module.count(".") + 1 if statement.module else 0
        for each, certain in found:
            best = level if certain else Level.SAFE
            yield from _uses(place, files_of([each]), best)
            if each.module is not None and each.module.directory and each.length == length:
                for name in statement.names:
                    member = self._modules.member(each.module.directory, name, place.version)
                    yield from _uses(place, member.files if member is not None else (), best)


def _uses(place: Place, files: Iterable[str], level: Level) -> Iterator[Use]:
    reason = Reason.IMPORTED if level is Level.LINKED else Reason.MAY_IMPORT
    for path in files:
        yield Use(path, level, reason, place.path)
