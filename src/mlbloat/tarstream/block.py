"""One header block of a tar: fixed fields, without the extensions that may precede it.

https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_06
https://www.gnu.org/software/tar/manual/html_node/Standard.html
"""

import re
import struct
import zlib
from functools import lru_cache
from typing import NamedTuple

BLOCK = 512
_FIELDS = struct.Struct("100s 8s 8s 8s 12s 12s 8s c 100s 8s 64x 8s 8s 155s 12x")
_GNU_MAGIC = b"ustar  \0"
_GNU_TIME = re.compile(rb"[0-7]{11}|[\x80\xff]")
_MAX_NUMBER = (1 << 63) - 1
_FIELDS_KNOWN = 4096
"""Modes, owners and times come again and again."""
_BLANK_SUM = 8 * ord(" ")
"""The checksum's own field counts as blanks."""


class BrokenTarError(ValueError):
    """Why a tar cannot be read; `index` and `TarLayer` say which one."""


class Block(NamedTuple):
    name: bytes
    mode: int
    uid: int
    gid: int
    size_bytes: int
    mtime: int
    kind: bytes
    """The type flag."""
    link: bytes
    device: tuple[int, int]


def parse(block: bytes) -> Block:
    """Read a header block whose checksum holds."""
    name, mode, uid, gid, size, mtime, checksum, kind, link, magic, major, minor, prefix = _FIELDS.unpack(block)
    if not _checks(block, _integer(checksum)):
        raise BrokenTarError("a header's checksum does not match")
    name = text(name)
    # GNU keeps two times where USTAR has the first part of the name.
    if prefix[0] and magic.startswith(b"ustar") and not (magic == _GNU_MAGIC and _GNU_TIME.match(prefix)):
        name = text(prefix) + b"/" + name
    device = (number(major), number(minor)) if kind in b"34" else (0, 0)
    return Block(name, number(mode), number(uid), number(gid), number(size), _integer(mtime), kind, text(link), device)


def begins(start: bytes) -> bool:
    """Tell whether the first block of a file is that of a tar; an empty tar begins with zeros, a text has none."""
    if len(start) < BLOCK:
        return b"\0" in start
    try:
        return not start.strip(b"\0") or bool(parse(start))
    except BrokenTarError:
        return False


def _checks(block: bytes, checksum: int) -> bool:
    """Compare with the sum of the bytes, taken as unsigned, or as signed by some old writers."""
    # Adler-32 has the sum of the bytes in its lower half, modulo 65521, which 512 bytes below 128 do not reach.
    whole = (zlib.adler32(block) & 0xFFFF) - 1 if block.isascii() else sum(block)
    total = whole - sum(block[148:156]) + _BLANK_SUM
    if checksum == total:
        return True
    return checksum == total - 256 * sum(byte > 127 for byte in block[:148] + block[156:])


def text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


@lru_cache(_FIELDS_KNOWN)
def number(field: bytes) -> int:
    """Read a number that may be neither negative nor beyond 63 bits."""
    value = _integer(field)
    if not 0 <= value <= _MAX_NUMBER:
        raise BrokenTarError(f"{value} is out of range")
    return value


@lru_cache(maxsize=1 << 14)  # owners, modes, times and small sizes repeat all over a layer
def _integer(field: bytes) -> int:
    """Read octal digits, or GNU's base 256 for what does not fit them."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    if field[0] == 0xFF:
        return int.from_bytes(field, "big", signed=True)
    digits = text(field).strip()
    if not digits:
        return 0
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise BrokenTarError(f"{digits[:20]!r} is not an octal number")
    return int(digits, 8)


def decimal(record: bytes | None, value: int = 0) -> int:
    """Read a PAX number; without a record the header's own value stands."""
    if not record:
        return value
    if not re.fullmatch(rb"[0-9]{1,19}", record) or int(record) > _MAX_NUMBER:
        raise BrokenTarError(f"{record[:40]!r} is not a number in range")
    return int(record)


def padded(size_bytes: int) -> int:
    """Round up to whole blocks."""
    return -(-size_bytes // BLOCK) * BLOCK
