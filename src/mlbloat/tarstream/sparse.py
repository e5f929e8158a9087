"""Sparse files in a tar: the old GNU header and the PAX formats 0.0, 0.1 and 1.0.

https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html
"""

import tarfile
from collections.abc import Mapping, Sequence
from typing import BinaryIO, NamedTuple

from mlbloat.tarstream.block import BLOCK, BrokenTarError, decimal, number, padded

MAX_SEGMENTS = 100_000

Extent = tuple[int, int, int]
"""Position in the file, offset in the tar, length."""
Records = Mapping[bytes, bytes]
"""Keywords of a PAX header."""


class Content(NamedTuple):
    size_bytes: int
    """As a reader of the file sees it, holes included."""
    extents: tuple[Extent, ...]
    data: int
    """Where the stored bytes begin that the header counts."""
    end: int
    """Where the next header begins."""


def content(
    tar: BinaryIO, block: bytes, records: Sequence[tuple[bytes, bytes]], data: int, stored: int, size: int
) -> Content:
    """Find the content of a regular file, sparse or not.

    `block` is its header, `data` what follows the header, `stored` the length that the headers give, `size` the tar's.
    """
    if block[156:157] == tarfile.GNUTYPE_SPARSE:
        return _old_gnu(tar, block, data, stored)
    if not any(key.startswith(b"GNU.sparse.") for key, _ in records):
        return Content(size_bytes=stored, extents=((0, data, stored),), data=data, end=data + padded(stored))
    last: Records = dict(records)
    end = data + padded(stored)
    real_bytes = decimal(last.get(b"GNU.sparse.realsize") or last.get(b"GNU.sparse.size"))
    if last.get(b"GNU.sparse.major") == b"1":
        segments, map_bytes = _stored_map(tar, data, min(data + stored, size))
        return _content(segments, real_bytes, data + map_bytes, stored - map_bytes, data, end)
    if b"GNU.sparse.map" in last:
        numbers = [decimal(text) for text in last[b"GNU.sparse.map"].split(b",") if text]
    else:
        numbers = [decimal(text) for key, text in records if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes")]
    return _content(_pairs(numbers), real_bytes, data, stored, data, end)


def _pairs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    if len(numbers) % 2:
        raise BrokenTarError("the map of a sparse file is incomplete")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _content(
    segments: Sequence[tuple[int, int]], real_bytes: int, source: int, stored: int, data: int, end: int
) -> Content:
    """Check that segments are in order, inside the file and stored."""
    found: list[Extent] = []
    position = 0
    begin = source
    for offset, length in segments:
        if offset < position or offset + length > real_bytes or source + length - begin > stored:
            raise BrokenTarError("the map of a sparse file does not fit its content")
        if length:
            found.append((offset, source, length))
        position, source = offset + length, source + length
    return Content(size_bytes=real_bytes, extents=tuple(found), data=data, end=end)


def _old_gnu(tar: BinaryIO, block: bytes, data: int, stored: int) -> Content:
    """Read four segments in the header, then 21 in each block that follows while the last one says so."""
    segments = _structs(block[386:482])
    real_bytes = number(block[483:495])
    more = block[482] != 0
    tar.seek(data)
    while more:
        following = tar.read(BLOCK)
        if len(following) < BLOCK or len(segments) > MAX_SEGMENTS:
            raise BrokenTarError("the map of a sparse file is cut off or endless")
        segments += _structs(following[:504])
        more = following[504] != 0
        data += BLOCK
    return _content(segments, real_bytes, data, stored, data, data + padded(stored))


def _structs(fields: bytes) -> list[tuple[int, int]]:
    pairs = [(fields[at : at + 12], fields[at + 12 : at + 24]) for at in range(0, len(fields), 24)]
    return [(number(offset), number(length)) for offset, length in pairs if offset[0] or length[0]]


def _stored_map(tar: BinaryIO, data: int, end: int) -> tuple[list[tuple[int, int]], int]:
    """Read the map of format 1.0: lines of decimal numbers before the content, filled up to a whole block."""
    tar.seek(data)
    text = bytearray()
    lines, wanted = 0, 1
    while lines < wanted:
        block = tar.read(BLOCK)
        if data + len(text) + BLOCK > end or len(block) < BLOCK:
            raise BrokenTarError("the map of a sparse file is cut off")
        text += block
        lines += block.count(b"\n")
        if wanted == 1 and lines:
            count = decimal(bytes(text[: text.index(b"\n")]) or b"?")
            if count > MAX_SEGMENTS:
                raise BrokenTarError("the map of a sparse file is endless")
            wanted = 1 + 2 * count
    numbers = [decimal(line or b"?") for line in bytes(text).split(b"\n", wanted)[1:wanted]]
    return _pairs(numbers), len(text)
