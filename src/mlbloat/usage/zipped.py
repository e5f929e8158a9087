"""Members of zip archives that nobody vouches for: Java archives, Python eggs and zip applications.

Whatever is wrong with an archive, what could be read is what there is: the program that uses it could not read on
either.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

_MOST_MEMBER_BYTES = 1 << 20
_MOST_BYTES = 2 << 30
"""All wanted members of one archive, uncompressed."""
_MOST_MEMBERS = 200_000
_MOST_DIRECTORY_BYTES = 16 << 20
_END_BYTES = 22 + (1 << 16)
"""The record at the end and the longest comment after it."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    OSError,
)
"""What zipfile raises about archives that are damaged, encrypted or made to mislead."""


def members(stream: BinaryIO, suffix: str) -> Iterator[bytes]:
    """Yield the contents of the members whose name ends so."""
    with suppress(*_ERRORS):
        if _directory_bytes(stream) <= _MOST_DIRECTORY_BYTES:
            with zipfile.ZipFile(stream) as archive:
                yield from _members(archive, suffix)


def _directory_bytes(stream: BinaryIO) -> int:
    """Return the size of the central directory, all of which a reader keeps in memory (APPNOTE.TXT, 4.3.16)."""
    stream.seek(max(0, stream.seek(0, 2) - _END_BYTES))
    end = stream.read()
    at = end.rfind(b"PK\5\6")
    return int.from_bytes(end[at + 12 : at + 16], "little") if at >= 0 else 0


def _members(archive: zipfile.ZipFile, suffix: str) -> Iterator[bytes]:
    left = _MOST_BYTES
    for member in archive.infolist()[:_MOST_MEMBERS]:
        wanted = member.filename.endswith(suffix) and member.compress_type in _METHODS
        if wanted and member.file_size <= min(_MOST_MEMBER_BYTES, left):
            left -= member.file_size
            with archive.open(member) as stream:
                yield stream.read(member.file_size)
