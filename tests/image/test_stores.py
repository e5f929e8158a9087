"""Real podman, containerd and docker: an image in their stores is the image of the archive that it came from."""

import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from mlbloat.errors import ImageNotFoundError
from mlbloat.image import docker, load
from mlbloat.image.overlay2 import UNVERIFIED, NotInPlaceError
from mlbloat.model.image import Image
from mlbloat.slim import parse_destination, publish
from tests.image.test_engines import LAYERS
from tests.image.test_overlay2 import same
from tests.support import engines, images

pytestmark = pytest.mark.engine

CONFIG = {"Cmd": ["x"]}


def run(*words: str | Path) -> str:
    return subprocess.run([*map(str, words)], check=True, capture_output=True, text=True).stdout


def same_but_digest(found: Image, peer: Image) -> None:
    """Engines that keep a manifest know its digest, and may keep layers compressed."""
    layers = tuple(replace(layer, compressed_bytes=None) for layer in found.layers)
    same(replace(found, digest=None, layers=layers), replace(peer, digest=None))


@pytest.fixture
def name() -> str:
    return f"mlbloat-test/{uuid.uuid4().hex[:12]}:1"


@pytest.fixture
def archive(tmp_path: Path, name: str) -> Path:
    return images.docker_archive(tmp_path / "load.tar", LAYERS, config=CONFIG, tag=name)


@pytest.fixture
def in_podman(archive: Path, name: str) -> Iterator[str]:
    podman = engines.program("podman")
    run(podman, "load", "-qi", archive)
    yield name
    run(podman, "rmi", "-f", name)


@pytest.fixture
def in_containerd(archive: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The image in a namespace of its own, under its full name."""
    address, namespace = engines.containerd_address(), f"mlbloat-test-{uuid.uuid4().hex[:12]}"
    ctr = (engines.program("ctr"), "--address", address, "--namespace", namespace)
    full = f"docker.io/{name}"
    run(*ctr, "images", "import", "--no-unpack", archive)
    run(*ctr, "images", "tag", name, full)
    monkeypatch.setenv("CONTAINERD_ADDRESS", address)
    monkeypatch.setenv("CONTAINERD_NAMESPACE", namespace)
    yield name
    run(*ctr, "images", "rm", "--sync", name, full)
    run(*ctr[:3], "namespaces", "rm", namespace)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as one:
        return one.connect_ex(str(path)) == 0


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Podman's service on a socket of its own."""
    path = tmp_path / "podman.sock"
    with subprocess.Popen([engines.program("podman"), "system", "service", "--time", "600", f"unix://{path}"]) as own:
        try:
            deadline = time.monotonic() + 120
            while not _answers(path) and time.monotonic() < deadline:
                time.sleep(0.05)
            monkeypatch.setenv("CONTAINER_HOST", f"unix://{path}")
            yield
        finally:
            own.terminate()


def test_an_image_of_podman_is_that_of_its_archive(tmp_path: Path, archive: Path, in_podman: str) -> None:
    peer = load(f"docker-archive:{archive}", tmp_path / "v")
    same_but_digest(load(f"podman:{in_podman}", tmp_path / "w"), peer)


@pytest.mark.usefixtures("service")
def test_an_image_of_podmans_service_is_that_of_its_archive(tmp_path: Path, archive: Path, in_podman: str) -> None:
    peer = load(f"docker-archive:{archive}", tmp_path / "v")
    same_but_digest(load(f"podman:{in_podman}", tmp_path / "w"), peer)
    with pytest.raises(ImageNotFoundError, match="no such image in podman; podman pull mlbloat-test/none:1 first"):
        load("podman:mlbloat-test/none:1", tmp_path / "n")


def test_an_image_that_only_podman_has_is_found_without_a_scheme(tmp_path: Path, in_podman: str) -> None:
    assert load(in_podman, tmp_path).reference == f"podman:{in_podman}"


def test_an_image_that_podman_does_not_have_is_not_found(tmp_path: Path) -> None:
    engines.program("podman")
    with pytest.raises(ImageNotFoundError, match="no such image in podman; podman pull mlbloat-test/none:1 first"):
        load("podman:mlbloat-test/none:1", tmp_path)


def test_a_service_of_podman_that_does_not_answer_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(ImageNotFoundError, match=r"podman does not answer at tcp://127\.0\.0\.1:1 "):
        load("podman:app:1", tmp_path)


def test_an_image_of_containerd_is_that_of_its_archive(tmp_path: Path, archive: Path, in_containerd: str) -> None:
    peer = load(f"docker-archive:{archive}", tmp_path / "v")
    found = load(f"containerd:{in_containerd}", tmp_path / "w")
    same_but_digest(found, peer)
    assert found.digest is not None
    assert load(f"containerd:docker.io/{in_containerd}", tmp_path / "x").digest == found.digest


@pytest.mark.usefixtures("in_containerd")
def test_an_image_that_containerd_does_not_have_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFoundError, match=r"no such image in containerd's namespace .*; ctr -n .* images pull "):
        load("containerd:mlbloat-test/none:1", tmp_path)


def test_the_docker_engine_exports_what_its_storage_holds(
    tmp_path: Path, archive: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(engines.docker_client()) as client:
        with archive.open("rb") as stream:
            client.images.load(stream)
        try:
            said: list[str] = []
            found = load(f"docker:{name}", tmp_path / "w", say=said.append)
            verified = load(f"docker:{name}", tmp_path / "v", verified=True)

            def refuse(*_: object) -> None:
                raise NotInPlaceError("not today")

            monkeypatch.setattr(docker, "_storage", refuse)
            exported = load(f"docker:{name}", tmp_path / "e", say=said.append)
            same(found, exported)
            same(verified, exported)
        finally:
            client.images.remove(name, force=True)
    if "in place, in docker's storage" not in said[0]:
        engines.missing(said[0])
    assert (found.notes, verified.notes, exported.notes) == ((UNVERIFIED,), (), ())


@pytest.mark.parametrize("how", ["program", "service"])
def test_podman_takes_a_slim_image_under_its_tag(
    tmp_path: Path, name: str, how: str, request: pytest.FixtureRequest
) -> None:
    podman = engines.program("podman")
    if how == "service":
        request.getfixturevalue("service")
    layout = images.oci_dir(tmp_path / "layout", LAYERS, config=CONFIG)
    peer = load(f"oci-dir:{layout}", tmp_path / "v")
    try:
        assert publish(layout, parse_destination(f"podman:{name}")) == f"podman:{name}"
        assert run(podman, "image", "inspect", "--format", "{{.Id}}", name).strip() == peer.id.hex
    finally:
        run(podman, "rmi", "-f", name)
