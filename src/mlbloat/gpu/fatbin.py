"""Containers of code for NVIDIA's GPUs ("fat binaries"), by their headers: no code is read, and nothing unpacked.

NVIDIA does not document the format. What is known of it, and was compared with `cuobjdump -lelf -lptx` on the libraries
of PyTorch: a header of 16 bytes (magic, version, header size, size of what follows), then entries one after the other,
each with a header that says what it is, for which GPU, and how long it is with padding, compressed or not.
"""

import struct
from collections.abc import Iterator

from mlbloat.gpu.window import BrokenError, Container, Window
from mlbloat.model.devicecode import Part
from mlbloat.model.gpuarch import OTHER, parse

MAGIC = b"\x50\xed\x55\xba"
_CONTAINER = struct.Struct("<4sHHQ")
_ENTRY = struct.Struct("<HHIQ12xI8xQ")
_ENTRY_BYTES = 64
_MAX_HEADER = 1 << 12
_MAX_CONTAINER = 1 << 31
"""The driver reads the size as a signed number of 32 bits."""
_FORMS = {1: "ptx", 2: "sm", 8: "lto"}
_ARCHITECTURE_SPECIFIC, _FAMILY_SPECIFIC = 0x100000, 0x200000


def read(file: Window, at: int, end: int) -> Container | None:
    """Read the container that begins at an offset; None when there is none."""
    try:
        magic, version, header_bytes, size = _CONTAINER.unpack(file.at(at, _CONTAINER.size))
        first = at + header_bytes
        if (magic, version, header_bytes) != (MAGIC, 1, _CONTAINER.size):
            return None
        if size >= _MAX_CONTAINER or first + size > end:
            return None
        return Container(first + size, tuple(_entries(file, first, first + size)))
    except BrokenError:
        return None


def _entries(file: Window, at: int, end: int) -> Iterator[Part]:
    while at < end:
        if at + _ENTRY_BYTES > end:
            raise BrokenError
        kind, version, header_bytes, size, number, flags = _ENTRY.unpack(file.at(at, _ENTRY.size))
        stride = header_bytes + size
        if version >> 8 != 1 or not _ENTRY_BYTES <= header_bytes <= _MAX_HEADER or at + stride > end:
            raise BrokenError
        yield Part(_name(kind, number, flags), stride, 1)
        at += stride


def _name(kind: int, number: int, flags: int) -> str:
    suffix = "a" if flags & _ARCHITECTURE_SPECIFIC else "f" if flags & _FAMILY_SPECIFIC else ""
    return name(_FORMS.get(kind, ""), number, suffix)


def name(form: str, number: int, suffix: str = "") -> str:
    """Return the name of a code, or that it is not known."""
    text = f"{form}_{number}{suffix}"
    return text if parse(text).form == form else OTHER
