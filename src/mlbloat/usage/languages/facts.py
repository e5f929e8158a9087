"""What a text of a language says: names of modules, beginnings of such names, paths, programs that it may start.

A pure function of the text. Whether the image has what is named is for the finder to say.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import msgspec

from mlbloat.model.filetree import Entry, FileTree
from mlbloat.usage.candidates import paths_in
from mlbloat.usage.languages.table import LANGUAGES, Language
from mlbloat.usage.learning import Kind

_LARGEST_TEXT = 1 << 22
_MOST_NAMES = 20_000
_PROGRAM = r"['\"]?([A-Za-z0-9_./+-]+)"
_COMMANDS = (
    re.compile(
        rf"\b(?:system2?|exec[lv]?p?e?|spawn|popen\d?|shell_exec|passthru|proc_open|qx|open[23]?|capture\w*)\b[\s({{\['\",|/-]*{_PROGRAM}"
    ),
    re.compile(rf"`{_PROGRAM}"),
    re.compile(r"['\"]\|?\s*([A-Za-z0-9_./+-]++)[^'\"\n]{0,200}\|['\"]"),
)
"""Calls that start a program, in whichever language, and its name."""


class TextFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Each value once, in the order of the text."""

    names: tuple[str, ...] = ()
    beginnings: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    """Runs of characters with an absolute path in them."""
    commands: tuple[str, ...] = ()
    computes: bool = False
    """It puts names together."""


def learn(raw: bytes, language: Language) -> TextFacts:
    """Read a text; nothing of what is none."""
    if b"\0" in raw:
        return TextFacts()
    text = language.comments.sub("", raw.decode("utf-8", "replace"))
    return TextFacts(
        _once((*_words(language, language.names, text), *_on_demand(language, text))),
        _once(_words(language, language.beginnings, text)),
        _once(path.decode("ascii") for path, _ in paths_in(text.encode())),
        _once(match[1] for pattern in _COMMANDS for match in pattern.finditer(text)),
        language.computed is not None and language.computed.search(text) is not None,
    )


def _on_demand(language: Language, text: str) -> Iterator[str]:
    for pattern, names in language.on_demand:
        if pattern.search(text):
            yield from names.split()


def needs(raw: bytes, language: Language) -> TextFacts:
    """Read a file that says what a package needs."""
    text = raw.decode("utf-8", "replace")
    return TextFacts(_once(_words(language, (language.needs,) if language.needs else (), text)))


def listed(raw: bytes, language: Language) -> TextFacts:
    """Read a file that says which names its directory is for."""
    text = language.comments.sub("", raw.decode("utf-8", "replace"))
    return TextFacts(_once(_words(language, (language.listing,) if language.listing else (), text)))


def _words(language: Language, patterns: Iterable[re.Pattern[str]], text: str) -> Iterator[str]:
    for pattern in patterns:
        for match in pattern.finditer(text):
            for word in language.word.findall(next(group for group in match.groups() if group is not None)):
                yield re.sub(r"/{2,}", "/", word.replace(language.separator, "/"))


def _once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))[:_MOST_NAMES]


def _kind(what: Callable[[bytes, Language], TextFacts], language: Language) -> Kind[TextFacts]:
    return Kind(f"{language.name}-{what.__name__}/1", TextFacts, partial(_read, what, language))


def _read(what: Callable[[bytes, Language], TextFacts], language: Language, tree: FileTree, entry: Entry) -> TextFacts:
    return what(tree.read(entry, _LARGEST_TEXT), language)


TEXTS = {language.name: _kind(learn, language) for language in LANGUAGES}
NEEDS = {language.name: _kind(needs, language) for language in LANGUAGES}
LISTED = {language.name: _kind(listed, language) for language in LANGUAGES}
