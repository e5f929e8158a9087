"""Read package databases of a tree: bounded, and never an exception for what they hold."""

import posixpath
from collections.abc import Iterable

from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.package import Problem

MAX_DATABASE_BYTES = 64 << 20
"""Larger than any real database file: a RECORD of the largest wheels has 3 MiB, `status` of a full desktop 10 MiB."""


class DatabaseReader:
    """Reads database files and remembers what could not be read."""

    def __init__(self, tree: FileTree) -> None:
        self.tree = tree
        self._problems: dict[Problem, None] = {}

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self._problems)

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None when it is missing, or, with a problem noted, when it cannot be read."""
        there = self.tree.find(path)
        if there.entry is None:
            self._note_dead_link(path)
            return None
        if there.entry.kind is not Kind.FILE:
            self.broken(path, f"it is a {there.entry.kind}")
            return None
        if there.entry.size_bytes > MAX_DATABASE_BYTES:
            self.broken(path, f"it is larger than {MAX_DATABASE_BYTES >> 20} MiB")
            return None
        return self.tree.read(there.entry, MAX_DATABASE_BYTES)

    def place(self, path: str) -> str | None:
        """Return where a database is; None when it is missing, or, with a problem noted, behind a link to nowhere."""
        there = self.tree.find(path)
        if there.entry is None:
            self._note_dead_link(path)
            return None
        return there.path

    def _note_dead_link(self, path: str) -> None:
        """Note it when a path is not missing but cannot be followed: it is a link, or links above it go round."""
        if self.tree.find(path).path in self.tree or self.tree.find(path, follow=False).entry is not None:
            self.broken(path, "it is behind a link that leads nowhere")

    def broken(self, path: str, why: str, then: str = "what it lists is reported as unowned") -> None:
        """Note that a database file, or a part of it, was not understood."""
        text = f"cannot read {printable(path)}: {printable(why)}; {printable(then)}"
        self._problems[Problem(path, text)] = None


def text_of(content: bytes) -> str:
    """Decode names as the tree does, so that they compare equal to its paths."""
    return content.decode("utf-8", "surrogateescape")


def printable(text: str) -> str:
    """Return text from the image fit for one line of a terminal."""
    return text if text.isprintable() else ascii(text)[1:-1]


def regular_files(tree: FileTree, paths: Iterable[str]) -> set[str]:
    """Return the canonical paths of those that are regular files of the tree.

    A path whose parents are symbolic links (a merged /usr: the database says /lib/x, the tree has /usr/lib/x) ends
    where the links lead. A symbolic link in the last place is no regular file.
    """
    found = set()
    for path in paths:
        entry = regular_file(tree, path)
        if entry is not None:
            found.add(entry.path)
    return found


def regular_file(tree: FileTree, path: str) -> Entry | None:
    """Return the regular file of the tree that a database means by a path."""
    # A path that is a key of the tree is canonical; only the others are worth the walk.
    entry = tree.entries.get(path) or tree.find(path, follow=False).entry
    return entry if entry is not None and entry.kind is Kind.FILE else None


def files_below(tree: FileTree, directory: str) -> set[str]:
    return {entry.path for entry in tree.below(directory) if entry.kind is Kind.FILE}


def joined(directory: str, path: str) -> str:
    """Return where a path of a database lies when it is relative to a directory; it never leaves the root."""
    if not path.startswith("/") and "./" not in path and "//" not in path and not path.endswith(("/", "..", "/.")):
        return f"{directory}/{path}" if directory != "/" else f"/{path}"
    # POSIX lets normpath keep two leading slashes; the tree knows only one.
    return "/" + posixpath.normpath(posixpath.join(directory, path)).lstrip("/")
