"""Layers in any order that end in the same tree give the same inventory."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.image import load, squash
from mlbloat.model.filetree import FileTree
from mlbloat.model.package import Inventory
from mlbloat.packages import take_inventory
from tests.support.images import OPAQUE, WHITEOUT, Value, oci_archive
from tests.support.trees import Hard, Link

SITE = "/usr/lib/python3/dist-packages"
INFO = "/var/lib/dpkg/info"
STATUS = "Package: {}\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n"
CACHED, LINKED = "/opt/conda/pkgs/one-1-0/lib/one.so", "/opt/conda/lib/one.so"
TREE: Mapping[str, str] = {
    "/var/lib/dpkg/status": STATUS.format("a") + STATUS.format("b"),
    f"{INFO}/a.list": "/usr/bin/a\n/usr/bin/both\n",
    f"{INFO}/b.list": "/usr/bin/b\n/usr/bin/both\n",
    "/usr/bin/a": "#!/bin/sh\n",
    "/usr/bin/b": "#!/bin/sh\n",
    "/usr/bin/both": "x",
    "/app/main.py": "x = 1\n",
    f"{SITE}/foo-1.dist-info/METADATA": "Name: foo\nVersion: 1\n",
    f"{SITE}/foo-1.dist-info/RECORD": "foo/a.py,,\n",
    f"{SITE}/foo/a.py": "x = 1\n",
    f"{SITE}/foo/__pycache__/a.cpython-311.pyc": "code",
    "/opt/conda/conda-meta/one-1-0.json": json.dumps({"name": "one", "version": "1", "files": ["lib/one.so"]}),
}
"""What every history ends in, beside one content with two names."""
GONE = (
    f"{SITE}/old-1.dist-info/METADATA",
    f"{SITE}/foo/old.py",
    f"{INFO}/c.list",
    "/opt/conda/conda-meta/two-1-0.json",
    "/srv/log",
)
"""What earlier layers may have, and the last one never."""
DIRECTORIES = ("/usr/bin", f"{SITE}/foo", INFO, "/opt/conda", "/srv")
OLDER: Mapping[str, Mapping[str, Value]] = {
    "text": {"": "an older text\n"},
    "link": {"": Link("/nowhere")},
    "directory": {"/below": "older\n", "/METADATA": "Name: below\nVersion: 1\n"},
}
"""What may have been where a file is later: paths below that of the file, to values."""
Layers = list[list[tuple[str, Value]]]


@st.composite
def histories(draw: st.DrawFn) -> Layers:
    """Layers that write the tree, with older versions, files that go again, and directories that hide what was."""
    count = draw(st.integers(1, 5))
    layers: list[dict[str, Value]] = [{} for _ in range(count)]
    hidden = {
        directory: draw(st.integers(0, count - 1)) for directory in DIRECTORIES if count > 1 and draw(st.booleans())
    }
    for directory, at in hidden.items():
        layers[at][directory] = OPAQUE
    for path, text in TREE.items():
        last = draw(st.integers(_first(path, hidden), count - 1))
        for layer in layers[:last]:
            for below, value in OLDER.get(draw(st.sampled_from(["", *OLDER])), {}).items():
                layer[path + below] = value
        layers[last][path] = text
    linked = draw(st.integers(_first(LINKED, hidden), count - 1))
    for path in GONE:
        written = draw(st.integers(0, count - 1))
        if written < count - 1:
            layers[written][path] = STATUS.format("never")
            layers[draw(st.integers(written + 1, count - 1))][path] = WHITEOUT
    ordered: Layers = [draw(st.permutations(sorted(layer.items(), key=lambda item: item[0]))) for layer in layers]
    ordered[linked] += [(CACHED, "one"), (LINKED, Hard(CACHED))]
    return ordered


def _first(path: str, hidden: Mapping[str, int]) -> int:
    """The lowest layer whose file at a path no later layer hides."""
    return max((at for directory, at in hidden.items() if path.startswith(f"{directory}/")), default=0)


def read(layers: Layers) -> tuple[FileTree, Inventory]:
    with tempfile.TemporaryDirectory() as directory:
        space = Path(directory) / "space"
        space.mkdir()
        tree = squash(load(f"oci-archive:{oci_archive(Path(directory) / 'a.tar', layers)}", space))
        return tree, take_inventory(tree)


@settings(max_examples=100, deadline=None)
@given(histories())
def test_layers_that_give_the_same_tree_give_the_same_inventory(layers: Layers) -> None:
    tree, inventory = read(layers)
    expected = [*TREE.items(), (CACHED, "one"), (LINKED, "one")]
    assert {entry.path: entry.size_bytes for entry in tree.files()} == {path: len(text) for path, text in expected}
    assert [(each.key, each.version) for each in inventory.packages] == [
        ("apt:a@/", "1"),
        ("apt:b@/", "1"),
        ("conda:one@/opt/conda", "1"),
        (f"pip:foo@{SITE}", "1"),
    ]
    assert {path: [owner.name for owner in owners] for path, owners in inventory.owners.items()} == {
        "/opt/conda/conda-meta/one-1-0.json": ["one"],
        LINKED: ["one"],
        "/usr/bin/a": ["a"],
        "/usr/bin/b": ["b"],
        "/usr/bin/both": ["a", "b"],
        f"{INFO}/a.list": ["a"],
        f"{INFO}/b.list": ["b"],
        f"{SITE}/foo-1.dist-info/METADATA": ["foo"],
        f"{SITE}/foo-1.dist-info/RECORD": ["foo"],
        f"{SITE}/foo/__pycache__/a.cpython-311.pyc": ["foo"],
        f"{SITE}/foo/a.py": ["foo"],
    }
    assert inventory.counted_as == {tree[CACHED].inode: LINKED}
    assert inventory.problems == ()
