"""What strace prints, as values: one line, one value. strace(1), with -f -y -xx.

Every byte of a string and of a path is written as `\\xNN`, so that none of them can be taken for anything else.
"""

import re
from dataclasses import dataclass

_LINE = re.compile(rb"(\d+) +(.*)", re.DOTALL)
_CALL = re.compile(rb"([a-z_][a-z0-9_]*)\(")
_RESUMED = re.compile(rb"<\.\.\. ([a-z_][a-z0-9_]*) resumed>")
_UNFINISHED = b"<unfinished ...>"
_RESULT = re.compile(rb"\)\s*= (\?|-?\d+|0x[0-9a-f]+)(?:<([^<>]*)>(?:\(deleted\))?)?")
_SUPERSEDED = re.compile(rb"\+\+\+ superseded by execve in pid (\d+) ")
_ARGUMENT = re.compile(
    rb'(?P<string>"(?P<text>(?:\\x[0-9a-f]{2})*)"(?P<cut>\.\.\.)?)'
    rb"|(?P<descriptor>-?\d+|AT_FDCWD)(?:<(?P<path>[^<>]*)>(?:\(deleted\))?)?(?=[,)\s])"
    rb"|(?P<address>0x[0-9a-f]+)(?=[,)\s])"
    rb"|[A-Za-z0-9_|]+(?=[,)\s])"
)
_BETWEEN = re.compile(rb",\s*")
_DELETED = b" (deleted)"
_IPV4 = re.compile(rb'sa_family=AF_INET, sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]*)"\)')
_IPV6 = re.compile(rb'sa_family=AF_INET6, sin6_port=htons\((\d+)\), .*?inet_pton\(AF_INET6, "([^"]*)", ')


@dataclass(frozen=True, slots=True)
class Text:
    """A string that a call was given."""

    content: bytes
    whole: bool = True
    """Whether it was not longer than strace prints."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    number: int | None
    """None: the working directory."""
    path: bytes | None = None
    """Where it leads, as strace sees it; None when that is no file, or not said."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where something is in the memory of the process, which could not be read or is no string."""


Argument = Text | Descriptor | Address | None
"""None: something else."""


@dataclass(frozen=True, slots=True)
class Began:
    """A call as far as its arguments are known before it is made."""

    process: int
    name: str
    arguments: tuple[Argument, ...]
    """Up to the first that is a structure, a list or a pointer."""
    rest: bytes
    """All arguments, as they are printed."""
    ended: "Ended | None" = None
    """None: what other processes did is printed before its result."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The result of a call."""

    process: int
    name: str
    result: int | None
    """None: it never returned."""
    path: bytes | None = None
    """Of the descriptor that it returned."""
    rest: bytes = b""

    @property
    def good(self) -> bool:
        return self.result is not None and self.result >= 0


@dataclass(frozen=True, slots=True)
class Gone:
    """A process or thread ended."""

    process: int


@dataclass(frozen=True, slots=True)
class Replaced:
    """A thread executed a program: the process goes on with what the thread was about."""

    process: int
    thread: int


Line = Began | Ended | Gone | Replaced


def parsed(line: bytes) -> Line | None:
    """Return what a line says; None for signals, changes of the word size, and what is no line of strace's."""
    found = _LINE.match(line)
    if found is None:
        return None
    process, said = int(found[1]), found[2]
    if call := _CALL.match(said):
        return _began(process, call[1].decode("ascii"), said[call.end() :])
    if resumed := _RESUMED.match(said):
        return _ended(process, resumed[1].decode("ascii"), said[resumed.end() :])
    if superseded := _SUPERSEDED.match(said):
        return Replaced(process, int(superseded[1]))
    return Gone(process) if said.startswith(b"+++ ") else None


def decoded(escaped: bytes) -> bytes:
    """Return the bytes of an escaped string, and of one that is not escaped itself."""
    if not escaped.startswith(b"\\x"):
        return escaped
    try:
        return bytes.fromhex(escaped.replace(b"\\x", b"").decode("ascii"))
    except ValueError:
        return escaped


def address_in(rest: bytes) -> tuple[str, int] | None:
    """Return the internet address and port in the arguments of connect(2)."""
    found = _IPV4.search(rest) or _IPV6.search(rest)
    return None if found is None else (decoded(found[2]).decode("ascii", "replace"), int(found[1]))


def _began(process: int, name: str, rest: bytes) -> Began:
    unfinished = rest.endswith(_UNFINISHED)
    ended = None if unfinished else _ended(process, name, rest)
    return Began(process, name, _arguments(rest), rest, ended)


def _ended(process: int, name: str, rest: bytes) -> Ended:
    found = _RESULT.search(rest)
    if found is None:
        return Ended(process, name, None, rest=rest)  # killed in the middle of it
    result = None if found[1] == b"?" else int(found[1], 16 if found[1].startswith(b"0x") else 10)
    return Ended(process, name, result, _path(found[2]), rest)


def _arguments(rest: bytes) -> tuple[Argument, ...]:
    arguments: list[Argument] = []
    position = 0
    while found := _ARGUMENT.match(rest, position):
        arguments.append(_argument(found))
        between = _BETWEEN.match(rest, found.end())
        if between is None:
            break
        position = between.end()
    return tuple(arguments)


def _argument(found: re.Match[bytes]) -> Argument:
    if found["string"] is not None:
        return Text(decoded(found["text"]), found["cut"] is None)
    if found["address"] is not None:
        return Address()
    number = found["descriptor"]
    if number is None:
        return None
    return Descriptor(None if number == b"AT_FDCWD" else int(number), _path(found["path"]))


def _path(escaped: bytes | None) -> bytes | None:
    """Return the path that a descriptor is annotated with; None for pipes, sockets and the like."""
    if escaped is None:
        return None
    path = decoded(escaped).removesuffix(_DELETED)
    return path if path.startswith(b"/") else None
