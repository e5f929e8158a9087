"""Edges from texts of the languages of the table, and between the files of what is installed together."""

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from mlbloat.model.filetree import Entry, Kind
from mlbloat.model.package import Inventory
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.elf.head import HEAD
from mlbloat.usage.ground import Ground
from mlbloat.usage.languages.facts import NEEDS, TEXTS, TextFacts
from mlbloat.usage.languages.finder import Finder
from mlbloat.usage.languages.table import LANGUAGES, Language
from mlbloat.usage.reach import Offer
from mlbloat.usage.shell import SCRIPT, SHELLS

_BY_SUFFIX = {suffix: language for language in LANGUAGES for suffix in language.suffixes}


class LanguageReader:
    """Reads texts by their suffix or `#!` line, and any file by the place that it is in."""

    def __init__(self, ground: Ground, inventory: Inventory, seeds: Iterable[Use]) -> None:
        self._tree = ground.tree
        self._learning = ground.learning
        self._names = ground.names
        self._finders = {language.name: Finder(ground, inventory, language) for language in LANGUAGES}
        self._in_use = self._languages_of(seeds)

    def prepare(self, entries: Sequence[Entry]) -> None:
        for language in LANGUAGES:
            texts = [entry for entry in entries if entry.name.endswith(language.suffixes)]
            self._learning.ahead(TEXTS[language.name], texts)

    def read(self, entry: Entry) -> Iterable[Use | Offer]:
        """Yield what a file leads to; a module does so only where a text that is none is reached, which may load it."""
        found: dict[tuple[str, Reason], Use | Offer] = {}
        language = self._language(entry)
        if language is not None and not _describes(language, entry.path):
            self._take(language, entry, self._text(language, entry), found)
        for each in self._started_by(entry) if language is None else ():
            facts = self._learning.of(TEXTS[each.name], entry)
            found |= {(use.path, use.reason): use for use in self._modules(self._finders[each.name], facts, entry.path)}
        for each in self._languages_at(entry.path):
            if not _describes(each, entry.path):
                self._take(each, entry, self._together(each, entry.path), found)
        return found.values()

    def group_of(self, entry: Entry) -> str:
        """Return the group of a text that is no module: a program of the language; empty for others."""
        language = self._language(entry)
        return _programs(language) if language and not self._finders[language.name].module(entry.path) else ""

    def _languages_of(self, seeds: Iterable[Use]) -> frozenset[str]:
        """Return the languages that a run, the image's commands or its application use."""
        there = (self._tree.get(use.path) for use in seeds if use.reason is not Reason.LISTED)
        known = (self._language(entry) for entry in there if entry is not None and entry.kind is Kind.FILE)
        return frozenset(language.name for language in known if language is not None)

    def _take(
        self, language: Language, entry: Entry, uses: Iterable[Use], found: dict[tuple[str, Reason], Use | Offer]
    ) -> None:
        at_once = language.name in self._in_use or self.group_of(entry)
        for use in uses:
            if use.path != entry.path:
                found.setdefault((use.path, use.reason), use if at_once else Offer(use, _programs(language)))

    def _started_by(self, entry: Entry) -> Iterator[Language]:
        """Yield the languages that a shell script has a line of, as in `perl -MName -e …`."""
        words = self._learning.of(HEAD, entry).words[:2] if entry.mode & 0o111 else ()
        if any(posixpath.basename(word) in SHELLS for word in words):
            started = {posixpath.basename(command) for command in self._learning.of(SCRIPT, entry).commands}
            yield from (each for each in LANGUAGES if any(map(each.interpreters.fullmatch, started)))

    def _language(self, entry: Entry) -> Language | None:
        suffix = posixpath.splitext(entry.name)[1]
        if suffix in _BY_SUFFIX:
            return _BY_SUFFIX[suffix]
        if not entry.mode & 0o111 and suffix:
            return None
        programs = (posixpath.basename(word) for word in self._learning.of(HEAD, entry).words if word[0] != "-")
        name = next((each for each in programs if each != "env" and "=" not in each), "")
        return next((each for each in LANGUAGES if each.interpreters.fullmatch(name)), None)

    @cached_property
    def _anchors(self) -> dict[str, list[Language]]:
        found: dict[str, list[Language]] = {}
        for language in LANGUAGES:
            for directory in self._finders[language.name].anchors:
                found.setdefault(directory, []).append(language)
        return found

    def _languages_at(self, path: str) -> Iterator[Language]:
        if self._anchors:
            found: dict[str, Language] = {}
            directory = posixpath.dirname(path)
            while directory != "/":
                found |= {each.name: each for each in self._anchors.get(directory, ())}
                directory = posixpath.dirname(directory)
            yield from found.values()

    def _text(self, language: Language, entry: Entry) -> Iterator[Use]:
        finder, facts = self._finders[language.name], self._learning.of(TEXTS[language.name], entry)
        yield from self._modules(finder, facts, entry.path)
        for name in facts.names:
            for path in finder.near(name, entry.path):
                yield Use(path, Level.SAFE, Reason.MAY_IMPORT, entry.path)
        module = finder.module(entry.path)
        for path in finder.beside(module) if module else ():
            yield Use(path, Level.SAFE, Reason.DATA, entry.path)
        for path in finder.below(module, texts=True) if module and facts.computes else ():
            yield Use(path, Level.SAFE, Reason.MAY_IMPORT, entry.path)
        yield from self._names.path_uses(facts.paths, entry.path)
        for word in facts.commands:
            program = self._names.program(word)
            if program is not None:
                yield Use(program, Level.SAFE, Reason.MAY_RUN, entry.path)

    def _modules(self, finder: Finder, facts: TextFacts, by: str) -> Iterator[Use]:
        for name in facts.names:
            for path in finder.known(name):
                yield Use(path, Level.SAFE, Reason.MAY_IMPORT, by)
        for beginning in facts.beginnings:
            for path in finder.below(beginning):
                yield Use(path, Level.SAFE, Reason.MAY_IMPORT, by)

    def _together(self, language: Language, path: str) -> Iterator[Use]:
        """Yield what belongs together with a file: from one file of it, so that not each leads to each."""
        finder = self._finders[language.name]
        leader = finder.leader(path)
        if leader and leader != path:
            yield Use(leader, Level.SAFE, Reason.SAME_PACKAGE, path)
        for each in finder.members(path) if leader == path else ():
            yield Use(each, Level.SAFE, Reason.SAME_PACKAGE, path)
            described = self._tree.find(each).entry if _describes(language, each) else None
            if described is not None and described.kind is Kind.FILE:  # it may be a link, to nothing even
                yield from self._modules(finder, self._learning.of(NEEDS[language.name], described), path)


def _programs(language: Language) -> str:
    return f"programs in {language.name}"


def _describes(language: Language, path: str) -> bool:
    return language.about is not None and language.about.fullmatch(path) is not None
