"""Whether a text tells others where it is, so that they may import for it: by its name, or by its path.

A path is mostly for data. It counts where something gets it that another package defines: functions of the text itself
import where that is seen, and those of the standard library open files.
"""

import builtins
import re
import sys
from collections.abc import Iterable, Iterator

from mlbloat.usage.python.source import Source

_NAME = re.compile(r"(?<![\w.])(?<!getLogger\()(?<!get_logger\()__(?:name|package|spec)__(?!\w|[ \t]*[=!]=|[ \t]*=)")
"""What code has to hand to a helper that imports for it: a logger's name and a comparison tell nobody."""
_FILLED_WITH_NAME = re.compile(r"\{__(?:name|package|spec)__")
"""The same in an f-string."""
_PATH = "__file__"
_STANDARD = frozenset(sys.stdlib_module_names) - {"importlib", "imp", "pkgutil", "runpy", "zipimport"}
_BUILT_IN = frozenset(dir(builtins)) - {"__import__", "compile", "eval", "exec"}
_WORDS = frozenset({"and", "assert", "elif", "else", "for", "if", "in", "is", "not", "or", "return", "while", "yield"})
"""Before a bracket that calls nothing."""
_COLLECTS = frozenset({"add", "append", "extend", "format", "insert", "join", "joinpath", "setdefault", "update"})
_BRACKET = re.compile(r"[()\[\]{}\n]")
_CALLED = re.compile(r"([^\W\d]\w*)((?:\.\w+)*)\Z")
_DEFINED = re.compile(r"\b(?:def|class)[ \t]+(\w+)")
_IMPORTED = re.compile(r"[ \t]*(?:from[ \t]+([\w.]+)[ \t]+)?import\b(.*)", re.DOTALL)
_WORD = re.compile(r"[\w.]+")
_ASSIGNED = re.compile(r"[ \t]*(?:for[ \t]+)?([^\W\d]\w*)[ \t]*(?::[^=]*)?(?:=(?!=)|in\b)")
_LONGEST_CALLED = 128
_LONGEST_STATEMENT = 1 << 14
_MOST_PLACES = 64
"""A text in which a path is in more places, or in a longer statement, is not read: it may tell anybody."""


def says_where(source: Source) -> bool:
    """Tell whether another package may get the module's name or path."""
    if _NAME.search(source.code) is not None or any(map(_FILLED_WITH_NAME.search, source.strings)):
        return True
    return _PATH in source.code and _hands_on(source.code)


def _hands_on(code: str) -> bool:
    statements = list(_statements(code))
    known = _known(code, statements)
    names, places = [_PATH], 0
    for name in names:
        word = re.compile(rf"(?<![\w.]){name}\b(?![ \t]*=[^=])")
        for statement in statements:
            found = [match.start() for match in word.finditer(statement)] if name in statement else []
            places += len(found)
            if places > _MOST_PLACES or (found and len(statement) > _LONGEST_STATEMENT):
                return True
            if any(not known.issuperset(_callees(statement, position)) for position in found):
                return True
            assigned = _ASSIGNED.match(statement) if found else None
            if assigned is not None and assigned[1] not in names:
                names.append(assigned[1])
    return False


def _known(code: str, statements: Iterable[str]) -> set[str]:
    """Return the names of what imports for nobody else."""
    known = {*_BUILT_IN, *_WORDS, "self", "cls", *_DEFINED.findall(code)}
    for statement in statements:
        imported = _IMPORTED.match(statement)
        for part in imported[2].split(",") if imported is not None else ():
            words = _WORD.findall(part)
            top = (imported[1] or words[0]).partition(".")[0] if imported is not None and words else ""
            if top in _STANDARD:
                known.add(words[-1] if len(words) > 1 else words[0].partition(".")[0])
            elif words:
                known.discard(words[-1])
    return known


def _statements(code: str) -> Iterator[str]:
    """Yield the lines of a text, those that brackets continue as one."""
    start = depth = 0
    for match in _BRACKET.finditer(code):
        if match[0] != "\n":
            depth = max(0, depth + (1 if match[0] in "([{" else -1))
        elif not depth:
            yield code[start : match.start()]
            start = match.end()
    yield code[start:]


def _callees(statement: str, position: int) -> Iterator[str]:
    """Yield the names of what is called with what is at a position, however deep it is in the arguments."""
    depth = 0
    for match in reversed(list(_BRACKET.finditer(statement, 0, position))):
        if match[0] in ")]}":
            depth += 1
        elif match[0] == "\n":
            continue
        elif depth:
            depth -= 1
        elif match[0] == "(":
            at = match.start()
            called = _CALLED.search(statement, max(0, at - _LONGEST_CALLED), at)
            if called is not None and called[2].rpartition(".")[2] not in _COLLECTS:
                yield called[1]
