"""Layers that the cache knows are checked in copies of this process; what these do not say is found out as ever."""

import multiprocessing
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mlbloat.cache import Store
from mlbloat.errors import BadImageError
from mlbloat.image import blob, checked_beside, load, squash
from mlbloat.image.ondemand import RemoteBlob
from mlbloat.model.image import Image
from mlbloat.runtime import workers
from mlbloat.tarstream import Window
from tests.support import images
from tests.support.images import Members

LAYERS: list[Members] = [{f"/{number}": f"content {number}"} for number in range(7)]
SECONDS = 180.0
COMPRESSIONS: list[images.Compression] = ["gzip", "none"]


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_LEAST_TO_START", 1)
    monkeypatch.setattr(workers, "_can_fork", lambda: True)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})


def known(tmp_path: Path, compression: images.Compression = "none") -> Image:
    """An image whose layers the cache knows, and nobody checked this time."""
    directory = str(images.oci_dir(tmp_path / "image", LAYERS, compression=compression))
    cache = Store(tmp_path / "cache", "1")
    load(directory, tmp_path / "first", cache=cache)
    return load(directory, tmp_path / "second", cache=cache)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_all_layers_are_checked_while_this_process_does_something_else(
    tmp_path: Path, layers_read: list[str], compression: images.Compression
) -> None:
    image = known(tmp_path, compression)
    layers_read.clear()
    checked = "*.tar" if compression == "gzip" else "*.checked"
    with checked_beside(image):
        until(lambda: len(list((tmp_path / "second/layers").glob(checked))) == len(LAYERS))
    assert not multiprocessing.active_children()
    tree = squash(image)
    assert [tree.read(tree[f"/{number}"]) for number in range(7)] == [b"content %d" % number for number in range(7)]
    assert layers_read == []


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_layer_of_another_digest_is_an_error_of_who_reads_it(tmp_path: Path, compression: images.Compression) -> None:
    image = known(tmp_path, compression)
    source = image.layers[3].source
    assert isinstance(source, blob.BlobLayer)
    assert isinstance(source.blob, Window)
    content = bytearray(source.blob.path.read_bytes())
    content[len(content) // 2] ^= 1
    source.blob.path.write_bytes(content)
    tree, checked = squash(image), tmp_path / "second/layers"
    with checked_beside(image):
        until(lambda: len([*checked.glob("*.tar"), *checked.glob("*.checked")]) >= 3)
        assert tree.read(tree["/4"]) == b"content 4"
        with pytest.raises(BadImageError, match="pull or save the image again"):
            tree.read(tree["/3"])


def test_an_interrupt_ends_checks_in_the_middle_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*_: object, **__: object) -> object:
        (tmp_path / "begun").touch()
        signal.pause()
        raise AssertionError

    image = known(tmp_path)
    monkeypatch.setattr(blob, "unpack", endless)
    with pytest.raises(KeyboardInterrupt), checked_beside(image):
        until((tmp_path / "begun").exists)
        signal.raise_signal(signal.SIGINT)
    assert not multiprocessing.active_children()
    monkeypatch.undo()  # nobody holds the lock of the layer any more
    tree = squash(image)
    assert tree.read(tree["/0"]) == b"content 0"


def test_what_is_checked_already_or_must_be_downloaded_starts_no_process(tmp_path: Path) -> None:
    image = known(tmp_path)
    tree = squash(image)
    for number in range(len(LAYERS)):
        tree.read(tree[f"/{number}"])
    with checked_beside(image):
        assert not multiprocessing.active_children()
    remote = RemoteBlob(
        path=tmp_path / "not-yet", size_bytes=9, reference="r", name="r", digest=image.layers[0].diff_id, start=b""
    )
    source = image.layers[0].source
    assert isinstance(source, blob.BlobLayer)
    away = replace(image.layers[0], source=replace(source, blob=remote, opened=[], directory=tmp_path / "third"))
    with checked_beside(replace(image, layers=(away,))):
        assert not multiprocessing.active_children()
