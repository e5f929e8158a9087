"""Images of a registry: the same image as from a layout, whatever the registry and the network do."""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mlbloat.errors import BadImageError, ImageNotFoundError, MlbloatError, UsageError
from mlbloat.image import load, squash
from mlbloat.image.stored import host_platform
from mlbloat.model.digest import Digest
from mlbloat.model.image import Image
from mlbloat.registry import download
from mlbloat.tarstream import Limits
from tests.support import images
from tests.support.images import Members
from tests.support.registry import INDEX_TYPE, MANIFEST_TYPE, FakeRegistry, Fault, forget_credentials

LAYERS: list[Members] = [{"/a": b"first" * 5000}, {"/b": b"second"}, {"/a": b"again"}]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_credentials(monkeypatch, tmp_path / "home")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        running.add("my/app", "1", images.oci_files(LAYERS, compression="none"))
        yield running


def pull(registry: FakeRegistry, space: Path, name: str = "my/app:1", *, platform: str | None = None) -> Image:
    return load(f"registry:{registry.authority}/{name}", space, platform=platform)


def paths(image: Image) -> list[str]:
    return [entry.path for entry in squash(image).files()]


def test_an_image_by_tag_is_the_image_of_the_layout(registry: FakeRegistry, tmp_path: Path) -> None:
    peer = load(f"oci-dir:{images.oci_dir(tmp_path / 'peer', LAYERS, compression='none')}", tmp_path / "w")
    image = pull(registry, tmp_path / "r")
    assert image.reference == f"registry:{registry.authority}/my/app:1"
    assert (image.id, image.digest, image.config) == (peer.id, peer.digest, peer.config)
    assert [layer.entries for layer in image.layers] == [layer.entries for layer in peer.layers]
    assert squash(image).read(squash(image)["/a"]) == b"again"


