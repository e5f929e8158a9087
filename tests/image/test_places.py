"""References: schemes, and paths recognised by what they hold."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from mlbloat.errors import BadImageError, ImageNotFoundError, UsageError
from mlbloat.image import NAMED, load, oci_archive
from mlbloat.image.stored import Question, Stored, host_platform, parse_platform
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


@pytest.mark.parametrize("scheme", ["podman", "containerd"])
@pytest.mark.parametrize("slashes", ["", "//"])
def test_schemes_that_are_not_there_yet_say_what_to_do(tmp_path: Path, scheme: str, slashes: str) -> None:
    with pytest.raises(UsageError, match=f"{scheme}: is not supported yet; use docker: or save it to an archive"):
        load(f"{scheme}:{slashes}app:1", tmp_path)


@pytest.mark.parametrize("reference", ["", "docker:", "oci-dir://"])
def test_a_reference_that_names_nothing_is_a_usage_error(tmp_path: Path, reference: str) -> None:
    with pytest.raises(UsageError, match="names no image"):
        load(reference, tmp_path)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("docker:python:3.12", "python:3.12"),
        ("docker://python:3.12", "python:3.12"),
        ("python:3.12", "python:3.12"),
        ("localhost:5000/a/b@sha256:0", "localhost:5000/a/b@sha256:0"),
    ],
)
def test_a_bare_reference_is_looked_for_in_each_place_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, name: str
) -> None:
    asked: list[str] = []
    for source in NAMED:
        monkeypatch.setattr(source, "find", partial(refuse, asked))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImageNotFoundError):
        load(reference, tmp_path)
    scheme = reference.partition(":")[0]
    schemes = [scheme] if scheme == "docker" else [source.SCHEME for source in NAMED]
    assert asked == [f"{scheme}:{name}" for scheme in schemes]


def refuse(asked: list[str], question: Question) -> Stored:
    asked.append(question.reference)
    raise ImageNotFoundError(f"cannot read {question.reference}: number {len(asked)} is away; call it")


def test_a_name_that_is_nowhere_says_what_each_place_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for source in NAMED:
        monkeypatch.setattr(source, "find", partial(refuse, []))
    with pytest.raises(ImageNotFoundError) as error:
        load("app:1", tmp_path)
    each = " or ".join(f"{source.SCHEME} (number 1 is away)" for source in NAMED)
    assert (
        str(error.value) == f"cannot find app:1 in {each}; check the name, or write where it is, such as docker:app:1"
    )


def test_the_first_place_that_has_a_name_is_taken_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = images.oci_archive(tmp_path / "i.tar", LAYERS)

    def found(question: Question) -> Stored:
        return oci_archive.find(replace(question, rest=str(path)))

    for source in NAMED[:-1]:
        monkeypatch.setattr(source, "find", partial(refuse, []))
    monkeypatch.setattr(NAMED[-1], "find", found)
    assert load("app:1", tmp_path / "w").reference == f"{NAMED[-1].SCHEME}:app:1"


def test_a_broken_image_is_not_looked_for_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(question: Question) -> Stored:
        raise BadImageError("cannot read it: broken")

    monkeypatch.setattr(NAMED[0], "find", broken)
    with pytest.raises(BadImageError, match="cannot read it: broken"):
        load("app:1", tmp_path)


def test_an_engine_that_does_not_answer_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")  # the SDK leaks the socket of a missing unix:// one
    with pytest.raises(
        ImageNotFoundError, match="cannot read docker:app:1: the docker engine does not answer"
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
