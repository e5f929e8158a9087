"""Random access to what a tar holds, for several readers at once."""

import bisect
import errno
import io
import os
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from mlbloat.errors import BadImageError
from mlbloat.model.filetree import Entry
from mlbloat.tarstream.block import BLOCK, BrokenTarError, padded
from mlbloat.tarstream.header import Member, read_member
from mlbloat.tarstream.limits import Limits
from mlbloat.tarstream.sparse import Extent

_CHUNK_BYTES = 1 << 20
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)
_WITHOUT_CONTENT = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)


class TarBytes(Protocol):
    """The bytes of a tar, in one file or put together from several; holds no open file."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def place(self) -> str:
        """Where it is: no other tar of an image has the same."""

    def open(self) -> BinaryIO:
        """Open all of it as a seekable file. The caller closes it."""

    def first(self, count: int) -> bytes:
        """Return the first bytes."""

    def part(self, size_bytes: int, extents: Sequence[Extent]) -> BinaryIO:
        """Open a file made of extents of it, zeros between them. The caller closes it."""

    def reader(self) -> "Reader":
        """Open it for reads by position. The caller closes it."""


class Reader(Protocol):
    """Reads by position, so that no reader moves another's place in the file."""

    def read_at(self, view: memoryview, offset: int) -> int:
        """Fill the view, or the first part of it, and return how many bytes that was; 0 only at the end."""

    def close(self) -> None: ...


