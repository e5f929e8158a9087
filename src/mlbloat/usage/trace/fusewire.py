"""The messages of FUSE as bytes: what a read-only file system is asked and answers.

fuse(4), include/uapi/linux/fuse.h of the kernel
"""

import os
import struct
from dataclasses import dataclass
from enum import IntEnum

HEADER_BYTES = 40
"""struct fuse_in_header."""
_IN = struct.Struct("=IIQQ")
"""Of it: length, operation, the request's number, node; who asks comes after."""
_OUT = struct.Struct("=IiQ")
_INIT_OUT = struct.Struct("=IIIIHHIIHHII")
_INIT_BYTES = 64
_ATTRIBUTES = struct.Struct("=6Q10I")
_ENTRY = struct.Struct("=QQQQII")
_ENTRY_BYTES = 128
_ATTRIBUTES_HEAD = struct.Struct("=QII")
_OPENED = struct.Struct("=QIi")
_READ = struct.Struct("=QQI")
_DIRECTORY_ENTRY = struct.Struct("=QQII")
_PAIR = struct.Struct("=II")
_STATISTICS = struct.Struct("=5Q4I24x")

MAJOR, MINOR = 7, 31
"""Linux 5.4; a newer kernel speaks to us as to that one."""
ROOT = 1
"""The node of the root directory."""
_FOREVER = 1 << 30
"""Seconds: below the overlay nothing ever changes, so the kernel asks once."""
_ASYNC_READ, _PARALLEL_DIRECTORIES, _MAX_PAGES, _CACHE_LINKS = 1, 1 << 18, 1 << 22, 1 << 23
_WANTED = _ASYNC_READ | _PARALLEL_DIRECTORIES | _MAX_PAGES | _CACHE_LINKS
_READ_PAGES = 256
_KEEP_CACHE = 2


class Operation(IntEnum):
    """Those that a read-only file system has something to say to; fuse_opcode."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    READLINK = 5
    OPEN = 14
    READ = 15
    STATFS = 17
    RELEASE = 18
    GETXATTR = 22
    LISTXATTR = 23
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42


UNANSWERED = frozenset({Operation.FORGET, Operation.BATCH_FORGET, Operation.INTERRUPT})
CHANGING = frozenset({4, 6, 8, 9, 10, 11, 12, 13, 16, 21, 24, 35, 43, 45, 47, 51})
"""setattr, symlink, mknod, mkdir, unlink, rmdir, rename, link, write, setxattr, removexattr, create, fallocate,
rename2, copy_file_range, tmpfile: nobody asks this of what lies below an overlay."""


@dataclass(frozen=True, slots=True)
class Asked:
    operation: int
    number: int
    node: int
    body: bytes


def asked(message: bytes | bytearray | memoryview) -> Asked:
    """Read one request."""
    length, operation, number, node = _IN.unpack_from(message)
    return Asked(operation, number, node, bytes(message[HEADER_BYTES:length]))


def name_in(body: bytes) -> bytes:
    return body.partition(b"\0")[0]


def header(number: int, payload_bytes: int, error: int = 0) -> bytes:
    """Head an answer: a payload, or the number of an error."""
    return _OUT.pack(_OUT.size + payload_bytes, -error, number)


def initialised(body: bytes) -> bytes:
    """Answer to INIT: what we and this kernel both know."""
    _, _, read_ahead, offered = struct.unpack_from("=IIII", body)
    wanted = offered & _WANTED
    return _INIT_OUT.pack(MAJOR, MINOR, read_ahead, wanted, 64, 48, 4096, 1, _READ_PAGES, 0, 0, 0).ljust(
        _INIT_BYTES, b"\0"
    )


def entry(node: int, state: os.stat_result) -> bytes:
    return _ENTRY.pack(node, 0, _FOREVER, _FOREVER, 0, 0) + _attributes(state)


NO_ENTRY = _ENTRY.pack(0, 0, _FOREVER, 0, 0, 0).ljust(_ENTRY_BYTES, b"\0")
"""There is no such name, and never will be."""


def attributes(state: os.stat_result) -> bytes:
    return _ATTRIBUTES_HEAD.pack(_FOREVER, 0, 0) + _attributes(state)


def _attributes(state: os.stat_result) -> bytes:
    seconds = [max(0, when) // 1_000_000_000 for when in (state.st_atime_ns, state.st_mtime_ns, state.st_ctime_ns)]
    rest = [max(0, when) % 1_000_000_000 for when in (state.st_atime_ns, state.st_mtime_ns, state.st_ctime_ns)]
    identity = (state.st_mode, state.st_nlink, state.st_uid, state.st_gid, state.st_rdev & 0xFFFF_FFFF)
    return _ATTRIBUTES.pack(state.st_ino, state.st_size, state.st_blocks, *seconds, *rest, *identity, 4096, 0)


def flags_in(body: bytes) -> int:
    """Return the flags of OPEN, as open(2) has them."""
    (flags,) = struct.unpack_from("=I", body)
    return int(flags)


def opened(node: int) -> bytes:
    return _OPENED.pack(node, _KEEP_CACHE, 0)


def place_in(body: bytes) -> tuple[int, int]:
    """Return offset and size of READ and READDIR."""
    _, offset, size = _READ.unpack_from(body)
    return offset, size


def directory_entry(name: bytes, inode: int, kind: int, following: int) -> bytes:
    """One name of a directory; `following` is where to read on after it, `kind` as in the mode of stat(2)."""
    packed = _DIRECTORY_ENTRY.pack(inode, following, len(name), kind >> 12) + name
    return packed.ljust(-(-len(packed) // 8) * 8, b"\0")


def size_in(body: bytes) -> tuple[int, bytes]:
    """Return the size that there is room for, and the name, of GETXATTR and LISTXATTR."""
    size, _ = _PAIR.unpack_from(body)
    return size, name_in(body[_PAIR.size :])


def size(length: int) -> bytes:
    return _PAIR.pack(length, 0)


def statistics(state: os.statvfs_result) -> bytes:
    counts = (state.f_blocks, state.f_bfree, state.f_bavail, state.f_files, state.f_ffree)
    return _STATISTICS.pack(*counts, state.f_bsize, state.f_namemax, state.f_frsize, 0)
