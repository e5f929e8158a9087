"""Which program the kernel starts in place of another: `#!` lines, execve(2), and PT_INTERP, elf(5)."""

import struct
from typing import BinaryIO

_LINE_BYTES = 256
"""BINPRM_BUF_SIZE of the kernel: what it reads of a `#!` line."""
_MAX_HEADERS = 256
_MAX_NAME_BYTES = 4096
_LARGEST_OFFSET = 1 << 62
_PT_INTERP = 3


MAX_INTERPRETERS = 5
"""An interpreter may be a script itself; the kernel gives up after this many (exec_binprm in fs/exec.c)."""


def interpreter_in(stream: BinaryIO) -> str:
    """Return the interpreter that a program names, as it names it; empty when it needs none or is broken."""
    head = stream.read(_LINE_BYTES)
    if head.startswith(b"#!"):
        return _decode(_script(head))
    if not head.startswith(b"\x7fELF") or len(head) < 64:
        return ""
    position, size = _segment_place(head)
    if not size or size > _MAX_HEADERS * 64 or position >= _LARGEST_OFFSET:
        return ""
    stream.seek(position)
    offset, length = _interpreter_segment(stream.read(size), head)
    if not 0 < length <= _MAX_NAME_BYTES or offset >= _LARGEST_OFFSET:
        return ""
    stream.seek(offset)
    name = stream.read(length)
    return _decode(name.partition(b"\0")[0]) if len(name) == length and name.endswith(b"\0") else ""


def _decode(name: bytes) -> str:
    return name.decode(errors="surrogateescape")


def _script(head: bytes) -> bytes:
    words = head[2:].partition(b"\n")[0].strip(b" \t").replace(b"\t", b" ").split(b" ")
    return words[0].partition(b"\0")[0]


def _format(head: bytes) -> tuple[str, bool]:
    return "<" if head[5] == 1 else ">", head[4] == 2


def _segment_place(head: bytes) -> tuple[int, int]:
    """Return where the program headers are and how many bytes they take."""
    order, wide = _format(head)
    offset = struct.unpack_from(order + "Q", head, 32)[0] if wide else struct.unpack_from(order + "I", head, 28)[0]
    size, count = struct.unpack_from(order + "HH", head, 54 if wide else 42)
    return offset, size * min(count, _MAX_HEADERS)


def _interpreter_segment(headers: bytes, head: bytes) -> tuple[int, int]:
    order, wide = _format(head)
    (size,) = struct.unpack_from(order + "H", head, 54 if wide else 42)
    if size < (56 if wide else 32):
        return 0, 0
    for start in range(0, len(headers) - size + 1, size):
        if struct.unpack_from(order + "I", headers, start)[0] == _PT_INTERP:
            offset = struct.unpack_from(order + ("Q" if wide else "I"), headers, start + (8 if wide else 4))[0]
            length = struct.unpack_from(order + ("Q" if wide else "I"), headers, start + (32 if wide else 16))[0]
            return offset, length
    return 0, 0
