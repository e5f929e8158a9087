"""Docker's storage read in place gives the same image as an archive of it, or the export is taken."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker.errors
import pytest

from mlbloat.cache import Store
from mlbloat.errors import BadImageError, ImageNotFoundError
from mlbloat.image import docker as source
from mlbloat.image import indexes, load, overlay2
from mlbloat.image.overlay2 import UNVERIFIED, NotInPlaceError
from mlbloat.image.stored import Question
from mlbloat.model.filetree import Kind
from mlbloat.model.image import Image
from mlbloat.tarstream import Limits
from tests.support import images
from tests.support.dockerdir import docker_dir
from tests.support.images import OPAQUE, WHITEOUT, Member, Members
from tests.support.trees import Hard, Link

LAYERS: list[Members] = [
    {
        "/bin": None,
        "/bin/tool": Member(value=b"#!tool" * 200, mode=0o4755, xattrs={"security.capability": b"\x01\0"}),
        "/bin/same": Hard("/bin/tool"),
        "/link": Link("bin/tool"),
        "/old": None,
        "/old/a": b"a",
        "/caf\udce9": b"latin",
    },
    {"/old": None, "/old/": OPAQUE, "/old/b": b"b", "/link": WHITEOUT},
]
CONFIG = {"Cmd": ["x"]}
INFO = {"Driver": "overlay2", "DriverStatus": [["Native Overlay Diff", "true"]]}


class Engine:
    """The few calls of docker's client that are used, over one image."""

    def __init__(self, archive: Path, image_id: str, info: dict[str, Any]) -> None:
        self._archive, self._id, self._info = archive, image_id, info
        self.api = SimpleNamespace(base_url="http+docker://localhost")
        self.images = self
        self.exported = False

    def info(self) -> dict[str, Any]:
        return self._info

    def get(self, name: str) -> SimpleNamespace:
        if name != "app:1":
            raise docker.errors.ImageNotFound("no such image")
        return SimpleNamespace(id=self._id, attrs={"Size": 1}, save=self._save)

    def _save(self, chunk_size: int) -> Iterator[bytes]:
        self.exported = True
        yield self._archive.read_bytes()


Connect = Callable[..., Engine]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return docker_dir(tmp_path / "docker", LAYERS, config=CONFIG)[0]


@pytest.fixture
def connect(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """A function that puts an engine in the place of docker's; its storage is at `root`, read by root."""

    def connected(*, base_url: str = "http+docker://localhost", **info: object) -> Engine:
        archive = images.docker_archive(tmp_path / "saved.tar", LAYERS, config=CONFIG)
        config = images.config_document([images.layer_tar(layer) for layer in LAYERS], CONFIG)
        engine = Engine(archive, images.sha256(config), {"DockerRootDir": str(root), **INFO, **info})
        engine.api.base_url = base_url

        @contextmanager
        def opened(timeout_seconds: int) -> Iterator[Engine]:
            yield engine

        monkeypatch.setattr(source, "connect_docker", opened)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        return engine

    return connected


def same(found: Image, peer: Image) -> None:
    """Assert that two images agree in all but their names and notes, to the byte."""
    assert (found.id, found.digest, found.platform, found.config) == (peer.id, peer.digest, peer.platform, peer.config)
    for layer, other in zip(found.layers, peer.layers, strict=True):
        assert (layer.diff_id, layer.created_by, layer.tar_bytes, layer.compressed_bytes, layer.entries) == (
            other.diff_id,
            other.created_by,
            other.tar_bytes,
            other.compressed_bytes,
            other.entries,
        )
        for entry in layer.entries:
            assert b"".join(layer.source.members([entry])) == b"".join(other.source.members([entry]))
            if entry.kind is Kind.FILE:
                with layer.source.open(entry) as one, other.source.open(entry) as two:
                    assert one.read() == two.read()


def test_an_image_in_dockers_storage_is_that_of_its_archive(tmp_path: Path, connect: Connect) -> None:
    engine = connect()
    said: list[str] = []
    found = load("docker:app:1", tmp_path / "w", say=said.append)
    same(found, load(f"docker-archive:{tmp_path}/saved.tar", tmp_path / "v"))
    assert (said, engine.exported) == (["docker:app:1 is read in place, in docker's storage"], False)


def test_digests_are_said_to_be_not_verified_unless_they_were(tmp_path: Path, connect: Connect) -> None:
    connect()
    assert load("docker:app:1", tmp_path / "w").notes == (UNVERIFIED,)
    assert load("docker:app:1", tmp_path / "v", verified=True).notes == ()


def test_a_changed_file_is_found_when_layers_are_verified(tmp_path: Path, root: Path, connect: Connect) -> None:
    connect()
    (root / "overlay2/cache1/diff/old/b").write_bytes(b"B")
    load("docker:app:1", tmp_path / "w")
    with pytest.raises(BadImageError, match=r"cannot read layer 1 of docker:app:1: its digest is"):
        load("docker:app:1", tmp_path / "v", verified=True)


def test_what_was_not_verified_is_kept_apart_in_the_cache(tmp_path: Path, root: Path, connect: Connect) -> None:
    connect()
    cache = Store(tmp_path / "cache", "1")
    first = load("docker:app:1", tmp_path / "w", cache=cache)
    again = load("docker:app:1", tmp_path / "v", cache=cache)
    assert [layer.entries for layer in again.layers] == [layer.entries for layer in first.layers]
    keys = {layer.key for layer in first.layers}
    assert keys == {f"unverified:{layer.storage}:{layer.diff_id}" for layer in first.layers}
    assert all(cache.load(indexes.KIND, key) for key in keys)
    assert not any(cache.load(indexes.KIND, layer.diff_id) for layer in first.layers)
    verified = load("docker:app:1", tmp_path / "x", cache=cache, verified=True)
    assert [layer.key for layer in verified.layers] == [layer.diff_id for layer in first.layers]
    assert all(cache.load(indexes.KIND, layer.diff_id) for layer in first.layers)


def test_a_layer_that_docker_stored_again_is_read_again(tmp_path: Path, root: Path, connect: Connect) -> None:
    connect()
    cache = Store(tmp_path / "cache", "1")
    first = load("docker:app:1", tmp_path / "w", cache=cache)
    (root / "overlay2/cache1").rename(root / "overlay2/pulled-again")
    (named,) = (path for path in root.glob("image/overlay2/layerdb/*/*/cache-id") if path.read_text() == "cache1")
    named.write_text("pulled-again")
    again = load("docker:app:1", tmp_path / "v", cache=cache)
    assert [one.key == other.key for one, other in zip(first.layers, again.layers, strict=True)] == [True, False]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"Driver": "overlayfs"}, "its storage driver is overlayfs, not overlay2"),
        ({"DriverStatus": [["Native Overlay Diff", "false"]]}, "its overlay directories refer to each other"),
        ({"DockerRootDir": "/no/such/place"}, "/no/such/place is not there"),
        ({"DockerRootDir": ""}, "is not there"),
        ({"base_url": "https://host:2376"}, "the engine is not on this machine"),
    ],
)
def test_another_driver_or_machine_is_exported(
    tmp_path: Path, connect: Connect, change: dict[str, Any], why: str
) -> None:
    engine = connect(**change)
    said: list[str] = []
    found = load("docker:app:1", tmp_path / "w", say=said.append)
    same(found, load(f"docker-archive:{tmp_path}/saved.tar", tmp_path / "v"))
    assert (engine.exported, found.notes) == (True, ())
    assert said[0].startswith("docker:app:1 is exported by the docker engine, not read in place: ")
    assert why in said[0]


