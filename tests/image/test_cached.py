"""A layer that the cache knows is not read, until the content of a file is asked for; then it is checked as ever."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from mlbloat.cache import Store, remembered
from mlbloat.errors import BadImageError
from mlbloat.image import blob, load, squash
from mlbloat.model.filetree import Entry
from mlbloat.tarstream import Window
from tests.support import images
from tests.support.images import OPAQUE, WHITEOUT, Member, Members
from tests.support.trees import Hard, Link

LAYERS: list[Members] = [
    {"/a": b"content", "/d": None, "/d/e": b"more", "/l": Link("a"), "/h": Hard("/a")},
    {"/a": WHITEOUT, "/d": OPAQUE, "/x": Member(value=b"", xattrs={"user.x": b"\0y"}, mode=0o4755, mtime=1.5)},
]


@pytest.fixture
def cache(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache", "1")


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_the_second_load_reads_no_layer(
    tmp_path: Path, cache: Store, layers_read: list[str], compression: images.Compression
) -> None:
    path = str(images.oci_archive(tmp_path / "image.tar", LAYERS, compression=compression))
    first = load(path, tmp_path / "1", cache=cache)
    assert len(layers_read) == 2
    second = load(path, tmp_path / "2", cache=cache)
    assert len(layers_read) == 2

    for one, other in zip(first.layers, second.layers, strict=True):
        assert replace(one, source=other.source) == other
    assert squash(first).entries == squash(second).entries


def test_a_sibling_reads_its_own_layers_only(tmp_path: Path, cache: Store, layers_read: list[str]) -> None:
    load(str(images.oci_archive(tmp_path / "one.tar", LAYERS)), tmp_path / "1", cache=cache)
    layers_read.clear()
    path = images.oci_archive(tmp_path / "other.tar", [*LAYERS, {"/new": b"new"}])

    tree = squash(load(str(path), tmp_path / "2", cache=cache))

    assert layers_read == [f"layer 2 of oci-archive:{path}"]
    assert tree.read(tree["/new"]) == b"new"


def test_a_content_of_a_known_layer_is_read_from_it_once(tmp_path: Path, cache: Store, layers_read: list[str]) -> None:
    path = str(images.oci_archive(tmp_path / "image.tar", LAYERS))
    load(path, tmp_path / "1", cache=cache)
    tree = squash(load(path, tmp_path / "2", cache=cache))
    layers_read.clear()

    with ThreadPoolExecutor(4) as pool:
        contents = list(pool.map(lambda _: tree.read(tree["/h"]), range(8)))

    assert contents == [b"content"] * 8
    assert len(layers_read) == 1


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_a_known_layer_whose_blob_is_another_is_refused_when_it_is_read(
    tmp_path: Path, cache: Store, compression: images.Compression
) -> None:
    directory = images.oci_dir(tmp_path / "image", LAYERS, compression=compression)
    image = load(str(directory), tmp_path / "1", cache=cache)
    for layer in image.layers:
        source = layer.source
        assert isinstance(source, blob.BlobLayer)
        assert isinstance(source.blob, Window)
        content = bytearray(source.blob.path.read_bytes())
        content[len(content) // 2] ^= 1
        source.blob.path.write_bytes(content)
    tree = squash(load(str(directory), tmp_path / "2", cache=cache))

    with pytest.raises(BadImageError, match="pull or save the image again"):
        tree.read(tree["/h"])


def test_a_layer_that_could_not_be_read_is_not_known(tmp_path: Path, cache: Store) -> None:
    path = images.oci_archive(tmp_path / "image.tar", [{"/a": b"content"}], compression="none")
    path.write_bytes(path.read_bytes().replace(b"content", b"tampers"))

    with pytest.raises(BadImageError, match="digest"):
        load(str(path), tmp_path / "1", cache=cache)

    assert cache.kept() == ()


def test_an_interrupt_in_the_middle_of_a_layer_leaves_nothing_known(
    tmp_path: Path, cache: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(blob, "TarLayer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(str(images.oci_archive(tmp_path / "image.tar", LAYERS)), tmp_path / "1", cache=cache)

    assert cache.kept() == ()


def test_small_contents_are_remembered_for_every_image_with_the_layer(tmp_path: Path, cache: Store) -> None:
    path = str(images.oci_archive(tmp_path / "image.tar", LAYERS))
    with remembered(squash(load(path, tmp_path / "1", cache=cache)), cache) as tree:
        assert tree.read(tree["/h"]) == b"content"

    class Gone:
        def open(self, entry: Entry) -> BinaryIO:
            raise AssertionError(entry.path)

    bare = replace(squash(load(path, tmp_path / "2", cache=cache)), contents=Gone())
    with remembered(bare, cache) as tree:
        assert tree.read(tree["/h"], 3) == b"con"
        with pytest.raises(AssertionError, match="/x"):
            tree.read(tree["/x"])


def test_what_was_read_is_not_kept_when_the_work_fails(tmp_path: Path, cache: Store) -> None:
    image = load(str(images.oci_archive(tmp_path / "image.tar", LAYERS)), tmp_path / "1")
    with pytest.raises(ZeroDivisionError), remembered(squash(image), cache) as tree:
        tree.read(tree["/h"])
        raise ZeroDivisionError

    assert cache.kept() == ()


def test_large_contents_are_read_every_time(tmp_path: Path, cache: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlbloat.cache.contents.MOST_BYTES", 6)
    image = load(str(images.oci_archive(tmp_path / "image.tar", LAYERS)), tmp_path / "1")
    with remembered(squash(image), cache) as tree:
        assert tree.read(tree["/h"]) == b"content"

    assert cache.kept() == ()
