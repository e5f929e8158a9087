"""Images as skopeo and umoci read them, which share nothing with ours.

read(unpacked("docker-daemon:app:1", directory))
"""

import hashlib
import os
import stat
import subprocess
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

from tests.support import engines


class Seen(NamedTuple):
    """What a process could see of an entry."""

    kind: int
    mode: int
    owner: tuple[int, int]
    mtime: int
    device: int
    first: str
    """The first name of the same file."""
    content: str
    xattrs: tuple[tuple[str, bytes], ...]


def unpacked(reference: str, directory: Path) -> Path:
    """Unpack an image that skopeo can name; returns its root."""
    directory.mkdir()
    copy = (engines.program("skopeo"), "copy", "--quiet", reference, f"oci:{directory}/oci:v1")
    unpack = (engines.program("umoci"), "unpack", "--image", f"{directory}/oci:v1", f"{directory}/bundle")
    for command in (copy, unpack):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return directory / "bundle" / "rootfs"


def kinds(root: Path) -> dict[str, int]:
    return {path: stat.S_IFMT((root / path[1:]).lstat().st_mode) for path in _paths(root)}


def read(root: Path, only: Container[str] | None = None) -> dict[str, Seen]:
    """Return everything that a process could see of a tree, path by path."""
    first: dict[int, str] = {}
    paths = [path for path in _paths(root) if only is None or path in only]
    return {path: _seen(root / path[1:], path, first) for path in paths}


def _paths(root: Path) -> list[str]:
    """Names may be no text, and links lead anywhere."""
    return ["/" + str(path.relative_to(root)) for path in sorted(root.rglob("*"))]


def _seen(path: Path, name: str, first: dict[int, str]) -> Seen:
    status = path.lstat()
    kind = stat.S_IFMT(status.st_mode)
    content = ""
    if kind == stat.S_IFREG:
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
    elif kind == stat.S_IFLNK:
        content = str(path.readlink())
    xattrs = sorted(os.listxattr(path, follow_symlinks=False))
    return Seen(
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        owner=(status.st_uid, status.st_gid),
        mtime=int(status.st_mtime),
        device=status.st_rdev,
        first=first.setdefault(status.st_ino, name) if kind != stat.S_IFDIR else "",
        content=content,
        xattrs=tuple((each, os.getxattr(path, each, follow_symlinks=False)) for each in xattrs),
    )
