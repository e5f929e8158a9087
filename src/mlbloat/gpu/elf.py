"""Where an ELF file may hold code for GPUs: its sections with data, or its segments when it has no section table.

https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html. Little-endian 64-bit only, as all hosts of GPUs are.
"""

import struct
from dataclasses import dataclass

from mlbloat.gpu.window import BrokenError, Window

MAGIC = b"\x7fELF\x02\x01"
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_PT_LOAD, _SHT_PROGBITS, _SHF_ALLOC, _SHF_EXECINSTR = 1, 1, 2, 4
_MAX_SECTIONS = 1 << 14
_MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of the file."""

    name: bytes
    """Of the section; empty where that is not known."""
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Elf:
    machine: int
    flags: int
    abi: int
    """Version of the ABI."""
    spans: tuple[Span, ...]
    """By place; they do not overlap."""


def read(file: Window) -> Elf:
    """BrokenError for a file that is no such ELF file, or contradicts itself."""
    fields = _HEADER.unpack(file.at(0, _HEADER.size))
    ident, _, machine, _, _, segments, sections, flags, _, segment_size, segment_count = fields[:11]
    section_size, section_count, names = fields[11:]
    if not ident.startswith(MAGIC):
        raise BrokenError
    spans = []
    if sections and section_count and section_size == _SECTION.size:
        spans = _sections(file, sections, min(section_count, _MAX_SECTIONS), names)
    elif segments and segment_size == _SEGMENT.size:
        spans = _segments(file, segments, segment_count)
    return Elf(machine, flags, ident[8], _apart(spans, file.size))


def _sections(file: Window, offset: int, count: int, names: int) -> list[Span]:
    rows = list(_SECTION.iter_unpack(file.at(offset, count * _SECTION.size)))
    texts = b""
    if names < len(rows):
        start, size = rows[names][4:6]
        texts = file.at(start, min(size, 1 << 20))
    return [
        Span(texts[name : name + _MAX_NAME].partition(b"\0")[0], start, start + size)
        for name, kind, flags, _, start, size, *_ in rows
        if kind == _SHT_PROGBITS and flags & _SHF_ALLOC and not flags & _SHF_EXECINSTR
    ]


def _segments(file: Window, offset: int, count: int) -> list[Span]:
    rows = _SEGMENT.iter_unpack(file.at(offset, count * _SEGMENT.size))
    return [Span(b"", row[2], row[2] + row[5]) for row in rows if row[0] == _PT_LOAD]


def _apart(spans: list[Span], size: int) -> tuple[Span, ...]:
    """Cut spans so that no byte is in two of them."""
    apart: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        start = max(span.start, apart[-1].end if apart else 0)
        end = min(span.end, size)
        if start < end:
            apart.append(Span(span.name, start, end))
    return tuple(apart)
