"""Module names in the strings of extension modules, which import from C where no source shows it.

Three ways in which names are stored: as a C string of their own; glued to their neighbours in one table; the same table
compressed. Where the lengths of a table are found (`cython`), its names are as if they were strings of their own. Other
glued names have no end mark, so they are walked along the modules that exist.
"""

import bz2
import re
import sys
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol

import msgspec

from mlbloat.model.filetree import Entry, FileTree
from mlbloat.usage.elf.binary import Binary, parse
from mlbloat.usage.learning import Kind
from mlbloat.usage.python import cython

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_CALLS_PYTHON = re.compile(rb"PyImport_|PyInit_|PyModule_")
# Both begin with a byte of their own, which is searched for many times as fast as a class of bytes is.
_WORD = re.compile(rb"\0([A-Za-z_]\w*+(?:\.\w++)*)(?=\0)")
_NAME = re.compile(rb"[\w.:]+")
_AFTER_DOT = re.compile(rb"\.\w++(?:\.\w++)*")
_NAME_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
_NEAR = 64
_COMPRESSED = re.compile(rb"\x78[\x01\x5e\x9c\xda]|BZh[1-9]1AY&SY|\x28\xb5\x2f\xfd")
_MOST_READ = 1 << 26
_MOST_BYTECODE = 1 << 24
_MOST_UNPACKED = 1 << 24
"""Of one file, all tables together; real ones have some ten thousand bytes."""
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 24}
_LONGEST_RUN = 1 << 16
_MOST_GLUED = 1 << 23
_LEAST_UNPACKED = 32


class _Decompressor(Protocol):
    """What the decompressors of zlib, bz2 and zstd share."""

    @property
    def eof(self) -> bool: ...
    def decompress(self, data: memoryview, max_length: int, /) -> bytes: ...


class Strings(msgspec.Struct, frozen=True, array_like=True, gc=False):
    words: frozenset[str] = frozenset()
    """C strings that could be module names, whole."""
    tables: tuple[str, ...] = ()
    """Tables that were compressed: names without marks between them."""
    glued: frozenset[str] = frozenset()
    """Runs of names with dots, whose ends may belong to a neighbour."""


def _strings_of(tree: FileTree, entry: Entry) -> Strings:
    """Read the strings of an ELF file that calls Python's import machinery; none of any other file."""
    with tree.open(entry) as stream:
        binary = parse(stream, entry.size_bytes)
        if binary is None:
            return Strings()
        offset, size = binary.dynamic_names
        stream.seek(offset)
        if not _CALLS_PYTHON.search(stream.read(min(size, _MOST_READ))):
            return Strings()
        return collect(*_texts(stream, binary))


def _strings_of_bytecode(tree: FileTree, entry: Entry) -> Strings:
    return collect(tree.read(entry, _MOST_BYTECODE))


EXTENSION = Kind("extension/2", Strings, _strings_of)
BYTECODE = Kind("bytecode/2", Strings, _strings_of_bytecode)


def _texts(stream: BinaryIO, binary: Binary) -> Iterator[bytes]:
    left = _MOST_READ
    for offset, size in binary.texts:
        stream.seek(offset)
        data = stream.read(min(size, left))
        left -= len(data)
        yield data


def collect(*sections: bytes) -> Strings:
    data = b"\0".join([b"", *sections, b""])
    tables = tuple(_unpacked(data))
    if b"cython_runtime" in data:
        names, tables = cython.read(sections, tables)
        data += b"\0".join([*filter(_NAME.fullmatch, names), b""])
    return Strings(
        frozenset(word.decode("ascii", "ignore") for word in _WORD.findall(data)),
        tuple(text.decode("utf-8", "replace") for text in tables),
        frozenset(_glued(data, *tables)),
    )


def _glued(*texts: bytes) -> Iterator[str]:
    left = _MOST_GLUED
    for run in sorted({run for text in texts for run in _runs(text) if len(run) <= _LONGEST_RUN}):
        left -= len(run)
        if left < 0:
            return
        yield run.decode("ascii", "ignore")


def _runs(data: bytes) -> Iterator[bytes]:
    """Yield the runs of names with dots between them, each as long as it is; a longer one than may be, longer."""
    for match in _AFTER_DOT.finditer(data):
        start, run = match.start(), match[0]
        before = data[max(0, start - _NEAR) : start]
        length = len(before) - len(before.rstrip(_NAME_BYTES))
        if length == _NEAR:
            before = data[max(0, start - _LONGEST_RUN - 1) : start]
            length = len(before) - len(before.rstrip(_NAME_BYTES))
        if length:
            yield data[start - length : match.end()]
        elif b"." in run[1:]:
            yield run[1:]


def _unpacked(data: bytes) -> Iterator[bytes]:
    view = memoryview(data)
    left = _MOST_UNPACKED
    for match in _COMPRESSED.finditer(data):
        inflate = _decompressor(match[0])
        try:
            text = inflate.decompress(view[match.start() : match.start() + _MOST_UNPACKED], left + 1)
        except (zlib.error, zstd.ZstdError, OSError, EOFError):
            continue
        if inflate.eof and _LEAST_UNPACKED <= len(text) <= left:
            left -= len(text)
            yield text


def _decompressor(head: bytes) -> _Decompressor:
    if head.startswith(b"B"):
        return bz2.BZ2Decompressor()
    return zstd.ZstdDecompressor(options=_ZSTD_OPTIONS) if head.startswith(b"\x28") else zlib.decompressobj()
