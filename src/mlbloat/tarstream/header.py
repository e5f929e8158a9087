"""Tar headers to entries: USTAR, GNU and PAX, read the way the engines read them.

Hostile input: every length is bounded before it is used, names cannot leave the root, and what two readers could
understand differently is refused. Global PAX headers are passed over, because docker, containerd and podman do so too.
That also means that no member depends on one, and a member copied byte for byte means the same anywhere.

https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html (USTAR and PAX)
https://www.gnu.org/software/tar/manual/html_node/Tar-Internals.html (GNU)
https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md#whiteouts
"""

import posixpath
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from msgspec.structs import replace

from mlbloat.errors import BadImageError
from mlbloat.model.filetree import Entry, Kind
from mlbloat.tarstream import sparse
from mlbloat.tarstream.block import BLOCK, Block, BrokenTarError, decimal, padded, parse
from mlbloat.tarstream.limits import DEFAULT_LIMITS, Budget, Limits, OverLimitError
from mlbloat.tarstream.sparse import Extent, Records

OPAQUE_NAME = ".wh..wh..opq"
_LARGEST_ID = 2**32 - 2
_LATEST_SECONDS = 2**40
"""Some 35,000 years away; no file system keeps a later time."""
_NAME_MAX = 255
_PATH_MAX = 4096
"""In bytes, with the NUL at the end."""
_ALWAYS_FITS = _NAME_MAX // 4
"""So many characters are never too many bytes; of ASCII alone, as many as one component may have."""
WHITEOUT_PREFIX = ".wh."
_AUFS_PREFIX = ".wh..wh."
"""AUFS' own bookkeeping (`.wh..wh.aufs`, `.wh..wh.plnk`): no file. What is in the directory of that name is one, to
docker and umoci, and hard links may name it."""
_XATTR_PREFIX = b"SCHILY.xattr."

_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.GNUTYPE_SPARSE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK,
    tarfile.CHRTYPE: Kind.CHARACTER,
    tarfile.BLKTYPE: Kind.BLOCK,
    tarfile.FIFOTYPE: Kind.FIFO,
}
_EXTENSIONS = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class Member(NamedTuple):
    """One entry and where its bytes are, as offsets in the tar."""

    entry: Entry
    end: int
    """Where the next header begins."""
    extents: tuple[Extent, ...]
    """Stored content, in order; the rest of a sparse file is zeros."""


@dataclass(slots=True)
class _Extensions:
    """What the extension headers before a header say about it."""

    records: list[tuple[bytes, bytes]]
    long_name: bytes | None = None
    long_link: bytes | None = None
    size_bytes: int = 0


def index(
    tar: BinaryIO, *, name: str, layer: int = 0, limits: Limits = DEFAULT_LIMITS, budget: Budget | None = None
) -> tuple[Entry, ...]:
    """Read the entries of a seekable, uncompressed tar in its own order; only headers are read.

    A name that comes twice is two entries: the later one replaces the earlier when the layer is applied. `budget` is
    what the layers of one image share; without it this tar has the limits for itself.
    """
    entries: list[Entry] = []
    left = budget or Budget(limits)
    try:
        for member in members(tar, layer=layer, limits=limits):
            left.take(1, _weight(member.entry))
            entry = _unmask(member.entry)
            if entry is not None:
                entries.append(entry)
    except OverLimitError as error:
        raise BadImageError(f"cannot read {name}: {error}") from None
    except BrokenTarError as error:
        raise BadImageError(f"cannot read {name}: {error}; pull or save the image again") from None
    return tuple(entries)


def account(entries: Iterable[Entry], *, name: str, budget: Budget) -> None:
    """Take entries that were indexed earlier out of a budget."""
    try:
        for entry in entries:
            budget.take(1, _weight(entry))
    except OverLimitError as error:
        raise BadImageError(f"cannot read {name}: {error}") from None


def _weight(entry: Entry) -> int:
    """Count the characters and bytes that an entry keeps in memory."""
    attributes = sum(len(name) + len(value) for name, value in entry.xattrs) if entry.xattrs else 0
    return len(entry.path) + len(entry.target) + attributes


def members(tar: BinaryIO, *, layer: int = 0, limits: Limits = DEFAULT_LIMITS) -> Iterator[Member]:
    """Yield the members as the tar has them, whiteouts as the plain files that they are."""
    size = tar.seek(0, 2)
    offset = 0
    while (member := read_member(tar, offset, size, layer=layer, limits=limits)) is not None:
        yield member
        offset = member.end


