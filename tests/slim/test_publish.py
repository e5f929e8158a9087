"""Archives and directories that others can read, or nothing at all."""

import io
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.errors import DockerException, ImageNotFound

from mlbloat.errors import PublishError
from mlbloat.image import load, squash
from mlbloat.model.use import Level
from mlbloat.slim import SlimImage, check_destination, make_plan, parse_destination, publish, write
from tests.slim.stacks import image_of, marks_keeping, merged


@pytest.fixture
def slim(tmp_path: Path) -> SlimImage:
    image = image_of(tmp_path / "tars", [{"/a": "a", "/unused": "x"}, {"/b": "b"}])
    tree = merged(image)
    return write(image, make_plan(image, tree, marks_keeping(tree, "/a", "/b"), Level.SAFE), tmp_path / "layout")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def send(slim: SlimImage, text: str) -> str:
    return publish(slim.directory, parse_destination(text))


@pytest.mark.parametrize(
    "text", ["oci-archive:{}/x", "oci-archive:{}/x:v1", "oci-dir:{}/x", "docker-archive:{}/x:app:v1"]
)
def test_what_is_published_loads_as_the_slim_image(slim: SlimImage, out: Path, tmp_path: Path, text: str) -> None:
    reference = send(slim, text.format(out))
    assert reference == text.format(out)
    (tmp_path / "work").mkdir()
    image = load(reference, tmp_path / "work")
    assert image.id == slim.id
    assert [entry.path for entry in squash(image).files()] == ["/a", "/b"]
    assert [path.name for path in out.iterdir()] == ["x"]


@pytest.mark.parametrize("text", ["oci-archive:{}/{}:v1", "docker-archive:{}/{}:app:v1"])
def test_the_same_layout_gives_the_same_archive(slim: SlimImage, out: Path, text: str) -> None:
    for name in ("first", "second"):
        send(slim, text.format(out, name))
    assert (out / "first").read_bytes() == (out / "second").read_bytes()


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path, "r:") as tar:
        files = [member for member in tar if member.isfile()]
        return {member.name: tar.extractfile(member).read() for member in files}  # type: ignore[union-attr]  # all files


def test_a_docker_archive_is_both_a_layout_and_what_older_engines_read(slim: SlimImage, out: Path) -> None:
    send(slim, f"docker-archive:{out}/x:my/app:v1")
    files = members(out / "x")
    assert list(files)[:3] == ["oci-layout", "index.json", "manifest.json"]
    layers = [f"blobs/sha256/{layer.digest.hex}" for layer in slim.layers]
    manifest = [{"Config": f"blobs/sha256/{slim.id.hex}", "RepoTags": ["my/app:v1"], "Layers": layers}]
    assert json.loads(files["manifest.json"]) == manifest
    assert json.loads(files["index.json"])["manifests"][0]["annotations"] == {
        "io.containerd.image.name": "docker.io/my/app:v1",
        "org.opencontainers.image.ref.name": "v1",
    }
    assert set(layers) < set(files)


def test_a_tag_goes_where_readers_of_oci_archives_look(slim: SlimImage, out: Path) -> None:
    send(slim, f"oci-archive:{out}/x:v1")
    index = json.loads(members(out / "x")["index.json"])
    assert index["manifests"][0]["annotations"] == {"org.opencontainers.image.ref.name": "v1"}


def test_a_layer_that_comes_twice_is_stored_once(tmp_path: Path, out: Path) -> None:
    image = image_of(tmp_path / "tars", [{"/d": None}, {"/d": None}])
    tree = merged(image)
    plan = make_plan(image, tree, (), Level.SAFE)
    assert len(plan.layers) == 1
    both = image_of(tmp_path / "tars", [{"/a": "same"}, {"/a": "same"}])
    slim = write(both, make_plan(both, merged(both), (), Level.SAFE), tmp_path / "layout")
    send(slim, f"oci-archive:{out}/x")
    assert len(members(out / "x")) == len(set(members(out / "x")))


