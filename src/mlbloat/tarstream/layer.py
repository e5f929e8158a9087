"""Random access to what a tar holds, for several readers at once."""

import bisect
import errno
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from mlbloat.errors import BadImageError
from mlbloat.model.filetree import Entry
from mlbloat.tarstream.block import BrokenTarError
from mlbloat.tarstream.header import Member, read_member
from mlbloat.tarstream.limits import Limits
from mlbloat.tarstream.sparse import Extent

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A range of a file, such as a layer inside an archive."""

    path: Path
    offset: int = 0
    size_bytes: int

    @classmethod
    def whole(cls, path: Path) -> "Window":
        return cls(path=path, size_bytes=path.stat().st_size)

    def open(self) -> BinaryIO:
        """Open the range as a seekable file of its own. The caller closes it."""
        return self.part(self.size_bytes, ((0, 0, self.size_bytes),))

    def first(self, count: int) -> bytes:
        """Return the first bytes."""
        with self.open() as stream:
            return stream.read(count)

    def part(self, size_bytes: int, extents: Sequence[Extent]) -> BinaryIO:
        """Open a file made of extents of this range, zeros between them."""
        moved = tuple((position, self.offset + source, length) for position, source, length in extents)
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        return cast(BinaryIO, io.BufferedReader(_Extents(descriptor, size_bytes, moved)))


class _Extents(io.RawIOBase):
    """Reads by position, so that no reader moves another's place in the file."""

    def __init__(self, descriptor: int, size_bytes: int, extents: Sequence[Extent]) -> None:
        self._descriptor = descriptor
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

    def _stored(self, view: memoryview, offset: int) -> int:
        count = os.preadv(self._descriptor, [view], offset)
        if count == 0:
            raise OSError(errno.EIO, "the file became shorter while it was read")
        self._position += count
        return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


@dataclass(frozen=True, slots=True, kw_only=True)
class TarLayer:
    """The LayerSource over an uncompressed tar; holds no open file, so it can be sent to another process."""

    tar: Window
    name: str
    """What errors call it."""
    limits: Limits = field(default_factory=Limits)

    def open(self, entry: Entry) -> BinaryIO:
        """Open a regular file's content, holes filled in. The caller closes it."""
        member = self._at(entry.member)
        return self.tar.part(member.entry.size_bytes, member.extents)

    def member(self, entry: Entry) -> Iterator[bytes]:
        """Yield the entry as it stands in the tar: extension headers, header, content and padding."""
        begin, end = entry.member, self._at(entry.member).end
        with self.tar.open() as tar:
            tar.seek(begin)
            stored = min(end, self.tar.size_bytes) - begin
            while stored > 0 and (chunk := tar.read(min(_CHUNK_BYTES, stored))):
                stored -= len(chunk)
                yield chunk
        # A tar may end without the padding of its last member.
        if end > self.tar.size_bytes:
            yield bytes(end - self.tar.size_bytes)

    def within(self, entry: Entry) -> Window:
        """Return the range that a regular file fills, as of an archive inside this one."""
        member = self._at(entry.member)
        if member.extents and member.extents != ((0, member.extents[0][1], member.entry.size_bytes),):
            raise BadImageError(
                f"cannot read {entry.path} in {self.name}: it is stored as a sparse file; save it again"
            )
        offset = member.extents[0][1] if member.extents else 0
        return Window(path=self.tar.path, offset=self.tar.offset + offset, size_bytes=member.entry.size_bytes)

    def _at(self, offset: int) -> Member:
        try:
            with self.tar.open() as tar:
                member = read_member(tar, offset, self.tar.size_bytes, layer=0, limits=self.limits)
        except BrokenTarError as error:
            raise BadImageError(f"cannot read {self.name}: {error}; pull or save the image again") from None
        if member is None:
            raise BadImageError(f"cannot read {self.name}: no member at byte {offset}; pull or save the image again")
        return member
