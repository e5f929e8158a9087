"""Packages in caches of conda: unpacked directories and archives, which are no installations.

https://docs.conda.io/projects/conda/en/stable/user-guide/concepts/packages.html: `.tar.bz2` is one archive, `.conda` a
zip with `info-….tar.zst` and `pkg-….tar.zst`. Of an archive only the beginning is unpacked, in memory, to a limit.
"""

import bz2
import io
import posixpath
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.package import CachedPackage, Manager
from mlbloat.packages.database import DatabaseReader

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_UNPACKED_BYTES = 4 << 20
"""conda-build writes `info/` first, and index.json has a few kB."""
MAX_READ_BYTES = 1 << 20
MAX_DIRECTORY_BYTES = 1 << 20
"""End of a `.conda` file, which has three members."""
_INFO = "/info"
_INDEX = "info/index.json"
_CACHE = "/pkgs"
_ARCHIVES = (".conda", ".tar.bz2")
_THEN = "name and version are taken from the file's name"


class _Index(msgspec.Struct):
    name: str
    version: str


def find(reader: DatabaseReader) -> tuple[CachedPackage, ...]:
    """Return what lies in package caches, in order of path; archives count beside unpacked ones and in a `pkgs`."""
    directories = [posixpath.dirname(path) for path in reader.tree.directories() if path.endswith(_INFO)]
    unpacked = [path for path in directories if _is_package(reader.tree, path)]
    caches = {posixpath.dirname(path) for path in unpacked}
    caches.update(path for path in reader.tree.directories() if path.endswith(_CACHE))
    found = [_package(reader, path, f"{path}/{_INDEX}", reader.read(f"{path}/{_INDEX}")) for path in unpacked]
    for path in (child for cache in caches for child in reader.tree.children(cache)):
        if path.endswith(_ARCHIVES) and reader.tree[path].kind is Kind.FILE:
            found.append(_package(reader, path, path, _of_archive(reader, reader.tree[path])))
    return tuple(sorted((package for package in found if package is not None), key=lambda package: package.path))


def _is_package(tree: FileTree, path: str) -> bool:
    """Tell an unpacked package from a directory that has an `info/index.json` for reasons of its own."""
    if f"{path}/{_INDEX}" not in tree or posixpath.basename(path).count("-") < 2:
        return False
    listed = any(f"{path}/info/{name}" in tree for name in ("paths.json", "files"))
    return listed or posixpath.dirname(path).endswith(_CACHE)


def _package(reader: DatabaseReader, path: str, source: str, content: bytes | None) -> CachedPackage | None:
    try:
        index = None if content is None else msgspec.json.decode(content, type=_Index)
    except (msgspec.DecodeError, RecursionError) as error:
        reader.broken(source, str(error), _THEN)
        index = None
    name, version = (index.name, index.version) if index else _from_name(posixpath.basename(path))
    if not name.isprintable() or not version.isprintable():
        return None
    return CachedPackage(manager=Manager.CONDA, name=name, version=version, path=path)


def _from_name(name: str) -> tuple[str, str]:
    """`name-version-build`, where only the name may have further hyphens."""
    for extension in _ARCHIVES:
        name = name.removesuffix(extension)
    parts = name.rsplit("-", 2)
    return (parts[0], parts[1]) if len(parts) == 3 else (name, "")


def _of_archive(reader: DatabaseReader, entry: Entry) -> bytes | None:
    """Return index.json of an archive, None, with a problem noted, when the beginning does not hold it."""
    try:
        with reader.tree.open(entry) as stream:
            content = _conda(stream, entry.size_bytes) if entry.path.endswith(".conda") else _bzipped(stream)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error) as error:
        reader.broken(entry.path, f"it is no package of conda ({error})", _THEN)
        return None
    except (tarfile.TarError, zstd.ZstdError) as error:
        reader.broken(entry.path, f"it is cut off or damaged ({error})", _THEN)
        return None
    if content is None:
        reader.broken(entry.path, f"it has no {_INDEX} where one is looked for", _THEN)
    return content


def _bzipped(stream: BinaryIO) -> bytes | None:
    return _index(bz2.BZ2Decompressor().decompress(stream.read(MAX_READ_BYTES), MAX_UNPACKED_BYTES))


def _conda(stream: BinaryIO, size_bytes: int) -> bytes | None:
    """Read the directory of the zip from a copy of its end: zipfile believes what a file says of its length."""
    start = max(0, size_bytes - MAX_DIRECTORY_BYTES)
    stream.seek(start)
    end = stream.read(MAX_DIRECTORY_BYTES)
    with zipfile.ZipFile(io.BytesIO(end)) as archive:
        # What lies before the copy counts as a prefix to the zip: offsets come out too small by as much.
        member = next((each for each in archive.infolist() if each.filename.startswith("info-")), None)
    if member is None or member.compress_type != zipfile.ZIP_STORED:
        return None
    stream.seek(start + member.header_offset)
    header = stream.read(30)
    stream.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), io.SEEK_CUR)
    packed = stream.read(min(member.compress_size, MAX_READ_BYTES))
    return _index(zstd.ZstdDecompressor().decompress(packed, MAX_UNPACKED_BYTES))


def _index(tar: bytes) -> bytes | None:
    """Find index.json in the beginning of a tar."""
    for name, content in _members(tar):
        if name == _INDEX:
            return content
    return None


def _members(tar: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isreg() and member.name == _INDEX else None
            yield member.name, stream.read() if stream else b""