def read_member(tar: BinaryIO, offset: int, size: int, *, layer: int, limits: Limits) -> Member | None:
    """Read the member whose first header block is at offset; None at the end of the archive."""
    start = offset
    extensions = _Extensions(records=[])
    while True:
        block = _header_block(tar, offset, size)
        if block is None:
            if offset != start:
                raise BrokenTarError("it ends after an extension header")
            return None
        header = parse(block)
        if header.kind == tarfile.XGLTYPE:
            if offset != start:
                raise BrokenTarError("a global header follows an extension header")
            offset = start = offset + BLOCK + padded(_content_bytes(header.size_bytes, offset + BLOCK, size))
        elif header.kind in _EXTENSIONS:
            _extend(extensions, header, _extension(tar, header, offset, size, extensions.size_bytes, limits))
            offset += BLOCK + padded(header.size_bytes)
        else:
            return _member(tar, block, header, extensions, start, offset + BLOCK, size, layer, limits)


def _header_block(tar: BinaryIO, offset: int, size: int) -> bytes | None:
    """Read one header block; None at the end: no more bytes, or blocks of zeros."""
    if offset >= size:
        return None
    tar.seek(offset)
    block = tar.read(BLOCK)
    if len(block) < BLOCK:
        raise BrokenTarError(f"it is cut off in a header at byte {offset}")
    if block.count(0) != BLOCK:
        return block
    following = tar.read(BLOCK)
    if following.count(0) != len(following):
        raise BrokenTarError(f"there is a lone empty block at byte {offset}")
    return None


def _content_bytes(stored: int, offset: int, size: int) -> int:
    """Return a stored length once it is known to be there."""
    if stored < 0 or offset + stored > size:
        raise BrokenTarError(f"it is cut off, or a header at byte {offset - BLOCK} claims {stored} bytes of content")
    return stored


def _extension(tar: BinaryIO, header: Block, offset: int, size: int, before_bytes: int, limits: Limits) -> bytes:
    if before_bytes + BLOCK + header.size_bytes > limits.header_bytes:
        raise OverLimitError(
            f"the extension headers of a member exceed {limits.header_bytes} bytes; {limits.advice('header_bytes')}"
        )
    _content_bytes(header.size_bytes, offset + BLOCK, size)
    tar.seek(offset + BLOCK)
    return tar.read(header.size_bytes)


def _extend(extensions: _Extensions, header: Block, payload: bytes) -> None:
    extensions.size_bytes += BLOCK + len(payload)
    if header.kind == tarfile.GNUTYPE_LONGNAME:
        extensions.long_name = payload.partition(b"\0")[0]
    elif header.kind == tarfile.GNUTYPE_LONGLINK:
        extensions.long_link = payload.partition(b"\0")[0]
    else:
        extensions.records.extend(_records(payload))


