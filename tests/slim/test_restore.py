"""The way back, and lists for snapshotters."""

import json
from pathlib import Path

from mlbloat.image import load, squash
from mlbloat.model.filetree import FileTree
from mlbloat.model.use import Access, Action, Level, RunRecord
from mlbloat.slim import make_plan, prefetch_list, prefetch_paths, write, write_restored
from mlbloat.verify import compare
from tests.slim.installed import LAYER
from tests.slim.stacks import marks_keeping
from tests.slim.test_databases import cut, opened
from tests.support.images import Member, Members
from tests.support.trees import Hard, Link, tree_of

ODD: Members = {
    "/d": Member(value=None, mode=0o1770, uid=4, gid=5, mtime=9.5),
    "/d/deep": Member(value=None, mode=0o700, mtime=3),
    "/d/deep/gone": Member(value="g", mode=0o4755, uid=7, xattrs={"user.a": b"\xff"}),
    "/d/twin": Hard("/d/deep/gone"),
    "/d/odd \n \udcff": "odd",
    "/kept": "k",
}


def restored(image_layers: tuple[Members, ...], directory: Path) -> tuple[FileTree, FileTree, int]:
    image = opened(directory, *image_layers)
    plan = cut(image, "/kept")
    slim = write(image, plan, directory / "layout")
    whole = write_restored(image, squash(image), plan, slim, directory / "whole")
    (directory / "read").mkdir()
    loaded = load(f"oci-dir:{whole.directory}", directory / "read")
    assert [layer.diff_id for layer in slim.layers] == [layer.diff_id for layer in loaded.layers[: len(slim.layers)]]
    history = json.loads(loaded.config.document)["history"]
    assert sum(not line.get("empty_layer") for line in history) == len(loaded.layers)
    return squash(image), squash(loaded), len(loaded.layers) - len(slim.layers)


def test_one_layer_brings_everything_back_as_it_was(tmp_path: Path) -> None:
    original, whole, more = restored((ODD, dict(LAYER)), tmp_path)
    assert more == 1
    assert compare(original, whole, b"{}", b"{}", ()) == ()
    assert whole["/d/twin"].inode == whole["/d/deep/gone"].inode


def test_nothing_removed_is_nothing_to_bring_back(tmp_path: Path) -> None:
    original, whole, more = restored(({"/kept": "k"},), tmp_path)
    assert more == 0
    assert compare(original, whole, b"{}", b"{}", ()) == ()


def test_the_way_back_is_the_same_twice(tmp_path: Path) -> None:
    image = opened(tmp_path, ODD)
    tree = squash(image)
    plan = make_plan(image, tree, marks_keeping(tree, "/kept"), Level.SAFE)
    slim = write(image, plan, tmp_path / "layout")
    first, second = (write_restored(image, tree, plan, slim, tmp_path / name) for name in ("1", "2"))
    assert first.digest == second.digest != slim.digest


def record(*paths: str) -> RunRecord:
    accesses = tuple(Access(path, Action.OPENED) for path in paths)
    return RunRecord(name="r", engine="e", tracer="t", seconds=0.0, exit=0, stdout=b"", stderr=b"", accesses=accesses)


def test_files_come_in_order_of_first_use_under_their_own_names() -> None:
    tree = tree_of({"/bin/b": "b", "/bin/a": "a", "/link": Link("bin/a"), "/dir": None})
    runs = (record("/bin/b", "/proc/self", "/link", "/dir", "relative"), record("/bin/b", "/bin/../bin/a"))
    assert prefetch_paths(runs, tree) == ("/bin/b", "/bin/a")


def test_a_list_is_one_path_a_line_or_json() -> None:
    paths = ("/a", "/line\nbreak", "/ümlaut")
    assert prefetch_list(paths, as_json=False) == "/a\n/ümlaut\n"
    assert json.loads(prefetch_list(paths, as_json=True)) == ["/a", "/line\nbreak", "/ümlaut"]
