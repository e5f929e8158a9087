"""A directory as an image."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from mlbloat.errors import BadImageError, ImageNotFoundError, UsageError
from mlbloat.image import Limits, load, squash
from mlbloat.model.filetree import Kind


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    (path / "bin").mkdir(parents=True)
    (path / "bin/tool").write_bytes(b"#!/bin/sh\n")
    (path / "bin/tool").chmod(0o4755)
    os.utime(path / "bin/tool", (5, 5))
    (path / "bin/same").hardlink_to(path / "bin/tool")
    (path / "bin/link").symlink_to("../../outside")
    (path / os.fsdecode(b"caf\xe9")).write_bytes(b"")
    os.mkfifo(path / "pipe")
    (path / ("n" * 200)).write_bytes(b"x" * 5000)
    return path


def test_a_directory_is_an_image_of_one_layer(tmp_path: Path, root: Path) -> None:
    image = load(f"dir:{root}", tmp_path / "w")
    tree = squash(image)
    assert [os.fsencode(path) for path in tree] == [
        b"/", b"/bin", b"/bin/link", b"/bin/same", b"/bin/tool", b"/caf\xe9", b"/" + b"n" * 200, b"/pipe"
    ]  # fmt: skip
    tool = tree["/bin/tool"]
    assert (tool.mode, tool.uid, tool.mtime, tool.size_bytes) == (0o4755, os.getuid(), 5.0, 10)
    assert tree["/bin/same"].inode == tool.inode
    assert tree.read(tree["/bin/same"]) == b"#!/bin/sh\n"
    assert (tree["/bin/link"].target, tree["/pipe"].kind) == ("../../outside", Kind.FIFO)
    assert (len(image.layers), image.digest, image.config.entrypoint) == (1, None, ())


def test_the_same_directory_is_the_same_image(tmp_path: Path, root: Path) -> None:
    one = load(f"dir:{root}", tmp_path / "w")
    two = load(str(root), tmp_path / "v")
    assert (one.id, one.reference) == (two.id, two.reference)


def test_extended_attributes_are_kept(tmp_path: Path, root: Path) -> None:
    try:
        os.setxattr(root / "bin/tool", "user.note", b"\xff\0")
    except OSError:
        pytest.skip("the file system of the temporary directory has no user attributes")
    tree = squash(load(f"dir:{root}", tmp_path / "w"))
    assert ("user.note", b"\xff\0") in tree["/bin/tool"].xattrs


def test_a_file_system_without_attributes_is_fine_and_another_failure_is_told(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(number: int) -> Callable[..., list[str]]:
        def listxattr(path: Path, **_: object) -> list[str]:
            raise OSError(number, os.strerror(number), str(path))

        return listxattr

    monkeypatch.setattr(os, "listxattr", fail(errno.ENOTSUP))
    assert squash(load(f"dir:{root}", tmp_path / "w"))["/bin/tool"].xattrs == ()
    monkeypatch.setattr(os, "listxattr", fail(errno.EACCES))
    with pytest.raises(ImageNotFoundError, match="no permission for"):
        load(f"dir:{root}", tmp_path / "w")


def test_sockets_are_left_out(tmp_path: Path, root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        before = Path.cwd()
        os.chdir(root)  # the name of a socket is short
        try:
            server.bind("s")
        finally:
            os.chdir(before)
        assert "/s" not in squash(load(f"dir:{root}", tmp_path / "w"))


def test_a_workspace_inside_the_directory_is_refused(root: Path) -> None:
    with pytest.raises(UsageError, match="set TMPDIR"):
        load(f"dir:{root}", root / "work")


def test_a_file_or_nothing_is_no_directory(tmp_path: Path, root: Path) -> None:
    with pytest.raises(UsageError, match="is no directory"):
        load(f"dir:{root}/bin/tool", tmp_path / "w")
    with pytest.raises(UsageError, match="is no directory"):
        load(f"dir:{root}:tag", tmp_path / "w")
    with pytest.raises(ImageNotFoundError, match="no such file or directory"):
        load(f"dir:{root}/missing", tmp_path / "w")


def test_a_link_to_a_directory_is_followed(tmp_path: Path, root: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    assert "/bin/tool" in squash(load(f"dir:{tmp_path}/alias", tmp_path / "w"))


def test_a_directory_beyond_the_limit_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    """A file without content in it may claim more than any disk holds."""
    (tmp_path / "root").mkdir()
    with (tmp_path / "root/hole").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BadImageError, match=r"more than 1048576 bytes uncompressed; .*--limit image_bytes=2MiB$"):
        load(f"dir:{tmp_path}/root", tmp_path / "w", limits=Limits(image_bytes=1 << 20))
    assert sum(path.stat().st_size for path in (tmp_path / "w").rglob("*") if path.is_file()) <= 1 << 20