def _records(payload: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the `length key=value` records of a PAX header."""
    position = 0
    while position < len(payload):
        space = payload.find(b" ", position, position + 20)
        digits = payload[position : max(space, position)]
        end = position + int(digits) if digits.isdigit() else 0
        key, equals, value = payload[space + 1 : end - 1].partition(b"=")
        if not space + 1 < end <= len(payload) or payload[end - 1 : end] != b"\n" or not equals or not key:
            raise BrokenTarError("a PAX header is malformed")
        yield key, value
        position = end


def _member(
    tar: BinaryIO,
    block: bytes,
    header: Block,
    extensions: _Extensions,
    start: int,
    data: int,
    size: int,
    layer: int,
    limits: Limits,
) -> Member:
    records: Records = dict(extensions.records)
    name = _text(extensions.long_name or records.get(b"GNU.sparse.name") or records.get(b"path"), header.name)
    kind = _KINDS.get(header.kind)
    if kind is None:
        raise BrokenTarError(f"{name[:200]!r} is of a type that no image may hold ({header.kind!r})")
    if header.kind == tarfile.AREGTYPE and name.endswith("/"):
        kind = Kind.DIRECTORY
    path = normal_path(name, limits)
    if path == "/" and kind is not Kind.DIRECTORY:
        raise BrokenTarError(f"the root is a {kind}")
    stored = decimal(records.get(b"size"), header.size_bytes) if kind is Kind.FILE else 0
    content = sparse.content(tar, block, extensions.records, data, stored, size)
    _content_bytes(stored, content.data, size)
    target = _text(extensions.long_link or records.get(b"linkpath"), header.link)
    if kind is Kind.HARDLINK:
        target = normal_path(target, limits)
    elif kind is not Kind.SYMLINK:
        target = ""
    entry = Entry(
        path=path,
        kind=kind,
        size_bytes=content.size_bytes,
        mode=header.mode & 0o7777,
        uid=decimal(records.get(b"uid"), header.uid),
        gid=decimal(records.get(b"gid"), header.gid),
        mtime=_time(records.get(b"mtime"), header.mtime),
        target=target,
        xattrs=_xattrs(records),
        device=header.device,
        layer=layer,
        member=start,
        inode=(layer, start),
    )
    _check_range(entry)
    return Member(entry=entry, end=content.end, extents=content.extents)


def _check_range(entry: Entry) -> None:
    """Refuse what no file system of Linux can hold."""
    if not 0 <= max(entry.uid, entry.gid) <= _LARGEST_ID or abs(entry.mtime) > _LATEST_SECONDS:
        raise BrokenTarError(f"{entry.path[:200]!r} has an owner or a time out of range")
    names = (entry.path, entry.target if entry.kind is Kind.HARDLINK else "")
    too_long = [name for name in names if len(name) > _ALWAYS_FITS and not _fits(name)]
    if too_long or len(entry.target) >= _PATH_MAX:
        raise BrokenTarError(f"the name {(too_long or [entry.target])[0][:200]!r}… is longer than Linux allows")
    if any("\0" in name for name, _ in entry.xattrs):
        raise BrokenTarError(f"{entry.path[:200]!r} has an extended attribute with a NUL byte in its name")


def _fits(name: str) -> bool:
    if len(name) <= _NAME_MAX and name.isascii():
        return True
    encoded = name.encode("utf-8", "surrogateescape")
    return len(encoded) < _PATH_MAX and all(len(part) <= _NAME_MAX for part in encoded.split(b"/"))


def _text(override: bytes | None, value: bytes) -> str:
    text = (override or value).decode("utf-8", "surrogateescape")
    if "\0" in text:
        raise BrokenTarError(f"a name holds a NUL byte ({text[:200]!r})")
    return text


def _time(record: bytes | None, value: int) -> float:
    if not record:
        return float(value)
    if not re.fullmatch(rb"-?[0-9]{1,20}(\.[0-9]{0,20})?", record):
        raise BrokenTarError(f"{record[:40]!r} is not a time")
    return float(record)


def _xattrs(records: Records) -> tuple[tuple[str, bytes], ...]:
    if not records:
        return ()
    return tuple(
        sorted(
            (key.removeprefix(_XATTR_PREFIX).decode("utf-8", "surrogateescape"), value)
            for key, value in records.items()
            if key.startswith(_XATTR_PREFIX)
        )
    )


def normal_path(name: str, limits: Limits) -> str:
    """Return the absolute path of a member name: `./x`, `x/` and `/x` are all `/x`."""
    if name[:1] not in ("", ".", "/") and "/." not in name and "//" not in name:
        name = name.rstrip("/")
        if name.count("/") < limits.path_components:
            return "/" + name
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BrokenTarError(f"the name {name[:200]!r} leaves the root")
    if len(parts) > limits.path_components:
        raise OverLimitError(
            f"the name {name[:200]!r}… is deeper than {limits.path_components} directories; "
            f"{limits.advice('path_components')}"
        )
    return "/" + "/".join(parts)


def _unmask(entry: Entry) -> Entry | None:
    """Return a whiteout for what stands for one; None for AUFS' bookkeeping."""
    if entry.kind is Kind.CHARACTER and entry.device == (0, 0):
        return replace(entry, kind=Kind.WHITEOUT)  # to overlayfs, which every engine uses
    if WHITEOUT_PREFIX not in entry.path:
        return entry
    directory, name = posixpath.split(entry.path)
    if name == OPAQUE_NAME:
        return replace(entry, path=directory, kind=Kind.OPAQUE, size_bytes=0, target="")
    if name.startswith(_AUFS_PREFIX):
        return None
    if not name.startswith(WHITEOUT_PREFIX):
        return entry
    hidden = name.removeprefix(WHITEOUT_PREFIX)
    if hidden in ("", ".", ".."):
        raise BrokenTarError(f"the whiteout {entry.path[:200]!r} names no file")
    return replace(entry, path=posixpath.join(directory, hidden), kind=Kind.WHITEOUT, size_bytes=0, target="")