def test_an_image_by_digest_is_that_image_even_when_a_tag_is_written_too(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    digest = pull(registry, tmp_path / "r").digest
    registry.add("my/app", "1", images.oci_files([{"/other": b"x"}]))
    assert pull(registry, tmp_path / "one", f"my/app@{digest}").digest == digest
    assert pull(registry, tmp_path / "two", f"my/app:1@{digest}").digest == digest
    assert pull(registry, tmp_path / "three").digest != digest


def test_a_layer_that_comes_twice_is_downloaded_once(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        registry.add("app", "latest", images.oci_files([{"/a": b"x"}, {"/b": b"y"}, {"/a": b"x"}]))
        assert len(pull(registry, tmp_path, "app").layers) == 3
        assert len(registry.requests("GET", "/blobs/")) == 3  # with the configuration


def index_files(*platforms: str, nested: bool = False) -> dict[str, bytes]:
    """Files of a layout whose one manifest is an index with an image for each platform and an attestation."""
    files: dict[str, bytes] = {}
    manifests = []
    for platform in platforms:
        system, architecture, *variant = platform.split("/")
        names = {"os": system, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
        manifest, more = images.oci_manifest([{f"/{architecture}": b"x"}], extra=names)
        files |= more
        manifests.append(images.descriptor(MANIFEST_TYPE, manifest, platform=names))
    unknown = {"os": "unknown", "architecture": "unknown"}
    manifests.append(images.descriptor(MANIFEST_TYPE, b"{}", platform=unknown))
    index = json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()
    if nested:
        files[images.blob_name(index)] = index
        index = json.dumps({"schemaVersion": 2, "manifests": [images.descriptor(INDEX_TYPE, index)]}).encode()
    files[images.blob_name(index)] = index
    return files | images.oci_layout([images.descriptor(INDEX_TYPE, index)])


@pytest.mark.parametrize("nested", [False, True])
def test_of_an_index_the_platform_asked_for_is_taken_and_nothing_else_downloaded(
    registry: FakeRegistry, tmp_path: Path, nested: bool
) -> None:
    registry.add("multi", "1", index_files("linux/amd64", "linux/arm64/v8", "linux/s390x", nested=nested))
    image = pull(registry, tmp_path, "multi:1", platform="linux/arm64")
    assert (str(image.platform), paths(image)) == ("linux/arm64/v8", ["/arm64"])
    assert len(registry.requests("GET", "/blobs/")) == 2
    assert len(registry.requests("GET", "/manifests/")) == 2 + nested
    assert [str(each) for each in image.platforms] == ["linux/amd64", "linux/arm64/v8", "linux/s390x"]


def test_of_an_index_the_platform_of_this_machine_is_the_default(registry: FakeRegistry, tmp_path: Path) -> None:
    here = host_platform()
    registry.add("multi", "1", index_files("linux/s390x", str(here)))
    assert pull(registry, tmp_path, "multi:1").platform == here
    assert pull(registry, tmp_path / "single", "my/app:1").platforms == ()


def test_a_platform_that_is_not_there_is_4_and_says_which_are(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.add("multi", "1", index_files("linux/amd64", "linux/arm64"))
    with pytest.raises(ImageNotFoundError, match=r"cannot find linux/ppc64le in .*linux/amd64\), .*linux/arm64\)"):
        pull(registry, tmp_path, "multi:1", platform="linux/ppc64le")


def test_an_image_for_another_platform_is_refused_before_its_layers_are_downloaded(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    with pytest.raises(ImageNotFoundError, match=r"cannot find linux/arm64 in .*: the image is linux/amd64"):
        pull(registry, tmp_path, platform="linux/arm64")
    assert len(registry.requests("GET", "/blobs/")) == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("my/app:2", "has no such image .MANIFEST_UNKNOWN: manifest_unknown.; check the name and the tag"),
        ("no", "no such"),
    ],
)
def test_an_image_that_is_not_there_is_4(registry: FakeRegistry, tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(ImageNotFoundError, match=rf"cannot find registry:127.0.0.1:[0-9]+/{name}: .*{says}"):
        pull(registry, tmp_path, name)


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_registry_that_wants_a_password_gets_it_from_docker_s_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auth: str
) -> None:
    with FakeRegistry(auth=auth) as registry:  # type: ignore[arg-type]  # one of the names
        registry.add("app", "latest", images.oci_files(LAYERS))
        write_login(tmp_path, monkeypatch, registry.authority, "secret")
        assert len(pull(registry, tmp_path / "w", "app").layers) == 3


def write_login(directory: Path, monkeypatch: pytest.MonkeyPatch, authority: str, password: str) -> None:
    (directory / "docker").mkdir()
    login = {"auths": {authority: {"username": "user", "password": password}}}
    (directory / "docker/config.json").write_text(json.dumps(login))
    monkeypatch.setenv("DOCKER_CONFIG", str(directory / "docker"))


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_wrong_password_is_4_and_says_where_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auth: str
) -> None:
    with FakeRegistry(auth=auth) as registry:  # type: ignore[arg-type]  # one of the names
        registry.add("app", "latest", images.oci_files(LAYERS))
        write_login(tmp_path, monkeypatch, registry.authority, "wr0ng")
        with pytest.raises(ImageNotFoundError) as error:
            pull(registry, tmp_path / "w", "app")
    assert f"{registry.authority} refuses the credentials of {tmp_path}/docker/config.json" in str(error.value)
    assert f"docker login {registry.authority} again" in str(error.value)
    assert "wr0ng" not in str(error.value)
    assert error.value.exit_code == 4


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_no_password_is_4_and_says_what_to_do(tmp_path: Path, auth: str) -> None:
    named: Any = auth
    with FakeRegistry(auth=named) as registry, pytest.raises(ImageNotFoundError) as error:
        pull(registry, tmp_path, "app")
    assert f"{registry.authority} wants a user name and password" in str(error.value)
    assert "it says UNAUTHORIZED: unauthorized" in str(error.value)
    assert f"; docker login {registry.authority}, or set MLBLOAT_REGISTRY_AUTH_" in str(error.value)


def blob_paths(registry: FakeRegistry) -> list[str]:
    blobs = registry.blobs["my/app"]
    return sorted(blobs, key=lambda digest: -len(blobs[digest]))


def test_a_download_that_breaks_off_is_resumed_where_it_did(registry: FakeRegistry, tmp_path: Path) -> None:
    largest = blob_paths(registry)[0]
    registry.faults.append(Fault("cut", largest, times=2))
    assert paths(pull(registry, tmp_path)) == ["/a", "/b"]
    size = len(registry.blobs["my/app"][largest])
    asked = [seen.headers.get("Range") for seen in registry.requests("GET", largest)]
    assert asked == [None, f"bytes={size // 2}-", f"bytes={size // 2 + (size - size // 2) // 2}-"]


def test_a_download_starts_again_where_the_registry_cannot_resume(registry: FakeRegistry, tmp_path: Path) -> None:
    largest = blob_paths(registry)[0]
    registry.faults += [Fault("cut", largest, times=1), Fault("no range", largest)]
    done: list[int] = []
    image = load(f"registry:{registry.authority}/my/app:1", tmp_path, progress=lambda _, count, __: done.append(count))
    assert paths(image) == ["/a", "/b"]
    assert len(registry.requests("GET", largest)) == 2


@pytest.mark.parametrize("fault", [Fault("cut", ""), Fault("close", "/blobs/"), Fault("status", "/blobs/", status=503)])
def test_a_registry_that_never_delivers_is_an_error_after_some_attempts(
    registry: FakeRegistry, tmp_path: Path, fault: Fault
) -> None:
    fault.path = fault.path or "/blobs/"
    registry.faults.append(fault)
    with pytest.raises(ImageNotFoundError, match=r"cannot read registry:.*try again|check the name and the network"):
        pull(registry, tmp_path)
    assert 1 < len(registry.requests("GET", "/blobs/")) < 100
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_registry_that_fails_for_a_moment_is_asked_again(registry: FakeRegistry, tmp_path: Path, status: int) -> None:
    registry.faults += [
        Fault("status", "/manifests/", status=status, times=2, headers={"Retry_After": "1"}),
        Fault("status", "/blobs/", status=status, times=2),
        Fault("close", "/manifests/", times=1),
        Fault("cut", "/manifests/", times=1),
    ]
    assert paths(pull(registry, tmp_path)) == ["/a", "/b"]


def test_a_corrupted_blob_is_refused(registry: FakeRegistry, tmp_path: Path) -> None:
    largest = blob_paths(registry)[0]
    registry.faults.append(Fault("corrupt", largest))
    with pytest.raises(BadImageError, match=rf"cannot read registry:.* sent other content for {largest}"):
        pull(registry, tmp_path)
    assert len(registry.requests("GET", largest)) == 1
    assert not list(tmp_path.rglob("*.part"))


def test_a_resumed_blob_that_does_not_fit_together_is_fetched_once_more_from_the_start(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    largest = blob_paths(registry)[0]
    registry.faults += [Fault("cut", largest, times=1), Fault("corrupt", largest, times=1)]
    assert paths(pull(registry, tmp_path)) == ["/a", "/b"]
    assert [bool(seen.headers.get("Range")) for seen in registry.requests("GET", largest)] == [False, True, False]


def test_a_blob_that_does_not_end_is_refused(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.faults.append(Fault("long", blob_paths(registry)[0]))
    with pytest.raises(BadImageError, match=r"sent more than [0-9]+ bytes for sha256:"):
        pull(registry, tmp_path)


def test_a_manifest_that_is_not_the_digest_s_is_refused(registry: FakeRegistry, tmp_path: Path) -> None:
    digest = pull(registry, tmp_path / "r").digest
    held = registry.manifests["my/app"]
    held[str(digest)] = (MANIFEST_TYPE, held[str(digest)][1] + b" ")
    with pytest.raises(BadImageError, match=rf"sent another manifest .sha256:.* for {digest}"):
        pull(registry, tmp_path / "w", f"my/app@{digest}")


def test_a_manifest_that_is_too_large_is_refused(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.manifests["my/app"]["1"] = (MANIFEST_TYPE, b" " * 5000)
    with pytest.raises(BadImageError, match="sent more than 4096 bytes"):
        load(f"registry:{registry.authority}/my/app:1", tmp_path, limits=Limits(document_bytes=4096))


def manifest_of(*sizes: int) -> bytes:
    blobs = [{"digest": images.sha256(str(n).encode()), "size": size} for n, size in enumerate(sizes)]
    return json.dumps({"schemaVersion": 2, "config": blobs[0], "layers": blobs[1:]}).encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (manifest_of(2, 1 << 60), "bytes .limit image_bytes."),
        (manifest_of(1 << 40, 1), "its configuration is larger than"),
        (manifest_of(2, *[1] * 1100), "it has more than 1000 layers"),
        (manifest_of(2, -5), "less than no bytes"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "it is no manifest of an image"),
        (b'{"manifests": []}', "it holds no image"),
        (b"[]", "manifest sha256:"),
        (b"<html>", "manifest sha256:"),
        (json.dumps({"config": {"digest": "md5:0", "size": 1}, "layers": []}).encode(), "not a digest"),
        (json.dumps({"manifests": [{"digest": "../../x", "size": 1}]}).encode(), "not a digest"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused_before_anything_is_downloaded(
    registry: FakeRegistry, tmp_path: Path, content: bytes, says: str
) -> None:
    registry.manifests["my/app"]["1"] = (MANIFEST_TYPE, content)
    with pytest.raises(BadImageError, match=says):
        pull(registry, tmp_path)
    assert registry.requests("GET", "/blobs/") == []


def test_blobs_are_followed_to_another_host_without_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.netrc").write_text("default login user password netrc\n")
    with FakeRegistry(auth="basic") as registry, FakeRegistry() as other:
        files = images.oci_files(LAYERS)
        registry.add("app", "latest", files)
        other.add("app", "latest", files)
        registry.blobs_elsewhere = other.url
        write_login(tmp_path, monkeypatch, registry.authority, "secret")
        assert len(pull(registry, tmp_path / "w", "app").layers) == 3
        assert [seen for seen in registry.requests("GET", "/blobs/") if "Authorization" not in seen.headers] == []
        assert len(other.requests("GET", "/blobs/")) == 4
        assert [seen for seen in other.seen if "Authorization" in seen.headers] == []


@pytest.mark.parametrize("place", ["http://203.0.113.1", "file:///etc", "http://user:pass@127.0.0.1:1"])
def test_a_redirect_to_plain_http_elsewhere_or_to_no_http_at_all_is_not_followed(
    registry: FakeRegistry, tmp_path: Path, place: str
) -> None:
    registry.blobs_elsewhere = place
    with pytest.raises(ImageNotFoundError, match=r"leads to .*, which is not followed"):
        pull(registry, tmp_path)


def test_a_redirect_in_a_circle_ends(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.blobs_elsewhere = registry.url
    with pytest.raises(ImageNotFoundError, match="redirects more than 5 times"):
        pull(registry, tmp_path)


def test_plain_http_is_for_this_machine_or_where_it_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry() as registry:
        registry.add("app", "latest", images.oci_files(LAYERS))
        reference = f"registry:{registry.authority}/app"
        for module in ("client", "transport"):
            monkeypatch.setattr(f"mlbloat.registry.{module}.is_loopback", lambda _: False)
        with pytest.raises(ImageNotFoundError, match=r"has no valid certificate .*MLBLOAT_REGISTRY_INSECURE"):
            load(reference, tmp_path / "one")
        monkeypatch.setenv("MLBLOAT_REGISTRY_INSECURE", f"other:5000, {registry.authority}")
        assert len(load(reference, tmp_path / "two").layers) == 3


def test_nobody_there_is_4_and_soon_said(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        pass
    with pytest.raises(
        ImageNotFoundError, match=r"127.0.0.1:[0-9]+ does not answer .Connection refused.; check the name"
    ):
        pull(registry, tmp_path)


@pytest.mark.parametrize("name", ["UPPER", "a@sha256:0", "a:b:c", "a/../b", "host.example/", "a b"])
def test_what_is_no_name_is_a_usage_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"cannot read registry:.*; write registry:host/name:tag"):
        load(f"registry:{name}", tmp_path)


def test_ctrl_c_while_downloading_leaves_no_part(registry: FakeRegistry, tmp_path: Path) -> None:
    def interrupt(text: str, done: int, total: int | None) -> None:
        if text.startswith("downloading") and done > 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(f"registry:{registry.authority}/my/app:1", tmp_path, progress=interrupt)
    assert not list(tmp_path.rglob("*.part"))


def test_ctrl_c_does_not_wait_for_a_registry_that_is_silent(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.faults.append(Fault("hang", blob_paths(registry)[0]))

    def interrupt(text: str, done: int, total: int | None) -> None:
        if text.startswith("downloading") and done > 1000 and registry.hanging.wait(10):
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        load(f"registry:{registry.authority}/my/app:1", tmp_path, progress=interrupt)
    assert time.monotonic() - started < 200  # or it would be 60 seconds of silence, five times
    assert not list(tmp_path.rglob("*.part"))


def test_a_full_disk_is_one_line(registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules[download.__module__], "_Download", full)
    with pytest.raises(MlbloatError, match=r"cannot read registry:.*No space left on device"):
        pull(registry, tmp_path)


def test_progress_is_in_bytes_of_blobs(registry: FakeRegistry, tmp_path: Path) -> None:
    said: list[tuple[str, int, int | None]] = []
    load(f"registry:{registry.authority}/my/app:1", tmp_path, progress=lambda *what: said.append(what))
    downloads: Sequence[tuple[str, int, int | None]] = [line for line in said if line[0].startswith("downloading")]
    total = sum(len(blob) for blob in registry.blobs["my/app"].values()) - len(registry.manifests["my/app"]["1"][1])
    assert downloads[-1] == (f"downloading from {registry.authority}", total, total)


class Remembered:
    """A cache in memory."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], dict[int, bytes]] = {}

    def load(self, kind: str, key: str) -> dict[int, bytes]:
        return self.values.get((kind, key), {})

    def save(self, kind: str, key: str, parts: Mapping[int, bytes]) -> None:
        self.values[kind, key] = dict(parts)


def test_a_layer_that_the_cache_knows_is_downloaded_when_a_content_is_asked_for(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        registry.add("app", "1", images.oci_files(LAYERS))
        registry.add("app", "2", images.oci_files([LAYERS[0], {"/new": b"new"}]))
        cache, reference = Remembered(), f"registry:{registry.authority}/app"
        load(f"{reference}:1", tmp_path / "one", cache=cache)
        peer = load(f"{reference}:2", tmp_path / "peer")
        registry.seen.clear()
        image = load(f"{reference}:2", tmp_path / "two", cache=cache)
        ranges = [seen.headers.get("Range") for seen in registry.requests("GET", "/blobs/")]
        assert ranges == [None, "bytes=0-7", None]  # the configuration, the known layer, the other layer
        assert [layer.compressed_bytes for layer in image.layers] == [layer.compressed_bytes for layer in peer.layers]
        assert [layer.entries for layer in image.layers] == [layer.entries for layer in peer.layers]
        for _ in range(2):
            assert squash(image).read(squash(image)["/a"]) == b"first" * 5000
        assert len(registry.requests("GET", "/blobs/")) == 4


def test_a_known_layer_that_several_threads_copy_is_downloaded_once(registry: FakeRegistry, tmp_path: Path) -> None:
    """As when a layer that comes twice is passed on unchanged."""
    registry.add("app", "1", images.oci_files(LAYERS))
    cache, reference = Remembered(), f"registry:{registry.authority}/app:1"
    load(reference, tmp_path / "one", cache=cache)
    image = load(reference, tmp_path / "two", cache=cache)
    registry.seen.clear()
    blob = image.layers[0].blob
    assert blob is not None
    with ThreadPoolExecutor(8) as pool:
        copies = list(pool.map(lambda _: b"".join(blob.chunks()), range(8)))
    assert {Digest.of(copy) for copy in copies} == {blob.digest}
    assert len(registry.requests("GET", "/blobs/")) == 1


def test_a_layer_that_cannot_be_downloaded_later_is_said_so(registry: FakeRegistry, tmp_path: Path) -> None:
    cache = Remembered()
    reference = f"registry:{registry.authority}/my/app:1"
    load(reference, tmp_path / "one", cache=cache)
    image = load(reference, tmp_path / "two", cache=cache)
    registry.faults.append(Fault("corrupt", "/blobs/"))
    with pytest.raises(BadImageError, match=f"cannot read {reference}: .* sent other content"):
        squash(image).read(squash(image)["/a"])
