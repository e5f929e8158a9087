"""`dir:PATH`: a directory as an image of one layer and no configuration.

The tree is written as a deterministic tar into the workspace, so that everything after this reads one kind of layer.
Modes, owners, times, extended attributes and hard links are kept, sockets left out as every archiver does. Other file
systems that are mounted below it are not entered.
"""

import errno
import hashlib
import json
import os
import posixpath
import stat
from collections.abc import Iterator
from pathlib import Path

from mlbloat.errors import BadImageError, UsageError
from mlbloat.image.places import existing
from mlbloat.image.stored import Question, Stored, StoredLayer, host_platform
from mlbloat.image.unpack import check_size
from mlbloat.model.filetree import Entry, Kind
from mlbloat.tarstream import Window, encode, end_of_archive, padding
from mlbloat.tarstream.header import WHITEOUT_PREFIX

SCHEME = "dir"
_CHUNK_BYTES = 1 << 20
_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
}


def find(question: Question) -> Stored:
    root, choice = existing(question.rest, question.reference)
    if choice or not root.is_dir():
        raise UsageError(f"cannot read {question.reference}: it is no directory; use docker-archive: or oci-archive:")
    if question.workspace.resolve().is_relative_to(root.resolve()):
        raise UsageError(
            f"cannot read {question.reference}: the temporary directory is inside it; set TMPDIR to another place"
        )
    question.workspace.mkdir(parents=True, exist_ok=True)
    path = question.workspace / "directory.tar"
    question.meter.begin("reading directory", None)
    running = hashlib.sha256()
    with path.open("wb") as out:
        for chunk in _tar(root):
            check_size(out.tell() + len(chunk), question.limits, question.reference)
            running.update(chunk)
            out.write(chunk)
            question.meter.add(len(chunk))
    diff_id = f"sha256:{running.hexdigest()}"
    return Stored(config=_config(diff_id), layers=(StoredLayer(blob=Window.whole(path), written=True),))


def _config(diff_id: str) -> bytes:
    platform = host_platform()
    document = {
        "architecture": platform.architecture,
        "os": platform.os,
        **({"variant": platform.variant} if platform.variant else {}),
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _tar(root: Path) -> Iterator[bytes]:
    links: dict[tuple[int, int], str] = {}
    for path, where in _walk(root):
        status = where.lstat()
        entry = _entry(path, where, status, links)
        if entry is None:
            continue
        yield encode(entry)
        if entry.kind is Kind.FILE:
            yield from _content(where, entry.size_bytes)
    yield from end_of_archive(0)


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield (path in the image, path here), parents first, names in byte order."""
    top = root.resolve()
    device = top.lstat().st_dev
    waiting = [("/", top)]
    while waiting:
        path, where = waiting.pop()
        yield path, where
        status = where.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
            below = sorted(where.iterdir(), key=os.fsencode, reverse=True)
            waiting.extend((posixpath.join(path, child.name), child) for child in below)


def _entry(path: str, where: Path, status: os.stat_result, links: dict[tuple[int, int], str]) -> Entry | None:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    if where.name.startswith(WHITEOUT_PREFIX):
        raise BadImageError(
            f"cannot read {where}: a name that starts with {WHITEOUT_PREFIX} means a deletion in a layer; rename it"
        )
    target = str(where.readlink()) if kind is Kind.SYMLINK else ""
    if kind is not Kind.DIRECTORY and status.st_nlink > 1:
        first = links.setdefault((status.st_dev, status.st_ino), path)
        if first != path:
            kind, target = Kind.HARDLINK, first
    is_device = kind in (Kind.CHARACTER, Kind.BLOCK)
    return Entry(
        path=path,
        kind=kind,
        size_bytes=status.st_size if kind is Kind.FILE else 0,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=status.st_mtime,
        target=target,
        xattrs=() if kind is Kind.HARDLINK else _xattrs(where),
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if is_device else (0, 0),
    )


def _xattrs(where: Path) -> tuple[tuple[str, bytes], ...]:
    try:
        names = sorted(os.listxattr(where, follow_symlinks=False))
        return tuple((name, os.getxattr(where, name, follow_symlinks=False)) for name in names)
    except OSError as error:
        if error.errno == errno.ENOTSUP:  # the file system has none
            return ()
        raise


def _content(where: Path, size_bytes: int) -> Iterator[bytes]:
    """Yield exactly as many bytes as the header says."""
    left = size_bytes
    with os.fdopen(os.open(where, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as stream:
        while chunk := stream.read(min(_CHUNK_BYTES, left)):
            left -= len(chunk)
            yield chunk
    if left:
        raise BadImageError(f"cannot read {where}: it became shorter while it was read; try again when nothing writes")
    yield padding(size_bytes)
