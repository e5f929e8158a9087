"""A registry gets what it lacks and then the tag, or keeps everything as it was."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlbloat.errors import PublishError
from mlbloat.image import load, squash
from mlbloat.model.use import Level
from mlbloat.registry import open_registry, parse_reference, upload
from mlbloat.slim import SlimImage, check_destination, make_plan, parse_destination, publish, write
from tests.slim.stacks import image_of, marks_keeping, merged
from tests.support import images
from tests.support.images import Members
from tests.support.registry import FakeRegistry, Fault, forget_credentials


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_credentials(monkeypatch, tmp_path / "home")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        yield running


def slimmed(space: Path, *more: Members, reference: str = "docker:app:1") -> SlimImage:
    layers: list[Members] = [{"/a": "a" * 100_000, "/unused": "x"}, *more]
    image = image_of(space / "tars", layers, reference=reference)
    tree = merged(image)
    kept = [path for path in tree if path != "/unused"]
    return write(image, make_plan(image, tree, marks_keeping(tree, *kept), Level.SAFE), space / "layout")


def push(registry: FakeRegistry, slim: SlimImage, name: str = "my/app:slim") -> str:
    return publish(slim.directory, parse_destination(f"registry:{registry.authority}/{name}"))


def paths(reference: str, space: Path) -> list[str]:
    return [entry.path for entry in squash(load(reference, space)).files()]


def test_what_is_pushed_is_pulled_as_the_slim_image(registry: FakeRegistry, tmp_path: Path) -> None:
    slim = slimmed(tmp_path, {"/b": "b"})
    reference = push(registry, slim)
    assert reference == f"registry:{registry.authority}/my/app:slim"
    image = load(reference, tmp_path / "w")
    assert (image.id, image.digest) == (slim.id, slim.digest)
    assert paths(reference, tmp_path / "v") == ["/a", "/b"]


def test_the_manifest_comes_last_and_no_upload_is_left_open(registry: FakeRegistry, tmp_path: Path) -> None:
    push(registry, slimmed(tmp_path, {"/b": "b"}))
    writes = [seen for seen in registry.seen if seen.method == "PUT"]
    assert [seen.path.rpartition("/")[0] for seen in writes[-1:]] == ["/v2/my/app/manifests"]
    assert len(writes) == 4
    assert registry.uploads == {}


def test_a_second_push_sends_only_what_differs(registry: FakeRegistry, tmp_path: Path) -> None:
    push(registry, slimmed(tmp_path / "one", {"/b": "b"}), "my/app:1")
    registry.seen.clear()
    push(registry, slimmed(tmp_path / "two", {"/b": "other"}), "my/app:2")
    assert len(registry.requests("PUT", "/blobs/")) == 2  # one layer and the configuration
    registry.seen.clear()
    push(registry, slimmed(tmp_path / "three", {"/b": "other"}), "my/app:3")
    assert registry.requests("PUT", "/blobs/") == []
    assert sorted(registry.manifests["my/app"], key=len)[:3] == ["1", "2", "3"]


def test_blobs_of_the_original_s_repository_are_taken_over(registry: FakeRegistry, tmp_path: Path) -> None:
    slim = slimmed(tmp_path, {"/b": "b"}, reference=f"registry:{registry.authority}/base/app:1")
    layer = slim.layers[1]
    registry.blobs["base/app"] = {str(layer.digest): (slim.directory / "blobs/sha256" / layer.digest.hex).read_bytes()}
    push(registry, slim)
    assert len(registry.requests("PUT", "/blobs/")) == 2
    assert layer.digest in registry.blobs["my/app"]
    assert paths(f"registry:{registry.authority}/my/app:slim", tmp_path / "w") == ["/a", "/b"]


def test_a_base_in_another_registry_is_nothing_to_take_from(registry: FakeRegistry, tmp_path: Path) -> None:
    push(registry, slimmed(tmp_path, reference="registry:other.example/base/app:1"))
    assert [seen for seen in registry.seen if "mount" in seen.path] == []


def held(registry: FakeRegistry) -> dict[str, bytes]:
    return {tag: content for tag, (_, content) in registry.manifests.get("my/app", {}).items()}


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", "/blobs/uploads/", method="PUT"),
        Fault("close", "/blobs/uploads/", method="PUT"),
        Fault("status", "/blobs/uploads/", method="POST", status=503),
        Fault("close", "/blobs/uploads/", method="POST"),
        Fault("close", "/blobs/sha256", method="HEAD"),
        Fault("status", "/blobs/uploads/", method="PUT", status=400),
        Fault("status", "/manifests/", method="PUT"),
        Fault("close", "/manifests/", method="PUT"),
        Fault("status", "/manifests/", method="PUT", status=413),
    ],
    ids=lambda fault: f"{fault.method}-{fault.path.strip('/').replace('/', '-')}-{fault.kind}-{fault.status}",
)
def test_a_registry_that_fails_moves_no_tag_and_keeps_no_upload(
    registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    registry.add("my/app", "slim", images.oci_files([{"/before": b"x"}]))
    before = held(registry)
    registry.faults.append(Fault(fault.kind, fault.path, method=fault.method, status=fault.status))
    slim = slimmed(tmp_path, {"/b": "b"})
    monkeypatch.setattr(sys.modules[publish.__module__], "check_destination", lambda _: None)  # it would find some
    with pytest.raises(PublishError, match=rf"cannot push to registry:{registry.authority}/my/app:slim: .*; "):
        push(registry, slim)
    assert held(registry) == before
    assert registry.uploads == {}
    assert len(registry.seen) < 60


@pytest.mark.parametrize("kind", ["close", "status"])
@pytest.mark.parametrize(
    ("method", "part"), [("PUT", "/blobs/uploads/"), ("PUT", "/manifests/"), ("POST", "/blobs/"), ("HEAD", "/blobs/")]
)
def test_a_registry_that_fails_for_a_moment_gets_it_again(
    registry: FakeRegistry, tmp_path: Path, kind: str, method: str, part: str
) -> None:
    slim = slimmed(tmp_path, {"/b": "b"})
    registry.faults.append(Fault(kind, part, method=method, times=2, status=502))  # type: ignore[arg-type]  # a kind
    assert load(push(registry, slim), tmp_path / "w").digest == slim.digest
    assert registry.uploads == {}


def test_ctrl_c_while_pushing_moves_no_tag_and_keeps_no_upload(
    registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    slim = slimmed(tmp_path)
    monkeypatch.setattr("mlbloat.registry.put_manifest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        push(registry, slim)
    assert (held(registry), registry.uploads) == ({}, {})


def test_an_error_does_not_wait_for_an_upload_that_is_silent(registry: FakeRegistry, tmp_path: Path) -> None:
    slim = slimmed(tmp_path, {"/b": "b"})
    registry.faults += [
        Fault("hang", "/blobs/uploads/", method="PUT", times=1),
        Fault("status", "/blobs/uploads/", method="PUT", status=403),
    ]
    started = time.monotonic()
    with pytest.raises(PublishError, match=r"refuses|wants a user name and password"):
        push(registry, slim)
    assert time.monotonic() - started < 400  # or it would be 600 seconds of silence
    assert (held(registry), registry.uploads) == ({}, {})


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_password_is_used_to_push(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auth: str) -> None:
    with FakeRegistry(auth=auth) as registry:  # type: ignore[arg-type]  # one of the names
        slim = slimmed(tmp_path, {"/b": "b"})
        for name, value in {"AUTHORITY": registry.authority, "USERNAME": "user", "PASSWORD": "secret"}.items():
            monkeypatch.setenv(f"MLBLOAT_REGISTRY_AUTH_{name}", value)
        assert load(push(registry, slim), tmp_path / "w").digest == slim.digest


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_push_that_is_not_permitted_is_known_before_any_work(tmp_path: Path, auth: str) -> None:
    with FakeRegistry(auth=auth) as registry:  # type: ignore[arg-type]  # one of the names
        registry.anonymous_pull = True
        destination = parse_destination(f"registry:{registry.authority}/app:slim")
        with pytest.raises(
            PublishError, match=r"cannot push to registry:.*/app:slim: .* wants a user name and password"
        ):
            check_destination(destination)


def test_a_check_leaves_nothing_in_the_registry(registry: FakeRegistry) -> None:
    check_destination(parse_destination(f"registry:{registry.authority}/app:slim"))
    assert (registry.uploads, registry.manifests, registry.blobs) == ({}, {}, {})


def test_a_registry_that_does_not_answer_is_known_before_any_work() -> None:
    with FakeRegistry() as registry:
        pass
    with pytest.raises(PublishError, match=r"does not answer .Connection refused.; check the name and the network"):
        check_destination(parse_destination(f"registry:{registry.authority}/app"))


def test_an_upload_goes_to_another_host_without_credentials(
    registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slim = slimmed(tmp_path)
    with FakeRegistry() as store:
        store.uploads["u"] = "my/app"
        place = f"{store.url}/v2/my/app/blobs/uploads/u"
        registry.auth = "basic"
        environment = {"AUTHORITY": registry.authority, "USERNAME": "user", "PASSWORD": "secret"}
        login = {f"MLBLOAT_REGISTRY_AUTH_{name}": value for name, value in environment.items()}
        monkeypatch.setattr(sys.modules[upload.__module__], "_begin", lambda *_: place)
        layer = slim.layers[0].digest
        with open_registry(parse_reference(f"{registry.authority}/my/app"), login, push=True) as client:
            assert upload(client, layer, slim.directory / "blobs/sha256" / layer.hex, on_bytes=lambda _: None)
        assert [seen.method for seen in store.seen] == ["PUT"]
        assert "Authorization" not in store.seen[0].headers
        assert any("Authorization" in seen.headers for seen in registry.requests("HEAD"))


def test_the_registry_s_own_digest_of_the_manifest_must_be_ours(
    registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.registry.sha256", lambda _: "sha256:" + "0" * 64)
    with pytest.raises(PublishError, match="holds another manifest there"):
        push(registry, slimmed(tmp_path))
