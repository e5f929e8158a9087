"""A merged tree as a directory that a container can have as its root.

Nothing is written through a symbolic link: every parent is a directory that this module just made. The directory must
lie in one that only its owner can enter, because set-uid programs of an untrusted image are in it.
"""

import contextlib
import errno
import os
import posixpath
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from mlbloat.errors import BadImageError, EngineError
from mlbloat.model.filetree import Entry, FileTree, Kind

_CHUNK_BYTES = 1 << 20
_PRIVATE_XATTRS = ("trusted.overlay.", "user.overlay.")
"""They would change what an overlay over this directory shows."""
_NODES = {Kind.CHARACTER: stat.S_IFCHR, Kind.BLOCK: stat.S_IFBLK, Kind.FIFO: stat.S_IFIFO}


def unpack(tree: FileTree, directory: Path) -> None:
    """Write a tree below a new directory. Without root, owners, set-id bits and device nodes are left out."""
    root = os.geteuid() == 0
    written: dict[tuple[int, int], str] = {}
    with _enough_room(tree, directory):
        directory.mkdir(mode=0o700)
        for entry in tree.values():
            if entry.path != "/":
                path = _place(tree, entry, directory)
                _write(tree, entry, path, written, root)
        # Last, and deepest first: writing into a directory changes its time, and its mode may forbid to write.
        for entry in reversed(tuple(tree.values())):
            if entry.kind is Kind.DIRECTORY:
                _dress(entry, _inside(directory, entry.path), root)


def _inside(directory: Path, path: str) -> str:
    return f"{directory}{path}" if path != "/" else str(directory)


def _place(tree: FileTree, entry: Entry, directory: Path) -> str:
    """Return where an entry goes, its parent being there already, as a directory."""
    if any(part in ("", ".", "..") or "\0" in part for part in entry.path.split("/")[1:]):
        raise BadImageError(f"cannot unpack {entry.path!r}: this name leaves its directory; rebuild the image")
    parent = tree.get(posixpath.dirname(entry.path))
    if parent is None or parent.kind is not Kind.DIRECTORY:
        what = "missing from" if parent is None else f"a {parent.kind}, not a directory, in"
        raise BadImageError(f"cannot unpack {entry.path!r}: its parent is {what} the image; rebuild the image")
    return _inside(directory, entry.path)


def _write(tree: FileTree, entry: Entry, path: str, written: dict[tuple[int, int], str], root: bool) -> None:
    if entry.kind is Kind.DIRECTORY:
        os.mkdir(path, 0o700)
    elif entry.kind is Kind.SYMLINK:
        os.symlink(entry.target, path)
        _dress(entry, path, root)
    elif entry.kind is Kind.FILE and entry.inode in written:
        os.link(written[entry.inode], path, follow_symlinks=False)
    elif entry.kind is Kind.FILE:
        _copy(tree, entry, path)
        _dress(entry, path, root)
        written[entry.inode] = path
    elif entry.kind is Kind.FIFO or root:
        with contextlib.suppress(PermissionError):  # root without MKNOD, as in a container: device nodes are left out
            os.mknod(path, _NODES[entry.kind] | 0o600, os.makedev(*entry.device))
            _dress(entry, path, root)


def _copy(tree: FileTree, entry: Entry, path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb", buffering=0) as sink, tree.open(entry) as source:
        shutil.copyfileobj(source, sink, min(_CHUNK_BYTES, max(1, entry.size_bytes)))
        size_bytes = sink.tell()
    if size_bytes != entry.size_bytes:
        raise BadImageError(
            f"cannot unpack {entry.path!r}: it has {size_bytes} bytes, not {entry.size_bytes}; pull the image again"
        )


def _dress(entry: Entry, path: str, root: bool) -> None:
    """Give a file its owner, then its mode (a change of owner clears set-id bits), attributes and time."""
    if root:
        os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
    for name, value in entry.xattrs:
        _set_xattr(path, name, value)
    if entry.kind is not Kind.SYMLINK:
        os.chmod(path, entry.mode if root else entry.mode & 0o1777)
    nanoseconds = int(entry.mtime * 1_000_000_000)
    os.utime(path, ns=(nanoseconds, nanoseconds), follow_symlinks=False)


def _set_xattr(path: str, name: str, value: bytes) -> None:
    if name.startswith(_PRIVATE_XATTRS):
        return
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as error:
        # A label of another security module, or a file system without attributes: runs do not depend on them.
        if error.errno not in (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EINVAL):
            raise


@contextlib.contextmanager
def _enough_room(tree: FileTree, directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise EngineError(
                f"cannot unpack the image to {directory}: {error.strerror}; set TMPDIR to a directory that can hold it"
            ) from error
        needed = sum({entry.inode: entry.size_bytes for entry in tree.files()}.values())
        raise EngineError(
            f"cannot unpack the image to {directory}: no space left, {needed} bytes are needed; "
            "set TMPDIR to a larger file system"
        ) from error
