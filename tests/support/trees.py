"""File trees in memory, for tests of stages that only look at a tree."""

import io
from collections.abc import Mapping
from typing import BinaryIO

from msgspec import structs

from mlbloat.model.filetree import Entry, FileTree, Kind


class MemoryContents:
    """Contents protocol over a mapping of inode to bytes."""

    def __init__(self, contents: Mapping[tuple[int, int], bytes]) -> None:
        self._contents = contents

    def open(self, entry: Entry) -> BinaryIO:
        return io.BytesIO(self._contents[entry.inode])


class Link(str):
    """Marks a value as a symbolic link's target."""


class Hard(str):
    """Marks a value as a hard link to another path of the same mapping."""


def tree_of(files: Mapping[str, bytes | str | None]) -> FileTree:
    """Build a one-layer tree: bytes or text is a file, Link a symbolic link, Hard a hard link, None a directory.

    Parents are made as needed. A file whose text starts with `#!` is executable.
    """
    entries: dict[str, Entry] = {"/": Entry(path="/", kind=Kind.DIRECTORY, mode=0o755)}
    contents: dict[tuple[int, int], bytes] = {}
    for number, (path, value) in enumerate(files.items(), start=1):
        for depth in range(2, path.count("/") + 1):
            parent = "/".join(path.split("/")[:depth])
            entries.setdefault(parent, Entry(path=parent, kind=Kind.DIRECTORY, mode=0o755))
        inode = (0, number)
        if value is None:
            entries[path] = Entry(path=path, kind=Kind.DIRECTORY, mode=0o755)
        elif isinstance(value, Link):
            entries[path] = Entry(
                path=path, kind=Kind.SYMLINK, mode=0o777, target=str(value), member=number, inode=inode
            )
        elif isinstance(value, Hard):
            first = entries[str(value)]
            entries[path] = structs.replace(first, path=path, member=number)
        else:
            content = value.encode() if isinstance(value, str) else value
            mode = 0o755 if content.startswith((b"#!", b"\x7fELF")) else 0o644
            entries[path] = Entry(
                path=path, kind=Kind.FILE, size_bytes=len(content), mode=mode, member=number, inode=inode
            )
            contents[inode] = content
    return FileTree(entries, MemoryContents(contents))
