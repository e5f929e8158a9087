"""One tree of entries, whatever it is read from."""

from collections import deque

from mlbloat.model.filetree import Kind
from tests.support.trees import Hard, Link, MemoryContents, tree_of


def test_other_contents_leave_the_entries_as_they_are() -> None:
    tree = tree_of({"/b/a": "one", "/b/c": Hard("/b/a"), "/b/l": Link("a"), "/e": None})
    other = tree.with_contents(MemoryContents({tree["/b/a"].inode: b"two"}))
    assert (tree.read(tree["/b/c"]), other.read(other["/b/c"])) == (b"one", b"two")
    assert list(other.items()) == list(tree.items())
    assert (other.children("/b"), other.layers) == (tree.children("/b"), tree.layers)
    assert list(other.files()) == list(tree.files()) == [tree["/b/a"], tree["/b/c"]]


def test_paths_are_in_order_whatever_the_order_they_were_given_in() -> None:
    tree = tree_of({"/b": "", "/a/b": "", "/a-b": "", "/é": "", "/\udcff": ""})
    assert list(tree) == ["/", "/a", "/a-b", "/a/b", "/b", "/é", "/\udcff"]
    assert [entry.path for entry in tree.values()] == list(tree)
    assert deque(tree.files(), 1)[0].kind is Kind.FILE
