"""Bounded reads of one file by offset."""

import re
from dataclasses import dataclass
from typing import BinaryIO

from mlbloat.model.devicecode import Part

MAX_READ = 1 << 22
_BLOCK = 1 << 12
"""Bytes that are read where few are asked for: headers lie side by side."""
_MOST_HEADERS = 1 << 19
"""Of one file; the largest libraries have some sixty thousand."""
LONGEST = 64
"""Bytes of what is looked for, at most."""


class BrokenError(ValueError):
    """The file's own offsets lead out of it."""


@dataclass(frozen=True, slots=True)
class Container:
    """Code for several GPUs, of which one loads one."""

    end: int
    """Where it ends."""
    parts: tuple[Part, ...]


class Window:
    """A file that is read in pieces."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._block = b""
        self._block_at = 0
        self._headers_left = _MOST_HEADERS
        self.size = size

    @property
    def exhausted(self) -> bool:
        """A file with so many headers was made to keep us busy."""
        return self._headers_left <= 0

    def spend(self, headers: int) -> None:
        self._headers_left -= headers

    def at(self, offset: int, size: int) -> bytes:
        """Read exactly this, a header; BrokenError where that is not possible."""
        self.spend(1)
        if self.exhausted:
            raise BrokenError
        return self._at(offset, size)

    def _at(self, offset: int, size: int) -> bytes:
        if offset < 0 or size < 0 or offset + size > self.size or size > MAX_READ:
            raise BrokenError
        if size > _BLOCK:
            return self._read(offset, size)
        start = offset - self._block_at
        if start < 0 or start + size > len(self._block):
            self._block, self._block_at, start = self._read(offset, min(_BLOCK, self.size - offset)), offset, 0
        return self._block[start : start + size]

    def _read(self, offset: int, size: int) -> bytes:
        self._stream.seek(offset)
        raw = self._stream.read(size)
        if len(raw) != size:
            raise BrokenError
        return raw

    def find(self, wanted: re.Pattern[bytes], start: int, end: int) -> int | None:
        """Find what is no longer than `LONGEST`; reads little at first: the next one mostly follows the last one."""
        end = min(end, self.size)
        chunk = _BLOCK
        while start < end:
            raw = self._at(start, min(chunk, end - start))
            match = wanted.search(raw)
            if match:
                return start + match.start()
            start += max(1, len(raw) - LONGEST) if start + len(raw) < end else len(raw)
            chunk = min(2 * chunk, MAX_READ)
        return None

    def is_zero(self, start: int, end: int) -> bool:
        """Tell whether there is nothing but zeros."""
        while start < end:
            raw = self._at(start, min(MAX_READ, end - start))
            if raw.count(0) != len(raw):
                return False
            start += len(raw)
        return True
