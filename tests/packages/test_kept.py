"""An image that was listed before is not listed again, and has the same inventory."""

from dataclasses import replace
from typing import BinaryIO

import pytest

from mlbloat.model.filetree import Entry
from mlbloat.packages import known_inventory, take_inventory
from tests.support.caches import MemoryCache
from tests.support.trees import tree_of

STATUS = "Package: tool\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\n"
TREE = replace(
    tree_of(
        {
            "/var/lib/dpkg/status": STATUS,
            "/var/lib/dpkg/info/tool.list": "/.\n/usr\n/usr/bin\n/usr/bin/tool\n",
            "/usr/bin/tool": "#!/bin/sh\n",
            "/opt/conda/conda-meta/broken-1-0.json": "{",
            "/opt/conda/conda-meta/history": "",
        }
    ),
    layers=("sha256:" + "0" * 64,),
)


class Closed:
    """Contents that nobody may read."""

    def open(self, entry: Entry) -> BinaryIO:
        raise AssertionError(f"{entry.path} was read")


def test_a_known_image_is_not_listed_again() -> None:
    cache = MemoryCache()
    first = known_inventory(TREE, cache)
    assert [package.name for package in first.packages] == ["tool"]
    assert first.problems
    assert known_inventory(replace(TREE, contents=Closed()), cache) == first == take_inventory(TREE)


def test_another_image_with_the_same_last_layer_is_another() -> None:
    cache = MemoryCache()
    known_inventory(TREE, cache)
    other = replace(tree_of({"/a": "x"}), layers=("sha256:" + "1" * 64, *TREE.layers))
    assert known_inventory(other, cache).packages == ()


@pytest.mark.parametrize("damaged", [b"", b"\xff", b"x\x9c\x03\x00\x00\x00\x00\x01"])
def test_a_damaged_value_is_listed_again(damaged: bytes) -> None:
    cache = MemoryCache()
    first = known_inventory(TREE, cache)
    for parts in cache.parts.values():
        for part in parts:
            parts[part] = damaged
    cache.forget("contents/")
    assert known_inventory(TREE, cache) == first


def test_names_that_are_no_text_are_listed_every_time() -> None:
    cache = MemoryCache()
    odd = {"/usr/bin/\udcff": "x", "/var/lib/dpkg/info/tool.list": "/usr/bin/\udcff\n"}
    files = {**odd, "/var/lib/dpkg/status": STATUS}
    tree = replace(tree_of({k: v.encode("utf-8", "surrogateescape") for k, v in files.items()}), layers=TREE.layers)
    assert known_inventory(tree, cache) == take_inventory(tree) == known_inventory(tree, cache)
