"""Deterministic tar: the same entries give the same bytes.

Only what an `Entry` says is written. Names, times and attributes that USTAR cannot hold go into a PAX header, which
carries no process number and no clock.
"""

import posixpath
import tarfile
from collections.abc import Callable, Iterable, Iterator

from mlbloat.model.filetree import Entry, Kind
from mlbloat.tarstream.block import BLOCK, padded
from mlbloat.tarstream.header import OPAQUE_NAME, WHITEOUT_PREFIX

_CHUNK_BYTES = 1 << 20

_TYPES = {
    Kind.FILE: tarfile.REGTYPE,
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.HARDLINK: tarfile.LNKTYPE,
    Kind.CHARACTER: tarfile.CHRTYPE,
    Kind.BLOCK: tarfile.BLKTYPE,
    Kind.FIFO: tarfile.FIFOTYPE,
    Kind.WHITEOUT: tarfile.REGTYPE,
    Kind.OPAQUE: tarfile.REGTYPE,
}


def encode(entry: Entry) -> bytes:
    """Return the header blocks of an entry; of a file, `size_bytes` of content and `padding` must follow."""
    header = tarfile.TarInfo(_name(entry))
    header.type = _TYPES[entry.kind]
    header.mode, header.uid, header.gid = entry.mode, entry.uid, entry.gid
    header.mtime = int(entry.mtime) if entry.mtime == int(entry.mtime) else entry.mtime
    header.size = entry.size_bytes if entry.kind is Kind.FILE else 0
    header.linkname = entry.target.lstrip("/") if entry.kind is Kind.HARDLINK else entry.target
    header.devmajor, header.devminor = entry.device
    header.pax_headers = {
        "SCHILY.xattr." + name: value.decode("utf-8", "surrogateescape") for name, value in entry.xattrs
    }
    return header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _name(entry: Entry) -> str:
    path = entry.path.lstrip("/") or "."
    if entry.kind is Kind.WHITEOUT:
        directory, name = posixpath.split(path)
        return posixpath.join(directory, WHITEOUT_PREFIX + name)
    return posixpath.join(path, OPAQUE_NAME) if entry.kind is Kind.OPAQUE else path


def padding(size_bytes: int) -> bytes:
    """Return what fills content up to a whole block."""
    return bytes(padded(size_bytes) - size_bytes)


def end_of_archive(written_bytes: int, tar_bytes: int | None = None) -> Iterator[bytes]:
    """Yield what ends a tar; with `tar_bytes` up to that size, for a copy that is to end as its original does."""
    left = 2 * BLOCK if tar_bytes is None else tar_bytes - written_bytes
    while left > 0:
        chunk = bytes(min(left, _CHUNK_BYTES))
        left -= len(chunk)
        yield chunk


File = tuple[str, int, Callable[[], Iterable[bytes]]]
"""Name in an archive, size, and what opens its content."""


def archive(files: Iterable[File], *, mtime: int = 0) -> Iterator[bytes]:
    """Yield the tar of an archive of images: plain files owned by root, 0644, at one fixed time.

    Directories come before what is in them: syft does not make those that no member names. Raises ValueError when a
    content is not as long as its size says.
    """
    written = 0
    made = {""}
    for name, size_bytes, content in files:
        for directory in _new_directories(name, made):
            header = encode(Entry(path="/" + directory, kind=Kind.DIRECTORY, mode=0o755, mtime=mtime))
            written += len(header)
            yield header
        for chunk in _file(name, size_bytes, content(), mtime):
            written += len(chunk)
            yield chunk
    yield from end_of_archive(written)


def _new_directories(name: str, made: set[str]) -> Iterator[str]:
    parts = name.split("/")[:-1]
    for depth in range(1, len(parts) + 1):
        directory = "/".join(parts[:depth])
        if directory not in made:
            made.add(directory)
            yield directory


def _file(name: str, size_bytes: int, chunks: Iterable[bytes], mtime: int) -> Iterator[bytes]:
    yield encode(Entry(path="/" + name, kind=Kind.FILE, size_bytes=size_bytes, mtime=mtime))
    left = size_bytes
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left:
        raise ValueError(f"{name} is not {size_bytes} bytes long")
    yield padding(size_bytes)