class Fails:
    """A file that is full after the first write, or interrupted."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, path: Path) -> Iterator[bytes]:
        yield path.read_bytes()[:1]
        raise self.error


@pytest.mark.parametrize("scheme", ["oci-archive", "docker-archive", "oci-dir"])
@pytest.mark.parametrize(
    ("error", "raised"),
    [(OSError(28, "No space left on device"), PublishError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_a_failure_leaves_nothing(
    slim: SlimImage,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    error: BaseException,
    raised: type[BaseException],
) -> None:
    monkeypatch.setattr(sys.modules[publish.__module__], "_chunks", Fails(error))
    with pytest.raises(raised):
        send(slim, f"{scheme}:{out}/x")
    assert list(out.iterdir()) == []


def test_a_failure_leaves_the_file_that_was_there(slim: SlimImage, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (out / "x").write_bytes(b"before")
    monkeypatch.setattr(sys.modules[publish.__module__], "_chunks", Fails(OSError(28, "No space left on device")))
    with pytest.raises(
        PublishError, match=r"cannot write to oci-archive:.*/x: No space left on device; nothing was left"
    ):
        send(slim, f"oci-archive:{out}/x")
    assert (out / "x").read_bytes() == b"before"
    assert [path.name for path in out.iterdir()] == ["x"]


class Engine:
    """A docker engine as far as loading an image goes."""

    def __init__(self, messages: list[dict[str, str]], loaded: str) -> None:
        self.messages, self.loaded, self.received = messages, loaded, b""
        self.api = self
        self.tagged: list[tuple[str, str, str]] = []

    def load_image(self, chunks: Iterator[bytes]) -> list[dict[str, str]]:
        self.received = b"".join(chunks)
        return self.messages

    def tag(self, image: str, repository: str, tag: str) -> None:
        if image != self.loaded:
            raise ImageNotFound(image)
        self.tagged.append((image, repository, tag))

    def ping(self) -> bool:
        return True

    def close(self) -> None:
        pass


@pytest.mark.parametrize("named_by", ["id", "digest"])  # containerd's store takes the second
def test_an_engine_gets_an_archive_without_a_name_and_the_name_when_it_has_the_image(
    slim: SlimImage, monkeypatch: pytest.MonkeyPatch, named_by: str
) -> None:
    loaded = str(getattr(slim, named_by))
    engine = Engine([{"stream": f"Loaded image ID: {loaded}"}], loaded)
    monkeypatch.setattr("docker.DockerClient.from_env", lambda **_: engine)
    assert send(slim, "docker:localhost:5000/app:v1") == "docker:localhost:5000/app:v1"
    with tarfile.open(fileobj=io.BytesIO(engine.received)) as tar:
        assert "manifest.json" in tar.getnames()
    assert b"app:v1" not in engine.received
    assert engine.tagged == [(loaded, "localhost:5000/app", "v1")]


@pytest.mark.parametrize(
    ("messages", "loaded", "why"),
    [
        (
            [{"error": "no space\nleft"}],
            "",
            "cannot load app:v1 into docker: no space left; see its log, and its disk space",
        ),
        ([], "sha256:" + "0" * 64, "it took the archive and has no such image; try again"),
    ],
)
def test_an_engine_that_did_not_take_it_is_an_error(
    slim: SlimImage, monkeypatch: pytest.MonkeyPatch, messages: list[dict[str, str]], loaded: str, why: str
) -> None:
    monkeypatch.setattr("docker.DockerClient.from_env", lambda **_: Engine(messages, loaded))
    with pytest.raises(PublishError, match=why):
        send(slim, "docker:app:v1")


def test_an_engine_that_does_not_answer_is_an_error_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> Engine:
        raise DockerException("Connection refused")

    monkeypatch.setattr("docker.DockerClient.from_env", refuse)
    with pytest.raises(PublishError, match="cannot load app:v1 into docker: Connection refused; start the engine"):
        check_destination(parse_destination("docker:app:v1"))


def test_the_time_in_an_archive_is_that_of_source_date_epoch(
    slim: SlimImage, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    send(slim, f"oci-archive:{out}/x")
    with tarfile.open(out / "x") as tar:
        assert {member.mtime for member in tar} == {1700000000}
        names = [member.name for member in tar]
    # syft makes no directory that the archive does not name first.
    assert (
        names.index("blobs")
        < names.index("blobs/sha256")
        < min(number for number, name in enumerate(names) if name.startswith("blobs/sha256/"))
    )
