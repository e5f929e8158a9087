"""Imports and string literals of a Python source text, without a parser.

https://docs.python.org/3/reference/lexical_analysis.html and simple_stmts.html#the-import-statement

A parser would need a minute for a large image, refuses sources of other Python versions, and sees no more than this:
one pass replaces strings by their number and drops comments, after which every statement that starts with `import` or
`from` is an import. Broken text gives fewer results, never an error.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import msgspec

# Every alternative starts with a fixed character: the search then skips what is none of them. No group is possessive:
# before Python 3.11.5 re gets those wrong (https://github.com/python/cpython/issues/106052).
_TOKEN = re.compile(
    r"""
    ( \#[^\n]*+
    | \"\"\" [^"\\]*+ (?: (?: \\. | "(?!"") ) [^"\\]*+ )* (?: \"\"\" | \Z )
    | \'\'\' [^'\\]*+ (?: (?: \\. | '(?!'') ) [^'\\]*+ )* (?: \'\'\' | \Z )
    | "     [^"\\\n]*+ (?: \\. [^"\\\n]*+ )* "?
    | '     [^'\\\n]*+ (?: \\. [^'\\\n]*+ )* '?
    | \\\n )
    """,
    re.VERBOSE | re.DOTALL,
)
_WORD = "import"
_BEFORE = re.compile(r"[ \t\f]*+(?:(?P<from>from)\b[ \t]*+(?P<dots>[. \t]*+)(?P<module>[\w. \t]*+))?")
_AFTER = re.compile(r"[ \t]*+(?:\(([^()]{0,65536})\)|([^;\n]{1,4096}))")
_FUNCTION = re.compile(r"(?:async[ \t]+)?def\b")
_OTHER_BLOCK = re.compile(r"(?:if|elif|else|try|except|finally|with|for|while)\b")
_TYPING_BLOCK = re.compile(r"if[ \t(]+(?:\w+[ \t]*\.[ \t]*)?TYPE_CHECKING[ \t)]*:")
_MAIN_BLOCK = re.compile(r"if[ \t(]+__name__[ \t]*==|def[ \t]+_test\(\)")
"""`_test()` is what modules of the standard library call there to test themselves."""
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_PLAIN = re.compile(rf"([ ]*+)(?:from (\.*+)({_DOTTED.pattern})? )?import ({_DOTTED.pattern}(?:, {_DOTTED.pattern})*)")
"""How nearly all import statements are written, on a line of their own."""
_LONGEST_STRING = 1 << 16
_PREFIX = re.compile(r"\s*+[A-Za-z]{0,2}")
_LONGEST_HEADER = 200
_LONGEST_LINE = 4096
"""How far a statement is looked for in its line; only generated data has longer ones."""
_WHITE = re.compile(r"\s")
_AROUND_DOT = re.compile(r"\s*\.\s*")
_LEADING = re.compile(r"[ \t\f]*+")


class When(IntEnum):
    """When an import statement runs."""

    LOAD = 0
    """As the module loads, whatever happens."""
    BLOCK = 1
    """As the module loads, in a block that decides whether, or what happens without: `try`, `if`, `with`."""
    CALL = 2
    """When a function is called."""
    SCRIPT = 3
    """When the file is run as a script, `if __name__ == "__main__":`."""
    NEVER = 4
    """For type checkers only."""


class Import(msgspec.Struct, frozen=True, array_like=True, gc=False):
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
    text = raw.decode("ascii") if raw.isascii() else raw.decode("utf-8-sig", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def scan(text: str) -> Source:
    strings: list[str] = []
    # Text between tokens and tokens in turn: the one group keeps what it splits at.
    parts = _TOKEN.split(text)
    for at in range(1, len(parts), 2):
        token = parts[at]
        first = token[0]
        if first == "#":
            parts[at] = ""
        elif first == "\\":
            parts[at] = " "
        else:
            parts[at] = f'"{len(strings)}"'
            if token.startswith(('"""', "'''")):
                strings.append("" if _is_documentation(parts, at) else _content(token, 3))
            else:
                strings.append(token[1 : -1 if token[-1] == first else None][:_LONGEST_STRING])
    code = "".join(parts)
    return Source(code, tuple(strings), tuple(find_imports(code)))


def _content(literal: str, width: int) -> str:
    return literal[width : -width if literal.endswith(literal[:width]) else None][:_LONGEST_STRING]


def _is_documentation(parts: list[str], at: int) -> bool:
    """Tell whether the literal at a place among the parts of a text begins a line: then it is a statement."""
    _, end_of_line, line = parts[at - 1].rpartition("\n")
    # What is before on the line can only be white space when it is the first part, or the line was continued.
    if not end_of_line and at > 1 and parts[at - 2] != " ":
        return False
    return len(line) <= _LONGEST_LINE and _PREFIX.fullmatch(line) is not None


def find_imports(code: str) -> Iterator[Import]:
    """Yield the import statements of a text that has neither comments nor strings with line ends in it."""
    known: dict[int, tuple[int, When]] = {}
    for position, after_word in _words(code):
        nearest = max(0, position - _LONGEST_LINE)
        line = code.rfind("\n", nearest, position) + 1
        if line == 0 and nearest > 0:
            continue
        end = code.find("\n", position)
        plain = _PLAIN.fullmatch(code, line, end if end >= 0 else len(code))
        if plain is not None:
            indentation, dots, module, names = plain.groups()
            when = _when(code, line, line, known) if indentation else When.LOAD
            yield from _plain(dots, module, names.split(", "), when)
            continue
        start = max(code.rfind(";", line, position), code.rfind(":", line, position), line - 1) + 1
        before = _BEFORE.fullmatch(code, start, position)
        after = _AFTER.match(code, after_word) if before is not None else None
        if before is not None and after is not None:
            at_start = start == line and code[line] in "fi"
            when = When.LOAD if at_start else _when(code, line, start, known)
            yield from _statement(before, after, when)


def _words(code: str) -> Iterator[tuple[int, int]]:
    """Yield where the word `import` begins and ends; a plain search is several times as fast as an expression."""
    position = code.find(_WORD)
    while position >= 0:
        end = position + len(_WORD)
        if not _in_name(code[position - 1 : position]) and not _in_name(code[end : end + 1]):
            yield position, end
        position = code.find(_WORD, end)


def _in_name(character: str) -> bool:
    return character.isalnum() or character == "_"


def _plain(dots: str | None, module: str | None, names: list[str], when: When) -> Iterator[Import]:
    if dots is None:
        for name in names:
            yield Import(name, (), 0, when)
    elif dots or module:
        yield Import(module or "", tuple(names), len(dots), when)


def _statement(before: re.Match[str], after: re.Match[str], when: When) -> Iterator[Import]:
    listed, plain = after.groups()
    names = _names(listed or plain or "")
    is_from, dots, module = before.groups()
    if is_from is None:
        if listed is None:
            for name in names:
                if name != "*":
                    yield Import(name, (), 0, when)
        return
    module = _WHITE.sub("", module) if " " in module or "\t" in module else module
    level = dots.count(".")
    if names and (level or module) and (not module or module.isidentifier() or _DOTTED.fullmatch(module)):
        yield Import(module, tuple(names), level, when)


def _names(text: str) -> list[str]:
    found = []
    for part in text.split(","):
        words = (_AROUND_DOT.sub(".", part) if " ." in part or ". " in part else part).split()
        if words and (words[0].isidentifier() or words[0] == "*" or _DOTTED.fullmatch(words[0])):
            found.append(words[0])
    return found


def _when(code: str, line: int, position: int, known: dict[int, tuple[int, When]]) -> When:
    """Look at the headers of the blocks around a statement in the line at `line`, innermost first.

    `known` has the lines of earlier imports, with their indentation: what holds for one holds for its neighbours.
    """
    own = _block(code[line:position].lstrip()) if position > line else When.LOAD
    found = When.LOAD
    width = indentation = _indentation(code, line)
    start = line
    while width > 0 and start > 0 and found <= When.BLOCK:
        start = code.rfind("\n", 0, start - 1) + 1
        neighbour = known.get(start)
        if neighbour is not None and neighbour[0] == width:
            found = max(found, neighbour[1])
            break
        text = _text_start(code, start)
        # A line that starts with a closing bracket ends a longer header, which is further up.
        if text - start < width and code[text] not in ")]}\n" and _indentation(code, start) < width:
            width = _indentation(code, start)
            found = max(found, _block(code[text : text + _LONGEST_HEADER]))
    known[line] = indentation, found
    return max(own, found)


def _block(header: str) -> When:
    if _MAIN_BLOCK.match(header):
        return When.SCRIPT
    if _FUNCTION.match(header):
        return When.CALL
    if _TYPING_BLOCK.match(header):
        return When.NEVER
    return When.BLOCK if _OTHER_BLOCK.match(header) else When.LOAD


def _text_start(code: str, start: int) -> int:
    leading = _LEADING.match(code, start)
    return leading.end() if leading else start


def _indentation(code: str, start: int) -> int:
    """Return the columns of the white space at a position, a tab reaching to the next multiple of eight."""
    return len(code[start : _text_start(code, start)].rpartition("\f")[2].expandtabs(8))
