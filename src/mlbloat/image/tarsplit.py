"""tar-split: a tar without the content of its files, from which the tar can be put together again, byte for byte.

JSON lines. A segment holds bytes of the tar as they were: headers, padding, the end. A file entry stands for the
content of a regular file, which is found under its name in a directory.

https://github.com/vbatts/tar-split/blob/v0.12.1/tar/storage/entry.go
"""

import os
import stat
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
from isal import igzip_lib

from mlbloat.errors import BadImageError
from mlbloat.runtime import open_below, open_root
from mlbloat.tarstream import Limits, Reader, stream

_GZIP_ERROR = cast(type[Exception], igzip_lib.error)
_FILE, _SEGMENT = 1, 2
_SPARSE = b"GNU.sparse."
_FILE_NAMES = ("utf-8", "surrogateescape")
_READ_BYTES = 1 << 20
_MAX_LINE_BYTES = 64 << 20
MAX_HEADER_BYTES = 1 << 30
"""Of one layer: some half a million members."""


class BrokenSplitError(ValueError):
    """Why a tar-split file cannot be read."""


class _Line(msgspec.Struct, frozen=True):
    type: int
    payload: bytes | None = None
    """Of a segment its bytes; of a file a checksum of its content (CRC-64)."""
    size: int = 0
    name: str = ""
    name_raw: bytes | None = None
    """The name when it is no UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTar:
    """A tar put together from a file of segments and the files of a directory; holds no open file."""

    segments: Path
    directory: Path
    """Where the contents are; names never lead out of it."""
    name: str
    """What errors call it."""
    size_bytes: int
    starts: Sequence[int]
    """Where contents begin in the tar, in order; empty ones are not here."""
    ends: Sequence[int]
    before: Sequence[int]
    """Bytes of all contents up to and including this one."""
    names: Sequence[bytes]

    @property
    def place(self) -> str:
        return str(self.directory)

    def open(self) -> BinaryIO:
        return self.part(self.size_bytes, ((0, 0, self.size_bytes),))

    def first(self, count: int) -> bytes:
        with self.open() as content:
            return content.read(count)

    def part(self, size_bytes: int, extents: Sequence[tuple[int, int, int]]) -> BinaryIO:
        return stream(self.reader(), size_bytes, extents)

    def reader(self) -> Reader:
        return _SplitReader(self)


class _SplitReader:
    """Keeps the segments, the directory and the content read last open."""

    def __init__(self, tar: SplitTar) -> None:
        self._tar = tar
        self._segments = os.open(tar.segments, os.O_RDONLY | os.O_CLOEXEC)
        self._root = -1
        self._content = -1
        self._number = -1

    def read_at(self, view: memoryview, offset: int) -> int:
        tar = self._tar
        number = bisect_right(tar.starts, offset) - 1
        if number >= 0 and offset < tar.ends[number]:
            return self._read_content(view[: tar.ends[number] - offset], number, offset - tar.starts[number])
        following = tar.starts[number + 1] if number + 1 < len(tar.starts) else tar.size_bytes
        inside = offset - (tar.before[number] if number >= 0 else 0)
        return os.preadv(self._segments, [view[: following - offset]], inside)

    def _read_content(self, view: memoryview, number: int, offset: int) -> int:
        if number != self._number:
            self._close_content()
            self._content = self._open_content(number)
            self._number = number
        return os.preadv(self._content, [view], offset)

    def _close_content(self) -> None:
        if self._content >= 0:
            os.close(self._content)
            self._content = self._number = -1

    def _open_content(self, number: int) -> int:
        """Open a content and make sure that it is a regular file of the right size."""
        tar = self._tar
        name, size = tar.names[number], tar.ends[number] - tar.starts[number]
        try:
            if self._root < 0:
                self._root = open_root(tar.directory)
            descriptor = open_below(self._root, name, tar.place)
        except OSError as error:
            raise BadImageError(_lost(tar, name, error.strerror or str(error))) from None
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            os.close(descriptor)
            raise BadImageError(_lost(tar, name, f"it is no regular file of {size} bytes"))
        return descriptor

    def close(self) -> None:
        self._close_content()
        if self._root >= 0:
            os.close(self._root)
            self._root = -1
        os.close(self._segments)


def _lost(tar: SplitTar, name: bytes, why: str) -> str:
    shown = os.fsdecode(name)[:200]
    return f"cannot read {shown!r} of {tar.name} in the engine's storage: {why}; pull or load the image again"


@dataclass(slots=True)
class _Growth:
    """What is known of a tar while its lines are read."""

    position: int = 0
    contents_bytes: int = 0
    starts: "array[int]" = field(default_factory=lambda: array("q"))
    ends: "array[int]" = field(default_factory=lambda: array("q"))
    before: "array[int]" = field(default_factory=lambda: array("q"))
    names: list[bytes] = field(default_factory=list)

    def add(self, lines: Iterable[_Line]) -> bytes:
        """Take in lines; return the bytes of their segments."""
        segments: list[bytes] = []
        position, contents_bytes = self.position, self.contents_bytes
        for line in lines:
            if line.type == _SEGMENT:
                payload = line.payload or b""
                segments.append(payload)
                position += len(payload)
                continue
            if line.type != _FILE or line.size < 0:
                raise BrokenSplitError(f"an entry is of an unknown type ({line.type}) or of a negative size")
            if line.size:
                self.starts.append(position)
                position += line.size
                contents_bytes += line.size
                self.ends.append(position)
                self.before.append(contents_bytes)
                self.names.append(line.name_raw if line.name_raw is not None else line.name.encode(*_FILE_NAMES))
        self.position, self.contents_bytes = position, contents_bytes
        joined = b"".join(segments)
        if _SPARSE in joined and any(_SPARSE in each for each in segments):
            raise BrokenSplitError("it holds a sparse file, whose map docker does not keep apart from its content")
        return joined

    def check(self, limits: Limits) -> None:
        headers_bytes = self.position - self.contents_bytes
        if self.position > limits.image_bytes or headers_bytes > MAX_HEADER_BYTES or len(self.names) > limits.entries:
            raise BrokenSplitError(
                f"the layer has more than {limits.image_bytes} bytes (limit image_bytes), {MAX_HEADER_BYTES} bytes of "
                f"headers, or {limits.entries} entries (limit entries)"
            )


def read_split(file: Path, *, segments: Path, directory: Path, name: str, limits: Limits) -> SplitTar:
    """Read a tar-split file (gzip), writing its segments to a file of their own.

    BrokenSplitError when it is not one, or the tar would exceed the limits.
    """
    growth = _Growth()
    with segments.open("wb") as out:
        for lines in _lines(file):
            try:
                out.write(growth.add(_DECODER.decode_lines(lines)))
            except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError) as error:
                raise BrokenSplitError(str(error)) from None
            growth.check(limits)
    return SplitTar(
        segments=segments,
        directory=directory,
        name=name,
        size_bytes=growth.position,
        starts=growth.starts,
        ends=growth.ends,
        before=growth.before,
        names=growth.names,
    )


_DECODER = msgspec.json.Decoder(_Line)


def _lines(file: Path) -> Iterator[bytes]:
    """Yield runs of whole lines."""
    rest = b""
    for chunk in _expand(file):
        head, newline, tail = chunk.rpartition(b"\n")
        if newline:
            yield rest + head
            rest = tail
        else:
            rest += chunk
        if len(rest) > _MAX_LINE_BYTES:
            raise BrokenSplitError("a line does not end")
    if rest:
        yield rest


def _expand(file: Path) -> Iterator[bytes]:
    decoder = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    with file.open("rb") as compressed:
        try:
            while not decoder.eof:
                waiting = compressed.read(_READ_BYTES) if decoder.needs_input else b""
                if decoder.needs_input and not waiting:
                    raise BrokenSplitError("it is cut off")
                yield decoder.decompress(waiting, max_length=_READ_BYTES)
        except _GZIP_ERROR as error:
            raise BrokenSplitError(str(error)) from None