def stream(reader: Reader, size_bytes: int, extents: Sequence[Extent]) -> BinaryIO:
    """Open a file made of extents of what a reader reads, zeros between them; closing it closes the reader."""
    return cast(BinaryIO, io.BufferedReader(_Extents(reader, size_bytes, extents)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A range of a file, such as a layer inside an archive."""

    path: Path
    offset: int = 0
    size_bytes: int

    @classmethod
    def whole(cls, path: Path) -> "Window":
        return cls(path=path, size_bytes=path.stat().st_size)

    @property
    def place(self) -> str:
        return f"{self.path}:{self.offset}"

    def open(self) -> BinaryIO:
        """Open the range as a seekable file of its own. The caller closes it."""
        return self.part(self.size_bytes, ((0, 0, self.size_bytes),))

    def first(self, count: int) -> bytes:
        """Return the first bytes."""
        with self.open() as stream:
            return stream.read(count)

    def part(self, size_bytes: int, extents: Sequence[Extent]) -> BinaryIO:
        """Open a file made of extents of this range, zeros between them."""
        return stream(self.reader(), size_bytes, extents)

    def reader(self) -> Reader:
        return _File(os.open(self.path, os.O_RDONLY | os.O_CLOEXEC), self.offset)


@dataclass(frozen=True, slots=True)
class _File:
    descriptor: int
    offset: int
    """Where the tar begins in the file."""

    def read_at(self, view: memoryview, offset: int) -> int:
        return os.preadv(self.descriptor, [view], self.offset + offset)

    def close(self) -> None:
        os.close(self.descriptor)


class _Extents(io.RawIOBase):
    def __init__(self, reader: Reader, size_bytes: int, extents: Sequence[Extent]) -> None:
        self._reader = reader
        self._size_bytes = size_bytes
        self._extents = extents
        self._starts = [position for position, _, _ in extents]
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size_bytes}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = base + offset
        return self._position

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # Buffer is 3.12's
        view = memoryview(buffer)[: max(0, self._size_bytes - self._position)]
        if not len(view):
            return 0
        number = bisect.bisect_right(self._starts, self._position) - 1
        if number >= 0:
            start, source, length = self._extents[number]
            within = self._position - start
            if within < length:
                return self._stored(view[: length - within], source + within)
        following = self._starts[number + 1] if number + 1 < len(self._starts) else self._size_bytes
        hole = view[: following - self._position]
        hole[:] = bytes(len(hole))
        self._position += len(hole)
        return len(hole)

    def readall(self) -> bytes:
        """Read what is left in one go; the standard one asks for a few kilobytes at a time."""
        content = bytearray(max(0, self._size_bytes - self._position))
        view, done = memoryview(content), 0
        while done < len(content):
            done += self.readinto(view[done:])
        return bytes(content)

    def _stored(self, view: memoryview, offset: int) -> int:
        count = self._reader.read_at(view, offset)
        if count == 0:
            raise OSError(errno.EIO, "the file became shorter while it was read")
        self._position += count
        return count

    def close(self) -> None:
        if not self.closed:
            self._reader.close()
        super().close()


@dataclass(frozen=True, slots=True, kw_only=True)
class TarLayer:
    """The LayerSource over an uncompressed tar; holds no open file, so it can be sent to another process."""

    tar: TarBytes
    name: str
    """What errors call it."""
    limits: Limits = field(default_factory=Limits)

    def open(self, entry: Entry) -> BinaryIO:
        """Open a regular file's content, holes filled in. The caller closes it."""
        plain = self._open_plain(entry)
        if plain is not None:
            return plain
        member = self._at(entry.member)
        return self.tar.part(member.entry.size_bytes, member.extents)

    def _open_plain(self, entry: Entry) -> BinaryIO | None:
        """Open what most files are, one header block and the content: a scan opens ten thousand of them."""
        reader = self.tar.reader()
        if self._is_plain(_block(reader, entry), entry):
            return stream(reader, entry.size_bytes, ((0, entry.member + BLOCK, entry.size_bytes),))
        reader.close()
        return None

    def _is_plain(self, block: bytes, entry: Entry) -> bool:
        """Tell whether the first block of a member is the header of a file, and its content follows."""
        return (
            len(block) == BLOCK
            and block[0] != 0
            and block[156:157] in _PLAIN
            and block[124:135] == b"%011o" % entry.size_bytes
            and entry.member + BLOCK + entry.size_bytes <= self.tar.size_bytes
        )

    def members(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        """Yield the entries as they stand in the tar: extension headers, header, content and padding."""
        extents: list[Extent] = []
        size_bytes, last = 0, -1
        for begin, end in self._places(entries):
            if begin == last:  # neighbours are read as one
                position, first, _ = extents.pop()
            else:
                position, first = size_bytes, begin
            size_bytes, last = position + end - first, end
            # A tar may end without the padding of its last member, which is then made up.
            extents.append((position, first, min(end, self.tar.size_bytes) - first))
        with self.tar.part(size_bytes, extents) as tar:
            while chunk := tar.read(_CHUNK_BYTES):
                yield chunk

    def _places(self, entries: Iterable[Entry]) -> Iterator[tuple[int, int]]:
        """Yield where members begin and end, most of them without reading more than one block."""
        reader = self.tar.reader()
        try:
            for entry in entries:
                block, data = _block(reader, entry), entry.member + BLOCK
                if self._is_plain(block, entry):
                    yield entry.member, data + padded(entry.size_bytes)
                elif block[156:157] in _WITHOUT_CONTENT:
                    yield entry.member, data
                else:
                    yield entry.member, self._at(entry.member).end
        finally:
            reader.close()

    def place(self, entry: Entry) -> tuple[int, int]:
        """Return offset and length of a regular file's content in the tar, as of an archive inside this one."""
        member = self._at(entry.member)
        if member.extents and member.extents != ((0, member.extents[0][1], member.entry.size_bytes),):
            raise BadImageError(
                f"cannot read {entry.path} in {self.name}: it is stored as a sparse file; save it again"
            )
        return member.extents[0][1] if member.extents else 0, member.entry.size_bytes

    def _at(self, offset: int) -> Member:
        try:
            with self.tar.open() as tar:
                member = read_member(tar, offset, self.tar.size_bytes, layer=0, limits=self.limits)
        except BrokenTarError as error:
            raise BadImageError(f"cannot read {self.name}: {error}; pull or save the image again") from None
        if member is None:
            raise BadImageError(f"cannot read {self.name}: no member at byte {offset}; pull or save the image again")
        return member


def _block(reader: Reader, entry: Entry) -> bytes:
    """Return the first block of a member; less at the end of the tar."""
    block = bytearray(BLOCK)
    return bytes(block[: reader.read_at(memoryview(block), entry.member)])
