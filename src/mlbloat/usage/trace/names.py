"""From what a process names to a path inside the container, at the moment the process is stopped.

Symbolic links of the image stay as they are, the tree follows them later. What only the running system knows is
resolved here: working directories, directory descriptors, a changed root, /proc/self, and links that the run made.
"""

import os
import posixpath
import re

from mlbloat.usage.trace.owner import looked_up

_AT_FDCWD = 0xFFFFFF9C
_DELETED = b" (deleted)"
_PROCESS_LINK = re.compile(rb"/proc/(self|thread-self|\d+)/(cwd|root|exe|fd/\d+)(/.*)?", re.DOTALL)
_MAX_MADE_LINKS = 100_000


class Names:
    """Where the processes of one container are, and the links that they made."""

    def __init__(self) -> None:
        self._root: bytes | None = None
        """Of the container, as /proc shows it to us: "/" after pivot_root, a longer path after chroot."""
        self._links: dict[bytes, bytes] = {}
        self.roots_differ = False
        """Set as soon as any process changed its root."""

    def absolute(self, process: int, directory: int, name: bytes) -> bytes | None:
        """Return a name as an absolute path in the container; None when it has none."""
        if name.startswith(b"/"):
            if name.startswith(b"/proc/") and (found := _PROCESS_LINK.fullmatch(name)):
                # Numbers are those of the container, so they are looked up in its own /proc.
                whose = b"root/proc/%s/" % found[1] if found[1].isdigit() else b""
                there = self._link(process, whose + found[2])
                return None if there is None else there + (found[3] or b"")
            if not self.roots_differ:
                return name
            root = self._link(process, b"root")
            return name if root in (None, b"/") else (root or b"") + name
        base = self._link(process, base_of(directory))
        return None if base is None else base.rstrip(b"/") + b"/" + name

    def below(self, process: int, root: bytes, directory: int, name: bytes) -> tuple[bytes, bytes] | None:
        """Return where a root is that holds for one call or process, and a name as an absolute path below it.

        `root` is an entry of /proc/PID. None for what lies outside of that root, for the container's own root, and for
        what cannot be read.
        """
        own = root == base_of(directory)
        there = self._link(process, root)
        if there is None or (there == b"/" and not own):
            return None
        if name.startswith(b"/") or own:
            return there.rstrip(b"/"), b"/" + name
        base = self._link(process, base_of(directory))
        if base is None or not (base + b"/").startswith(there + b"/"):
            return None
        return there, base[len(there) :] + b"/" + name

    def descriptor(self, process: int, number: int) -> bytes | None:
        """Return the path of an open file."""
        return self._link(process, b"fd/%d" % (number & 0x7FFFFFFF))

    def _link(self, process: int, what: bytes) -> bytes | None:
        try:
            if self._root is None:
                self._root = _readlink(process, b"root").rstrip(b"/")
            there = _readlink(process, what)
        except OSError:
            return None
        there = there.removesuffix(_DELETED)
        if self._root and (there + b"/").startswith(self._root + b"/"):
            there = there[len(self._root) :] or b"/"
        return there if there.startswith(b"/") else None  # a pipe, a socket

    def made_link(self, path: bytes, target: bytes) -> None:
        """Remember a symbolic link that the run made: what lies behind it is named through it from now on."""
        if len(self._links) < _MAX_MADE_LINKS:
            self._links[posixpath.normpath(path)] = target

    def moved(self, old: bytes, new: bytes) -> bool:
        """Follow a link that gets its final name by renaming, as tools do to replace one at once; False for others."""
        target = self._links.pop(posixpath.normpath(old), None) if self._links else None
        if target is not None and target != posixpath.normpath(new):
            self._links[posixpath.normpath(new)] = target
        return target is not None

    def behind_links(self, path: bytes) -> bytes | None:
        """Return a path with the links that the run made followed; None when it passes none."""
        if not self._links:
            return None
        followed = _follow(self._links, posixpath.normpath(path))
        return None if followed == posixpath.normpath(path) else followed


def base_of(directory: int) -> bytes:
    """Return the entry of /proc/PID that leads to where relative names start."""
    return b"cwd" if directory & 0xFFFFFFFF == _AT_FDCWD else b"fd/%d" % (directory & 0x7FFFFFFF)


def _readlink(process: int, what: bytes) -> bytes:
    path = b"/proc/%d/%s" % (process, what)
    return looked_up(process, lambda: os.readlink(path))  # noqa: PTH115  bytes in, bytes out


def _follow(links: dict[bytes, bytes], path: bytes) -> bytes:
    for _ in range(40):
        parts = path.split(b"/")
        for depth in range(2, len(parts) + 1):
            target = links.get(b"/".join(parts[:depth]))
            if target is not None:
                parent = b"/".join(parts[: depth - 1]) or b"/"
                path = posixpath.normpath(posixpath.join(parent, target, *parts[depth:]))
                break
        else:
            return path
    return path
