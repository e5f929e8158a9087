"""Imports and string literals of a Python source text, without a parser.

https://docs.python.org/3/reference/lexical_analysis.html and simple_stmts.html#the-import-statement

A parser would need a minute for a large image, refuses sources of other Python versions, and sees no more than this:
one pass replaces strings by their number and drops comments, after which every statement that starts with `import` or
`from` is an import. Broken text gives fewer results, never an error.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

# Every alternative starts with a fixed character: the search then skips what is none of them. No group is possessive:
# before Python 3.11.5 re gets those wrong (https://github.com/python/cpython/issues/106052).
_TOKEN = re.compile(
    r"""
      \#[^\n]*+
    | \"\"\" [^"\\]*+ (?: (?: \\. | "(?!"") ) [^"\\]*+ )* (?: \"\"\" | \Z )
    | \'\'\' [^'\\]*+ (?: (?: \\. | '(?!'') ) [^'\\]*+ )* (?: \'\'\' | \Z )
    | "     [^"\\\n]*+ (?: \\. [^"\\\n]*+ )* "?
    | '     [^'\\\n]*+ (?: \\. [^'\\\n]*+ )* '?
    | \\\n
    """,
    re.VERBOSE | re.DOTALL,
)
_WORD = re.compile(r"import\b")
_BEFORE = re.compile(r"[ \t\f]*+(?:(?P<from>from)\b[ \t]*+(?P<dots>[. \t]*+)(?P<module>[\w. \t]*+))?")
_AFTER = re.compile(r"[ \t]*+(?:\(([^()]{0,65536})\)|([^;\n]{1,4096}))")
_FUNCTION = re.compile(r"(?:async[ \t]+)?def\b")
_TYPING_BLOCK = re.compile(r"if[ \t(]+(?:\w+[ \t]*\.[ \t]*)?TYPE_CHECKING[ \t)]*:")
_MAIN_BLOCK = re.compile(r"if[ \t(]+__name__[ \t]*==")
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_LONGEST_STRING = 1 << 16
_PREFIX = re.compile(r"\s*+[A-Za-z]{0,2}")
_LONGEST_HEADER = 200
_LONGEST_LINE = 4096
"""How far a statement is looked for in its line; only generated data has longer ones."""
_LEADING = re.compile(r"[ \t\f]*+")


class When(Enum):
    """When an import statement runs."""

    LOAD = "as the module loads"
    CALL = "when a function is called, or the file is run as a script"
    NEVER = "for type checkers only"


@dataclass(frozen=True, slots=True)
class Import:
    module: str
    """Dotted; empty in `from . import name`."""
    names: tuple[str, ...] = ()
    """What is taken from the module; empty for `import module`."""
    dots: int = 0
    """Leading dots: 0 is absolute."""
    when: When = When.LOAD


@dataclass(frozen=True, slots=True)
class Source:
    code: str
    """The text without comments, continuation lines joined, each string literal replaced by its number: `f(r"12")`."""
    strings: tuple[str, ...]
    """Contents of the literals as written, escapes not decoded; empty for documentation strings."""
    imports: tuple[Import, ...]


def decode(raw: bytes) -> str:
    """Decode a source text with the line ends and the byte order mark that Python accepts."""
    text = raw.decode("utf-8-sig", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def scan(text: str) -> Source:
    strings: list[str] = []
    parts: list[str] = []
    end = 0
    for token in _TOKEN.finditer(text):
        parts.append(text[end : token.start()])
        end = token.end()
        literal = token[0]
        if literal[0] == "\\":
            parts.append(" ")
        elif literal[0] != "#":
            parts.append(f'"{len(strings)}"')
            strings.append(_content(text, token.start(), literal))
    parts.append(text[end:])
    code = "".join(parts)
    return Source(code, tuple(strings), tuple(find_imports(code)))


def _content(text: str, start: int, literal: str) -> str:
    triple = literal.startswith(('"""', "'''"))
    if triple:
        nearest = max(0, start - _LONGEST_LINE)
        line = text.rfind("\n", nearest, start) + 1
        if (line or not nearest) and _PREFIX.fullmatch(text, line, start):
            return ""  # documentation: a statement of its own
    width = 3 if triple else 1
    return literal[width : -width if literal.endswith(literal[:width]) else None][:_LONGEST_STRING]


def find_imports(code: str) -> Iterator[Import]:
    """Yield the import statements of a text that has neither comments nor strings with line ends in it."""
    known: dict[int, tuple[int, When]] = {}
    for word in _WORD.finditer(code):
        nearest = max(0, word.start() - _LONGEST_LINE)
        line = code.rfind("\n", nearest, word.start()) + 1
        if line == 0 and nearest > 0:
            continue
        start = max(code.rfind(";", line, word.start()), code.rfind(":", line, word.start()), line - 1) + 1
        before = _BEFORE.fullmatch(code, start, word.start())
        after = _AFTER.match(code, word.end())
        if before is not None and after is not None:
            yield from _statement(before, after, _when(code, line, start, known))


def _statement(before: re.Match[str], after: re.Match[str], when: When) -> Iterator[Import]:
    names = _names(after[1] or after[2] or "")
    if before["from"] is None:
        yield from (Import(name, when=when) for name in names if after[1] is None and name != "*")
        return
    module = re.sub(r"\s", "", before["module"])
    dots = before["dots"].count(".")
    taken = tuple(names)
    if taken and (dots or module) and (not module or _DOTTED.fullmatch(module)):
        yield Import(module, taken, dots, when)


def _names(text: str) -> Iterator[str]:
    for part in text.split(","):
        words = (re.sub(r"\s*\.\s*", ".", part) if " ." in part or ". " in part else part).split()
        if words and (words[0] == "*" or _DOTTED.fullmatch(words[0])):
            yield words[0]


def _when(code: str, line: int, position: int, known: dict[int, tuple[int, When]]) -> When:
    """Look at the headers of the blocks around a statement in the line at `line`, innermost first.

    `known` has the lines of earlier imports, with their indentation: what holds for one holds for its neighbours.
    """
    found = _block(code[line:position].lstrip()) if position > line else When.LOAD
    width = indentation = _indentation(code, line)
    start = line
    while width > 0 and start > 0 and found is When.LOAD:
        start = code.rfind("\n", 0, start - 1) + 1
        neighbour = known.get(start)
        if neighbour is not None and neighbour[0] == width:
            found = neighbour[1]
            break
        text = _text_start(code, start)
        # A line that starts with a closing bracket ends a longer header, which is further up.
        if text - start < width and code[text] not in ")]}\n" and _indentation(code, start) < width:
            width = _indentation(code, start)
            found = _block(code[text : text + _LONGEST_HEADER])
    if position == line:
        known[line] = indentation, found
    return found


def _block(header: str) -> When:
    if _FUNCTION.match(header) or _MAIN_BLOCK.match(header):
        return When.CALL
    return When.NEVER if _TYPING_BLOCK.match(header) else When.LOAD


def _text_start(code: str, start: int) -> int:
    leading = _LEADING.match(code, start)
    return leading.end() if leading else start


def _indentation(code: str, start: int) -> int:
    """Return the columns of the white space at a position, a tab reaching to the next multiple of eight."""
    return len(code[start : _text_start(code, start)].rpartition("\f")[2].expandtabs(8))
