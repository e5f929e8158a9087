"""References: schemes, and paths recognised by what they hold."""

from pathlib import Path

import pytest

from mlbloat import image
from mlbloat.errors import BadImageError, ImageNotFoundError, UsageError
from mlbloat.image import load
from mlbloat.image.stored import AbsentError, Question, Stored, host_platform, parse_platform
from mlbloat.model.image import Platform
from tests.support import images
from tests.support.images import Members

LAYERS: list[Members] = [{"/a": b"x"}]


@pytest.mark.parametrize("slashes", ["", "//"])
def test_schemes_may_be_written_with_slashes(tmp_path: Path, slashes: str) -> None:
    path = images.oci_dir(tmp_path / "i", LAYERS)
    assert load(f"oci-dir:{slashes}{path}", tmp_path / "w").reference == f"oci-dir:{path}"


def test_a_path_is_recognised_by_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    found = [
        load(str(path), tmp_path / "w").reference.partition(":")[0]
        for path in (
            images.oci_dir(tmp_path / "layout", LAYERS),
            images.oci_archive(tmp_path / "one", LAYERS),
            images.docker_archive(tmp_path / "two", LAYERS, style="old"),
            images.docker_archive(tmp_path / "three", LAYERS, style="new"),
            tmp_path / "plain",
        )
    ]
    assert found == ["oci-dir", "oci-archive", "docker-archive", "docker-archive", "dir"]


def test_a_relative_path_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images.oci_archive(tmp_path / "image.tar", LAYERS)
    monkeypatch.chdir(tmp_path)
    assert load("image.tar:latest", tmp_path / "w").reference == "oci-archive:image.tar:latest"


def test_a_tar_that_is_no_image_is_refused_with_advice(tmp_path: Path) -> None:
    path = images.write_archive(tmp_path / "rootfs.tar", {"etc/passwd": b""})
    with pytest.raises(BadImageError, match="unpack it and use dir:"):
        load(str(path), tmp_path / "w")


def test_a_file_that_is_no_tar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\x7fELF" * 1000)
    with pytest.raises(BadImageError, match=r"cannot read .*file: "):
        load(str(tmp_path / "file"), tmp_path / "w")


@pytest.mark.parametrize(
    "reference", ["./x", "/no/such/x", "x.tar", "x.tar.gz:v1", "oci-archive:x", "oci-dir:x", "../y"]
)
def test_a_path_that_does_not_exist_is_said_to_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImageNotFoundError, match="no such file or directory") as error:
        load(reference, tmp_path / "w")
    assert reference in str(error.value)


@pytest.mark.parametrize("reference", ["", "docker:", "oci-dir://"])
def test_a_reference_that_names_nothing_is_a_usage_error(tmp_path: Path, reference: str) -> None:
    with pytest.raises(UsageError, match="names no image"):
        load(reference, tmp_path)


class Engine:
    """A source that has one image, or none."""

    def __init__(self, scheme: str, held: str, asked: list[str]) -> None:
        self.SCHEME, self._held, self._asked = scheme, held, asked

    def find(self, question: Question) -> Stored:
        self._asked.append(question.reference)
        if question.rest != self._held:
            raise AbsentError(f"no such image in {self.SCHEME}", "pull it first")
        document = images.config_document([])
        return Stored(config=document, layers=())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What the engines were asked for; the second and the third have an image."""
    asked: list[str] = []
    engines = tuple(Engine(*pair, asked) for pair in (("docker", ""), ("podman", "two"), ("containerd", "three:1")))
    monkeypatch.setattr(image, "BARE", engines)
    monkeypatch.setattr(image, "SOURCES", engines)
    monkeypatch.chdir(tmp_path)
    return asked


@pytest.mark.parametrize(("reference", "found"), [("two", "podman:two"), ("three:1", "containerd:three:1")])
def test_a_bare_reference_is_looked_for_in_one_engine_after_the_other(
    tmp_path: Path, asked: list[str], reference: str, found: str
) -> None:
    assert load(reference, tmp_path).reference == found == asked[-1]
    assert [text.partition(":")[0] for text in asked] == ["docker", "podman", "containerd"][: len(asked)]


def test_a_bare_reference_that_none_has_says_what_each_said(tmp_path: Path, asked: list[str]) -> None:
    with pytest.raises(ImageNotFoundError) as error:
        load("host:5000/a/b@sha256:0", tmp_path)
    assert str(error.value) == (
        "cannot find host:5000/a/b@sha256:0: no such image in docker; no such image in podman; "
        "no such image in containerd; check the name, pull or build it, or give the path of a saved archive"
    )


def test_a_place_that_refuses_is_named_with_its_reason(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(Engine):
        def find(self, question: Question) -> Stored:
            raise ImageNotFoundError(f"cannot read {question.reference}: the password is wrong; log in")

    monkeypatch.setattr(image, "BARE", (*image.BARE, Refusing("registry", "", asked)))
    with pytest.raises(ImageNotFoundError, match="no such image in containerd; registry: the password is wrong; check"):
        load("app:1", tmp_path)


def test_a_broken_image_is_not_looked_for_elsewhere(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Engine):
        def find(self, question: Question) -> Stored:
            raise BadImageError("cannot read it: broken")

    monkeypatch.setattr(image, "BARE", (Broken("docker", "", asked), *image.BARE))
    with pytest.raises(BadImageError, match="cannot read it: broken"):
        load("two", tmp_path)


@pytest.mark.parametrize("slashes", ["", "//"])
def test_a_scheme_asks_that_engine_alone(tmp_path: Path, asked: list[str], slashes: str) -> None:
    with pytest.raises(ImageNotFoundError, match="cannot find docker:two: no such image in docker; pull it first"):
        load(f"docker:{slashes}two", tmp_path)
    assert asked == ["docker:two"]


def test_an_engine_that_does_not_answer_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")  # the SDK leaks the socket of a missing unix:// one
    with pytest.raises(
        ImageNotFoundError, match="cannot find docker:app:1: the docker engine does not answer"
    ) as error:
        load("docker:app:1", tmp_path)
    assert error.value.exit_code == 4


@pytest.mark.parametrize("text", ["amd64", "linux/", "Linux/amd64", "linux/arm/v7/x", "linux/../x", ""])
def test_platforms_are_checked(text: str) -> None:
    with pytest.raises(UsageError, match="write os/architecture"):
        parse_platform(text)


def test_platforms_are_read() -> None:
    assert parse_platform("linux/arm/v7") == Platform(os="linux", architecture="arm", variant="v7")
    assert str(parse_platform("linux/s390x")) == "linux/s390x"
    assert host_platform().architecture not in ("", "x86_64", "aarch64")


def test_a_full_disk_or_a_forbidden_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = images.oci_archive(tmp_path / "i.tar", LAYERS)

    def forbidden(*_: object, **__: object) -> Stored:
        raise PermissionError(13, "Permission denied", "i.tar")

    monkeypatch.setattr("mlbloat.image.open_archive", forbidden)
    with pytest.raises(ImageNotFoundError, match=r"no permission for i\.tar"):
        load(str(path), tmp_path / "w")
    monkeypatch.undo()
    (tmp_path / "w").write_bytes(b"")  # the workspace cannot be made
    with pytest.raises(Exception, match=r"cannot read .*File exists|Not a directory") as error:
        load(str(path), tmp_path / "w")
    assert type(error.value).__name__ == "MlbloatError"
