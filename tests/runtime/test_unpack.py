import errno
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

import pytest
from msgspec import structs

from mlbloat.errors import BadImageError, EngineError
from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.runtime import unpack
from tests.support.trees import Hard, Link, tree_of


def _lines(root: Path) -> list[str]:
    lines = []
    for path in sorted(root.rglob("*")):
        found = path.lstat()
        name = "/" + str(path.relative_to(root))
        target = f" -> {path.readlink()}" if path.is_symlink() else ""
        lines.append(f"{name} {stat.filemode(found.st_mode)} {found.st_mtime:.3f}{target}")
    return lines


def _with(tree: FileTree, *entries: Entry) -> FileTree:
    return FileTree(dict(tree) | {entry.path: entry for entry in entries}, tree.contents)


def test_kinds_modes_times_and_links_are_those_of_the_tree(tmp_path: Path) -> None:
    tree = tree_of({"/d/f": "content", "/d/h": Hard("/d/f"), "/l": Link("/d/../etc"), "/s": "#!x"})
    tree = _with(
        tree,
        structs.replace(tree["/d"], mode=0o555, mtime=1000.5),
        structs.replace(tree["/d/f"], mode=0o640, mtime=2000.25),
        Entry(path="/d/fifo", kind=Kind.FIFO, mode=0o620, mtime=7),
    )
    unpack(tree, tmp_path / "root")
    assert _lines(tmp_path / "root") == [
        "/d dr-xr-xr-x 1000.500",
        "/d/f -rw-r----- 2000.250",
        "/d/fifo prw--w---- 7.000",
        "/d/h -rw-r----- 2000.250",
        "/l lrwxrwxrwx 0.000 -> /d/../etc",
        "/s -rwxr-xr-x 0.000",
    ]
    assert (tmp_path / "root/d/h").samefile(tmp_path / "root/d/f")
    assert (tmp_path / "root/d/f").read_text() == "content"
    (tmp_path / "root/d").chmod(0o755)  # so that it can be removed


def test_extended_attributes_come_along_but_not_those_that_steer_an_overlay(tmp_path: Path) -> None:
    tree = tree_of({"/f": "x"})
    attributes = (("user.note", b"kept"), ("user.overlay.redirect", b"/etc"))
    tree = _with(tree, structs.replace(tree["/f"], xattrs=attributes))
    unpack(tree, tmp_path / "root")
    found = os.listxattr(tmp_path / "root/f")
    assert [name for name in found if name.startswith("user.")] in (["user.note"], [])  # not on every file system
    assert "user.overlay.redirect" not in found


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (Entry(path="/../escape", kind=Kind.DIRECTORY), "leaves its directory"),
        (Entry(path="/link/escape", kind=Kind.DIRECTORY), "its parent is a symlink, not a directory, in the image"),
        (Entry(path="/none/escape", kind=Kind.DIRECTORY), "its parent is missing from the image"),
    ],
)
def test_nothing_is_written_outside(tmp_path: Path, entry: Entry, text: str) -> None:
    tree = _with(tree_of({"/link": Link(str(tmp_path))}), entry)
    with pytest.raises(BadImageError, match=text):
        unpack(tree, tmp_path / "root")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root"]


def test_content_of_another_length_is_refused(tmp_path: Path) -> None:
    tree = tree_of({"/f": "four"})
    with pytest.raises(BadImageError, match="'/f': it has 4 bytes, not 9"):
        unpack(_with(tree, structs.replace(tree["/f"], size_bytes=9)), tmp_path / "root")


def test_a_full_disk_is_named_with_what_is_needed(tmp_path: Path) -> None:
    class Full:
        def open(self, entry: Entry) -> BinaryIO:
            raise OSError(errno.ENOSPC, "No space left on device")

    tree = FileTree(dict(tree_of({"/a": "12", "/b": "345"})), Full())
    with pytest.raises(EngineError, match=r"no space left, 5 bytes are needed; set TMPDIR"):
        unpack(tree, tmp_path / "root")


def test_content_is_read_once_for_all_names_of_a_file(tmp_path: Path) -> None:
    opened = []

    class Counting:
        def open(self, entry: Entry) -> BinaryIO:
            opened.append(entry.path)
            return io.BytesIO(b"once")

    unpack(FileTree(dict(tree_of({"/a": "once", "/b": Hard("/a")})), Counting()), tmp_path / "root")
    assert opened == ["/a"]


def test_without_root_no_set_id_program_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    tree = tree_of({"/su": "#!x"})
    unpack(_with(tree, structs.replace(tree["/su"], mode=0o4755)), tmp_path / "root")
    assert (tmp_path / "root/su").stat().st_mode & 0o7777 == 0o755
