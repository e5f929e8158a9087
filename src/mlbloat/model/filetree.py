"""Entries of a layer and the merged tree of an image.

Paths are absolute POSIX strings without a trailing slash ("/usr/bin/env", the root is "/"). Names that are not UTF-8
carry surrogate escapes, as `os.fsdecode` makes them.
"""

import posixpath
from collections.abc import Iterator, Mapping, ValuesView
from copy import copy
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import BinaryIO, Protocol

import msgspec

MAX_LINKS = 40
"""Symbolic links followed in one look-up before it counts as a loop, as in Linux (path_resolution(7))."""

ContentKey = tuple[str, int]
"""A layer's diff ID and the offset of a member in it: true of the content in any image that has the layer."""


class Kind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    """Only in a layer's own entries: squash turns it into the FILE that it names."""
    CHARACTER = "character device"
    BLOCK = "block device"
    FIFO = "fifo"
    WHITEOUT = "whiteout"
    """Only in a layer's own entries: `path` is what is deleted from the layers below."""
    OPAQUE = "opaque"
    """Only in a layer's own entries: `path` is the directory whose lower content is hidden."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One member of one layer."""

    path: str
    kind: Kind
    size_bytes: int = 0
    """Content of a regular file, as a reader of the file would see it (holes of a sparse file included)."""
    mode: int = 0o644
    """Permission, set-id and sticky bits; never the file type."""
    uid: int = 0
    gid: int = 0
    mtime: float = 0.0
    """Seconds since the epoch."""
    target: str = ""
    """A symbolic link's text as stored; of a hard link the absolute path it names."""
    xattrs: tuple[tuple[str, bytes], ...] = ()
    """Sorted by name."""
    device: tuple[int, int] = (0, 0)
    """Major and minor number of a device node."""
    layer: int = 0
    """Index of the layer that holds it, 0 is the lowest."""
    member: int = 0
    """Offset of the first header block of this entry in its layer's tar. (layer, member) names the entry."""
    inode: tuple[int, int] = (0, 0)
    """(layer, member) of the entry that holds the content; the names of one hard-linked file share it."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Contents(Protocol):
    """Where the bytes of the regular files of a tree are."""

    def open(self, entry: Entry) -> BinaryIO:
        """Open the content of a regular file: seekable, `size_bytes` long. The caller closes it."""


class Found(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a look-up ended."""

    path: str
    """Canonical path: no symbolic link left in it."""
    entry: Entry | None
    """None when there is no such file; `path` then names what is missing."""
    links: tuple[str, ...]
    """Symbolic links passed on the way, in order."""


@dataclass(frozen=True, slots=True)
class FileTree(Mapping[str, Entry]):
    """The merged root file system: path to entry, in sorted order. Never holds HARDLINK, WHITEOUT or OPAQUE."""

    entries: Mapping[str, Entry]
    contents: Contents
    layers: tuple[str, ...] = ()
    """Diff IDs, lowest first; empty where layers are not known."""
    _children: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)
    _files: tuple[Entry, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ordered = {path: self.entries[path] for path in sorted(self.entries)}
        children: dict[str, list[str]] = {}
        for path in ordered:
            if path != "/":
                children.setdefault(path.rpartition("/")[0] or "/", []).append(path)
        object.__setattr__(self, "entries", MappingProxyType(ordered))
        object.__setattr__(self, "_children", {path: tuple(below) for path, below in children.items()})
        object.__setattr__(self, "_files", tuple(entry for entry in ordered.values() if entry.kind is Kind.FILE))

    def with_contents(self, contents: Contents) -> "FileTree":
        """Return the same tree, read from somewhere else."""
        other = copy(self)  # with what was made of the entries
        object.__setattr__(other, "contents", contents)
        return other

    def __getitem__(self, path: str) -> Entry:
        return self.entries[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def values(self) -> ValuesView[Entry]:
        return self.entries.values()  # without a look-up of each path

    def files(self) -> Iterator[Entry]:
        """Regular files, every name of a hard-linked one."""
        return iter(self._files)

    def children(self, directory: str) -> tuple[str, ...]:
        """Paths directly in a directory, sorted; empty for what is not one."""
        return self._children.get(directory, ())

    def directories(self) -> Iterator[str]:
        """Every directory that holds something; there are far fewer of them than files."""
        return iter(self._children)

    def below(self, directory: str) -> Iterator[Entry]:
        """Every entry under a directory, itself not included; a directory comes before what is in it."""
        waiting = list(reversed(self.children(directory)))
        while waiting:
            path = waiting.pop()
            yield self.entries[path]
            waiting.extend(reversed(self.children(path)))

    def find(self, path: str, *, follow: bool = True) -> Found:
        """Look a path up as the kernel would inside the image: links, `.` and `..` resolved component by component.

        With `follow=False` a symbolic link in the last place is returned itself. A loop or a missing component gives
        `entry=None`.
        """
        # A key is canonical: no link, `.` or `..` is in it, and what it is below are directories.
        entry = self.entries.get(path)
        if entry is not None and entry.kind is not Kind.SYMLINK:
            return Found(path=path, entry=entry, links=())
        parent, _, name = path.rpartition("/")
        above = self.entries.get(parent)
        if above is not None and above.kind is Kind.DIRECTORY and name not in ("", ".", ".."):
            return self._walk(parent, [name], follow)
        return self._walk("/", _reversed_parts(path), follow)

    def _walk(self, here: str, pending: list[str], follow: bool) -> Found:
        """Go on from a directory with the components that are left, the next one last."""
        links: list[str] = []
        while pending:
            part = pending.pop()
            if part == "..":
                here = posixpath.dirname(here)
                continue
            candidate = f"{here}/{part}" if here != "/" else f"/{part}"
            entry = self.entries.get(candidate)
            if entry is None:
                return Found(path=posixpath.join(candidate, *reversed(pending)), entry=None, links=tuple(links))
            if entry.kind is Kind.SYMLINK and (pending or follow):
                links.append(candidate)
                if len(links) > MAX_LINKS:
                    return Found(path=candidate, entry=None, links=tuple(links))
                if entry.target.startswith("/"):
                    here = "/"
                pending.extend(_reversed_parts(entry.target))
                continue
            if pending and entry.kind is not Kind.DIRECTORY:
                return Found(path=posixpath.join(candidate, *reversed(pending)), entry=None, links=tuple(links))
            here = candidate
        return Found(path=here, entry=self.entries.get(here), links=tuple(links))

    def content_key(self, entry: Entry) -> ContentKey | None:
        """Name a regular file's content wherever its layer turns up; None where layers are not known."""
        layer, member = entry.inode
        return (self.layers[layer], member) if self.layers else None

    def open(self, entry: Entry) -> BinaryIO:
        """Open a regular file's content; the caller closes it."""
        return self.contents.open(entry)

    def read(self, entry: Entry, limit_bytes: int | None = None) -> bytes:
        """Read a regular file, at most `limit_bytes` from its start."""
        with self.contents.open(entry) as stream:
            return stream.read() if limit_bytes is None else stream.read(limit_bytes)


def _reversed_parts(path: str) -> list[str]:
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
