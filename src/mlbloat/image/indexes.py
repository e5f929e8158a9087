"""Indexes of layers in the cache: the entries, never a content.

Columns instead of rows: a layer has tens of thousands of entries, and one list of numbers is decoded faster than as
many records. Names are bytes, because a path may hold what is no text.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from mlbloat.cache import Cache
from mlbloat.model.filetree import Entry, Kind

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

KIND = "index/3"
"""With the number of its format; a change of what `tarstream.index` returns is a new one, too."""
_KINDS = tuple(Kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What reading a layer found."""

    tar_bytes: int
    entries: tuple[Entry, ...]
    through_links: bool = False
    """Members are named through symbolic links of the layer: their paths here are not those of the tar."""


class _Columns(msgspec.Struct, array_like=True, frozen=True):
    tar_bytes: int
    paths: bytes
    kinds: bytes
    sizes: list[int]
    modes: list[int]
    uids: list[int]
    gids: list[int]
    mtimes: list[float]
    targets: bytes
    members: list[int]
    xattrs: dict[int, list[tuple[bytes, bytes]]]
    devices: dict[int, tuple[int, int]]
    through_links: bool


def load(cache: Cache, key: str, layer: int) -> Index | None:
    """Return what the cache knows of a layer (`Layer.key`), as the layer of that number; None when it knows nothing."""
    value = cache.load(KIND, key).get(0)
    if value is None:
        return None
    try:
        columns = msgspec.msgpack.decode(zstd.decompress(value), type=_Columns)
        return Index(tar_bytes=columns.tar_bytes, entries=_entries(columns, layer), through_links=columns.through_links)
    except (zstd.ZstdError, msgspec.DecodeError, ValueError, IndexError):  # damaged: read the layer again
        return None


def known(cache: Cache, key: str) -> bool:
    return 0 in cache.load(KIND, key)


def save(cache: Cache, key: str, found: Index) -> None:
    entries = found.entries
    columns = _Columns(
        tar_bytes=found.tar_bytes,
        paths=_joined(entry.path for entry in entries),
        kinds=bytes(_KINDS.index(entry.kind) for entry in entries),
        sizes=[entry.size_bytes for entry in entries],
        modes=[entry.mode for entry in entries],
        uids=[entry.uid for entry in entries],
        gids=[entry.gid for entry in entries],
        mtimes=[entry.mtime for entry in entries],
        targets=_joined(entry.target for entry in entries),
        members=[entry.member for entry in entries],
        xattrs={
            number: [(_raw(name), value) for name, value in entry.xattrs]
            for number, entry in enumerate(entries)
            if entry.xattrs
        },
        devices={number: entry.device for number, entry in enumerate(entries) if entry.device != (0, 0)},
        through_links=found.through_links,
    )
    cache.save(KIND, key, {0: zstd.compress(msgspec.msgpack.encode(columns), level=3)})


def _entries(columns: _Columns, layer: int) -> tuple[Entry, ...]:
    rows = zip(
        _split(columns.paths),
        columns.kinds,
        columns.sizes,
        columns.modes,
        columns.uids,
        columns.gids,
        columns.mtimes,
        _split(columns.targets),
        columns.members,
        strict=True,
    )
    entries = [
        Entry(
            path=path,
            kind=_KINDS[kind],
            size_bytes=size,
            mode=mode,
            uid=uid,
            gid=gid,
            mtime=mtime,
            target=target,
            layer=layer,
            member=member,
            inode=(layer, member),
        )
        for path, kind, size, mode, uid, gid, mtime, target, member in rows
    ]
    for number, pairs in columns.xattrs.items():
        entries[number] = replace(entries[number], xattrs=tuple((_text(name), value) for name, value in pairs))
    for number, device in columns.devices.items():
        entries[number] = replace(entries[number], device=device)
    return tuple(entries)


def _joined(names: Iterable[str]) -> bytes:
    """Join names, each ended by the one byte that none can hold."""
    return _raw("".join(f"{name}\0" for name in names))


def _split(names: bytes) -> list[str]:
    return _text(names).split("\0")[:-1]


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
