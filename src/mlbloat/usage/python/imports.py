"""Uses that the import statements of a source lead to."""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.python.finder import Finder, Place, files_of
from mlbloat.usage.python.modules import Modules, Resolution
from mlbloat.usage.python.source import Import, When
from mlbloat.usage.python.startup import HOOK, SHIMS


class Imports:
    def __init__(self, finder: Finder, modules: Modules) -> None:
        self._finder = finder
        self._modules = modules

    def uses(
        self, place: Place, imports: Iterable[Import], *, deferred: bool = False, until: When = When.CALL
    ) -> list[Use]:
        """Return what the imports load that run at all, which the last of `until` says.

        `deferred` when the text around them decides whether they run.
        """
        found: list[Use] = []
        for statement in imports:
            if statement.when <= until:
                level = Level.LINKED if statement.when <= When.BLOCK and not deferred else Level.SAFE
                self._statement(place, statement, level, found)
        return found

    def absolute(self, place: Place, name: str, level: Level, *, sure: bool = True) -> Iterator[Use]:
        """Yield the module of a dotted name, or as much of it as there is; `sure` when nothing decides about it."""
        found = self._finder.absolute(place, name)
        yield from _uses(place, files_of(found), level, sure=sure)
        for each in self._inside(place, name, alone=place.in_package and not found):
            yield from _uses(place, files_of((each,)), Level.SAFE)
        answered = self._answered(place, name)
        # Without an answer the standard library's own module is loaded, where it still has one.
        yield from self.absolute(place, answered, Level.SAFE if found else level, sure=sure) if answered else ()

    def _answered(self, place: Place, name: str) -> str:
        """Return the name of the module that an installed hook loads for another one; empty for none."""
        top, dot, rest = name.partition(".")
        if top not in SHIMS or not self._finder.absolute(place, HOOK):
            return ""
        return SHIMS[top] + dot + rest

    def _inside(self, place: Place, name: str, *, alone: bool) -> Iterator[Resolution]:
        """Find a name in directories of the package itself, which it may put on the search path or not."""
        # A program inside a package has its own directory first; that only says something about an unknown name.
        for directory in (*place.vendored, place.directory) if alone else place.vendored:
            yield self._modules.descend(directory, name, place.version)

    def relative(self, place: Place, name: str, level: Level) -> Iterator[Use]:
        """Yield the module of a name such as `..package.module`."""
        bare = name.lstrip(".")
        found = self._finder.relative(place, max(1, len(name) - len(bare)), bare)
        yield from _uses(place, files_of([found]), level)

    def submodules(self, place: Place, directory: str, *, recursive: bool = False) -> Iterator[Use]:
        yield from _uses(place, self._modules.submodules(directory, place.version, recursive=recursive), Level.SAFE)

    def _statement(self, place: Place, statement: Import, level: Level, uses: list[Use]) -> None:
        sure = statement.when is not When.BLOCK
        if not statement.names:
            uses.extend(self.absolute(place, statement.module, level, sure=sure))
            return
        if statement.dots:
            found = self._finder.relative(place, statement.dots, statement.module)
            uses.extend(_uses(place, self._files(place, statement, (found,)), level, sure=sure))
            return
        # The same statement stands in many files, and means the same wherever the search path is the same.
        key = (statement.module, statement.names)
        files = place.statements.get(key)
        absolute = self._finder.absolute(place, statement.module)
        if files is None:
            files = place.statements[key] = tuple(dict.fromkeys(self._files(place, statement, absolute)))
        uses.extend(_uses(place, files, level, sure=sure))
        for each in self._inside(place, statement.module, alone=place.in_package and not absolute):
            uses.extend(_uses(place, self._files(place, statement, (each,)), Level.SAFE))
        answered = self._answered(place, statement.module)
        if answered:
            self._statement(place, replace(statement, module=answered), Level.SAFE if files else level, uses)

    def _files(self, place: Place, statement: Import, found: Iterable[Resolution]) -> Iterator[str]:
        length = statement.module.count(".") + 1 if statement.module else 0
        for each in found:
            yield from files_of((each,))
            if each.module is not None and each.module.directory and each.length == length:
                for name in statement.names:
                    member = self._modules.member(each.module.directory, name, place.version)
                    if member is not None:
                        yield from member.files


def _uses(place: Place, files: Iterable[str], level: Level, *, sure: bool = True) -> list[Use]:
    reason = Reason.IMPORTED if level is Level.LINKED and sure else Reason.MAY_IMPORT
    return [Use(path, level, reason, place.path) for path in files]