def _entry(root: Path, number: int) -> Path:
    files = (root / "image/overlay2/layerdb/sha256").glob("*/cache-id")
    return next(file.parent for file in files if file.read_text() == f"cache{number}")


BREAKS: dict[str, Callable[[Path], object]] = {
    "no tar-split": lambda root: (_entry(root, 1) / "tar-split.json.gz").unlink(),
    "a broken tar-split": lambda root: (_entry(root, 1) / "tar-split.json.gz").write_bytes(b"x"),
    "no layer": lambda root: (_entry(root, 0) / "diff").unlink(),
    "another layer": lambda root: (_entry(root, 0) / "diff").write_text("sha256:" + "0" * 64),
    "no directory": lambda root: (root / "overlay2/cache0").rename(root / "overlay2/moved"),
    "a name that leads out": lambda root: (_entry(root, 0) / "cache-id").write_text("../../etc"),
    "another configuration": lambda root: next(root.glob("image/overlay2/imagedb/content/*/*")).write_bytes(b"{}"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_what_is_not_as_expected_there_is_exported(tmp_path: Path, root: Path, connect: Connect, what: str) -> None:
    engine = connect()
    BREAKS[what](root)
    found = load("docker:app:1", tmp_path / "w")
    same(found, load(f"docker-archive:{tmp_path}/saved.tar", tmp_path / "v"))
    assert engine.exported


def test_only_root_reads_dockers_storage(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    question = Question(reference="docker:app:1", rest="app:1", workspace=tmp_path)
    with pytest.raises(NotInPlaceError, match="only root may read"):
        overlay2.find(root, "sha256:" + "0" * 64, question)


def test_limits_hold_in_dockers_storage(tmp_path: Path, root: Path, connect: Connect) -> None:
    connect()
    with pytest.raises(BadImageError, match="limit image_bytes"):
        load("docker:app:1", tmp_path / "w", limits=Limits(image_bytes=11_000))
    with pytest.raises(BadImageError, match="limit entries"):
        load("docker:app:1", tmp_path / "v", limits=Limits(entries=2))


def test_an_image_that_docker_does_not_have_is_not_found(tmp_path: Path, connect: Connect) -> None:
    connect()
    with pytest.raises(ImageNotFoundError, match="no such image in the docker engine; docker pull other first"):
        load("docker:other", tmp_path)
