"""The few facts of an ELF file that decide what else it needs.

https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html (ELF header, program header, dynamic section)

Read by hand and not by a library: an image holds thousands of these files, each answer needs a few hundred bytes of
one, and the bytes may be hostile, so every offset is checked against the size of the file before it is followed.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

MAGIC = b"\x7fELF"
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 10, 14, 15, 29
_SHT_PROGBITS, _SHF_ALLOC, _SHF_EXECINSTR = 1, 2, 4
_MAX_NAME = 4096
_MAX_TABLE = 1 << 22
"""Bytes of a header table that are read; real ones have a few thousand."""
_TEXT_SECTIONS = (".rodata", ".lrodata", ".data", ".ldata", ".noptrdata")
_POINTER_SECTIONS = (".data.rel.ro",)


class _BrokenError(ValueError):
    """The file's own offsets lead out of it."""


class Binary(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One ELF file."""

    kind: tuple[int, int, int]
    """Class, byte order and machine: the loader takes no library of another kind."""
    interpreter: str = ""
    """PT_INTERP: the loader of an executable; empty for libraries and static executables."""
    needed: tuple[str, ...] = ()
    soname: str = ""
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    dynamic_names: tuple[int, int] = (0, 0)
    """Offset and size of the dynamic string table: names of all imported and exported symbols."""
    texts: tuple[tuple[int, int], ...] = ()
    """Offset and size of what may hold character strings."""


@dataclass(frozen=True, slots=True)
class _Layout:
    order: str
    wide: bool

    def unpack(self, narrow: str, wide: str, raw: bytes) -> Iterator[tuple[int, ...]]:
        code = struct.Struct(self.order + (wide if self.wide else narrow))
        return code.iter_unpack(raw[: len(raw) - len(raw) % code.size])


@dataclass(frozen=True, slots=True)
class _Segment:
    type: int
    offset: int
    address: int
    size: int


class _File:
    """Bounded reads of one file."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self.size = size

    def at(self, offset: int, size: int) -> bytes:
        if offset < 0 or size < 0 or offset + size > self.size or size > _MAX_TABLE:
            raise _BrokenError
        self._stream.seek(offset)
        raw = self._stream.read(size)
        if len(raw) != size:
            raise _BrokenError
        return raw

    def name(self, offset: int, end: int) -> str:
        raw = self.at(offset, max(0, min(_MAX_NAME, end - offset, self.size - offset)))
        # A name in another encoding finds nothing: facts are kept as valid text.
        return raw.partition(b"\0")[0].decode("utf-8", "replace")


def parse(stream: BinaryIO, size: int) -> Binary | None:
    """Read a binary; None when the stream is not an ELF file or contradicts itself."""
    try:
        return _parse(_File(stream, size))
    except _BrokenError:
        return None


def _parse(file: _File) -> Binary | None:
    if file.size < 52 or file.at(0, 4) != MAGIC:
        return None
    ident = file.at(0, 20)
    if ident[4] not in {1, 2} or ident[5] not in {1, 2}:
        return None
    layout = _Layout("<" if ident[5] == 1 else ">", ident[4] == 2)
    machine = int.from_bytes(ident[18:20], "little" if ident[5] == 1 else "big")
    header = file.at(24, 40 if layout.wide else 28)
    if len(header) < 28:
        return None
    fields = next(layout.unpack("IIIIHHHHHH", "QQQIHHHHHH", header))
    _, programs, sections, _, _, _, program_count, _, section_count, names = fields
    segments = _segments(file, layout, programs, program_count)
    binary = Binary(
        kind=(ident[4], ident[5], machine),
        interpreter=next((file.name(s.offset, s.offset + s.size) for s in segments if s.type == _PT_INTERP), ""),
        texts=_texts(file, layout, sections, section_count, names),
    )
    return _with_dynamic(binary, file, layout, segments)


def _segments(file: _File, layout: _Layout, offset: int, count: int) -> list[_Segment]:
    raw = file.at(offset, count * (56 if layout.wide else 32)) if offset else b""
    rows = layout.unpack("IIIIIIII", "IIQQQQQQ", raw)
    if layout.wide:
        return [_Segment(row[0], row[2], row[3], row[5]) for row in rows]
    return [_Segment(row[0], row[1], row[2], row[4]) for row in rows]


def _with_dynamic(binary: Binary, file: _File, layout: _Layout, segments: list[_Segment]) -> Binary:
    segment = next((each for each in segments if each.type == _PT_DYNAMIC), None)
    if segment is None:
        return binary
    tags: list[tuple[int, int]] = []
    size = min(segment.size, file.size - segment.offset)
    for tag, value in layout.unpack("iI", "qQ", file.at(segment.offset, size)):
        if tag == _DT_NULL:
            break
        tags.append((tag, value))
    values = dict(tags)
    start = _offset_of(values.get(_DT_STRTAB, 0), segments)
    size = values.get(_DT_STRSZ, 0)
    if start is None or start + size > file.size:
        return binary
    names = {
        tag: tuple(file.name(start + at, start + size) for key, at in tags if key == tag and at < size)
        for tag in (_DT_NEEDED, _DT_SONAME, _DT_RPATH, _DT_RUNPATH)
    }
    return msgspec.structs.replace(
        binary,
        needed=names[_DT_NEEDED],
        soname="".join(names[_DT_SONAME][:1]),
        rpath=_directories(names[_DT_RPATH]),
        runpath=_directories(names[_DT_RUNPATH]),
        dynamic_names=(start, size),
    )


def _directories(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for value in values for part in value.split(":") if part)


def _offset_of(address: int, segments: list[_Segment]) -> int | None:
    for segment in segments:
        if segment.type == _PT_LOAD and segment.address <= address < segment.address + segment.size:
            return address - segment.address + segment.offset
    return None


def _texts(file: _File, layout: _Layout, offset: int, count: int, names: int) -> tuple[tuple[int, int], ...]:
    """Find the sections with constant data; the whole file when it has no section table."""
    width = 64 if layout.wide else 40
    if not offset or not count or offset + count * width > file.size:
        return ((0, file.size),)
    rows = list(layout.unpack("IIIIIIIIII", "IIQQQQIIQQ", file.at(offset, count * width)))
    if names >= len(rows):
        return ((0, file.size),)
    start, size = rows[names][4], rows[names][5]
    table = file.at(start, min(size, file.size - start, _MAX_TABLE)) if start < file.size else b""
    return tuple(
        (row[4], min(row[5], file.size - row[4]))
        for row in rows
        if row[1] == _SHT_PROGBITS and row[2] & _SHF_ALLOC and not row[2] & _SHF_EXECINSTR and row[4] < file.size
        if _holds_text(table[row[0] : row[0] + _MAX_NAME].partition(b"\0")[0].decode("utf-8", "replace"))
    )


def _holds_text(section: str) -> bool:
    return section.startswith(_TEXT_SECTIONS) and not section.startswith(_POINTER_SECTIONS)


def has_symbol(stream: BinaryIO, binary: Binary, name: bytes) -> bool:
    """Tell whether a name ends an entry of the dynamic string table: imported, or exported, which is as good."""
    offset, left = binary.dynamic_names
    wanted = name + b"\0"
    stream.seek(offset)
    before = b""
    while left > 0:
        data = stream.read(min(_MAX_TABLE, left))
        if not data:
            return False
        if wanted in before + data:
            return True
        left -= len(data)
        before = data[-len(wanted) :]
    return False
