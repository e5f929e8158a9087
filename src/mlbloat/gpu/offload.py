"""Bundles of code for AMD's GPUs, as clang makes them for HIP: a table of targets, each with a place and a size.

https://clang.llvm.org/docs/ClangOffloadBundler.html
"""

import struct
from itertools import pairwise

from mlbloat.gpu.window import BrokenError, Container, Window
from mlbloat.model.devicecode import Part
from mlbloat.model.gpuarch import AMD_UNKNOWN, OTHER, parse

MAGIC = b"__CLANG_OFFLOAD_BUNDLE__"
COMPRESSED_MAGIC = b"CCOB"
_ROW = struct.Struct("<QQQ")
_SIZE_FIELDS = {2: struct.Struct("<I"), 3: struct.Struct("<Q")}
"""By version: where the size of the whole bundle stands. The first version did not say it."""
_MAX_TARGETS = 1 << 10
_MAX_NAME = 1 << 8
_HOST = b"host-"


def read(file: Window, at: int, end: int) -> Container | None:
    """Read the bundle that begins at an offset; None when there is none."""
    try:
        return _compressed(file, at, end) if file.at(at, 4) == COMPRESSED_MAGIC else _bundle(file, at, end)
    except BrokenError:
        return None


def _compressed(file: Window, at: int, end: int) -> Container | None:
    """A compressed bundle names its targets only inside."""
    (version,) = struct.unpack("<H", file.at(at + 4, 2))
    if version not in _SIZE_FIELDS:
        return None
    field = _SIZE_FIELDS[version]
    (size,) = field.unpack(file.at(at + 8, field.size))
    return Container(at + size, (Part(AMD_UNKNOWN, size, 1),)) if size > 16 and at + size <= end else None


def _bundle(file: Window, start: int, end: int) -> Container | None:
    count = int.from_bytes(file.at(start + len(MAGIC), 8), "little")
    if count > _MAX_TARGETS:
        return None
    at, last = start + len(MAGIC) + 8, start
    parts, taken = [], list[tuple[int, int]]()
    for _ in range(count):
        offset, size, length = _ROW.unpack(file.at(at, _ROW.size))
        if length > _MAX_NAME or start + offset + size > end:
            return None
        target = file.at(at + _ROW.size, length)
        at += _ROW.size + length
        last = max(last, start + offset + size, at)
        if size and not target.startswith(_HOST):
            parts.append(Part(_name(target), size, 1))
            taken.append((offset, offset + size))
    taken.sort()
    if any(before[1] > after[0] for before, after in pairwise(taken)):
        return None
    return Container(last, tuple(parts))


def _name(target: bytes) -> str:
    """`hipv4-amdgcn-amd-amdhsa--gfx90a:xnack+` is code for `gfx90a:xnack+`."""
    name = target.rpartition(b"--")[2].decode("ascii", "replace")
    return name if parse(name).form == "gfx" else OTHER
