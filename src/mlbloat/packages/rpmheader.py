"""The header of an rpm package: tags with typed values, as a package's file and rpm's database have it.

https://rpm-software-management.github.io/rpm/manual/format_header.html, lib/rpmtag.h for the tags.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from mlbloat.packages.database import text_of

_INTRO = struct.Struct(">II")
_INDEX = struct.Struct(">IIII")
_INT16, _INT32, _STRING, _STRINGS, _LOCALISED = 3, 4, 6, 8, 9
_NAME = re.compile(r"[A-Za-z0-9_%][A-Za-z0-9_%{}.+-]*")
"""What rpmbuild takes (build/parsePreamble.c), without the bytes beyond ASCII that it does not check."""
_ARCHITECTURE = re.compile(r"[A-Za-z0-9_]*")
MAX_TAGS = 10_000
"""A header has about a hundred."""
MAX_VALUES = 2_000_000
"""Of one tag; the largest packages have some 100,000 files."""


class Tag(IntEnum):
    NAME = 1000
    VERSION = 1001
    RELEASE = 1002
    EPOCH = 1003
    ARCH = 1022
    OLD_FILE_NAMES = 1027
    FILE_STATES = 1029
    PROVIDES = 1047
    REQUIRES = 1049
    DIRECTORY_INDEXES = 1116
    BASE_NAMES = 1117
    DIRECTORY_NAMES = 1118
    RECOMMENDS = 5046


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    name: str
    version: str
    """`epoch:version-release`, without an epoch that is none or 0."""
    architecture: str
    paths: tuple[str, ...]
    provides: tuple[str, ...]
    requires: tuple[str, ...]
    recommends: tuple[str, ...]


def header(blob: bytes) -> Header:
    """Parse a header; raise ValueError when it is none or names no package."""
    tags = dict(_tags(blob))
    name, version, release = (_first(tags, tag) for tag in (Tag.NAME, Tag.VERSION, Tag.RELEASE))
    architecture = _first(tags, Tag.ARCH)
    if not (_NAME.fullmatch(name) and _ARCHITECTURE.fullmatch(architecture) and version and version.isprintable()):
        raise ValueError(f"a header has no valid name and version ({name[:80]!r})")
    epoch = _first(tags, Tag.EPOCH)
    return Header(
        name=name,
        version=(f"{epoch}:" if epoch not in ("", "0") else "") + (f"{version}-{release}" if release else version),
        architecture=architecture,
        paths=tuple(_paths(tags)),
        provides=_texts(tags, Tag.PROVIDES),
        requires=_texts(tags, Tag.REQUIRES),
        recommends=_texts(tags, Tag.RECOMMENDS),
    )


_Values = list[str] | list[int]


def _tags(blob: bytes) -> Iterator[tuple[int, _Values]]:
    if len(blob) < _INTRO.size:
        raise ValueError("a header is cut off")
    count, length = _INTRO.unpack_from(blob)
    start = _INTRO.size + count * _INDEX.size
    if count > MAX_TAGS or start + length > len(blob):
        raise ValueError("a header is cut off, or none")
    store = blob[start : start + length]
    wanted = frozenset(Tag)
    for number in range(count):
        tag, kind, offset, values = _INDEX.unpack_from(blob, _INTRO.size + number * _INDEX.size)
        if tag in wanted and values <= MAX_VALUES and offset <= length:
            yield tag, _values(store, kind, offset, values)


def _values(store: bytes, kind: int, offset: int, count: int) -> _Values:
    size = {_INT16: 2, _INT32: 4}.get(kind)
    if size is not None:
        if offset + size * count > len(store):
            raise ValueError("a tag of a header is cut off")
        return list(struct.unpack_from(f">{count}{'H' if size == 2 else 'I'}", store, offset))
    if kind in (_STRING, _STRINGS, _LOCALISED):
        return _strings(store, offset, 1 if kind == _STRING else count)
    return []


def _strings(store: bytes, offset: int, count: int) -> list[str]:
    found = []
    for _ in range(count):
        end = store.find(b"\0", offset)
        if end < 0:
            raise ValueError("a text of a header is cut off")
        found.append(text_of(store[offset:end]))
        offset = end + 1
    return found


def _first(tags: dict[int, _Values], tag: Tag) -> str:
    values = tags.get(tag) or [""]
    return str(values[0])


def _texts(tags: dict[int, _Values], tag: Tag) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in tags.get(tag, ()) if isinstance(value, str)))


def _paths(tags: dict[int, _Values]) -> Iterator[str]:
    """Directories are listed once, and each file has the number of its own."""
    yield from _texts(tags, Tag.OLD_FILE_NAMES)
    directories = tags.get(Tag.DIRECTORY_NAMES, [])
    for number, base in zip(tags.get(Tag.DIRECTORY_INDEXES, ()), tags.get(Tag.BASE_NAMES, ()), strict=False):
        if not isinstance(number, int) or number >= len(directories):
            raise ValueError("a file of a header is in no directory")
        yield f"{directories[number]}{base}"
