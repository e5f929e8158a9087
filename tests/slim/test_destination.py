"""Destinations are understood, or refused with what works, before any work."""

import os
from pathlib import Path

import pytest

from mlbloat.errors import PublishError, UsageError
from mlbloat.slim import check_destination, parse_destination, usual_method
from mlbloat.slim.compress import GZIP, Method


@pytest.mark.parametrize(
    ("text", "scheme", "path", "tag", "again"),
    [
        ("oci-archive:/tmp/a.tar", "oci-archive", "/tmp/a.tar", "", "oci-archive:/tmp/a.tar"),
        ("oci-archive:///tmp/a.tar", "oci-archive", "/tmp/a.tar", "", "oci-archive:/tmp/a.tar"),
        ("oci-archive:a.tar:v1", "oci-archive", "a.tar", "v1", "oci-archive:a.tar:v1"),
        ("oci-archive:a.tar:my/app:v1", "oci-archive", "a.tar", "my/app:v1", "oci-archive:a.tar:my/app:v1"),
        ("oci-dir:out/image", "oci-dir", "out/image", "", "oci-dir:out/image"),
        ("docker-archive:a.tar", "docker-archive", "a.tar", "", "docker-archive:a.tar"),
        ("docker-archive:a.tar:my/app:v1", "docker-archive", "a.tar", "my/app:v1", "docker-archive:a.tar:my/app:v1"),
        ("docker-archive:a.tar:app", "docker-archive", "a.tar", "app:latest", "docker-archive:a.tar:app:latest"),
        ("docker:my/app:v1", "docker", None, "my/app:v1", "docker:my/app:v1"),
        (
            "registry:host.example/my/app:v1",
            "registry",
            None,
            "host.example/my/app:v1",
            "registry:host.example/my/app:v1",
        ),
        ("registry://app", "registry", None, "app:latest", "registry:app:latest"),
        ("docker:host.example:5000/app", "docker", None, "host.example:5000/app:latest", None),
    ],
)
def test_a_destination_is_read(text: str, scheme: str, path: str | None, tag: str, again: str | None) -> None:
    destination = parse_destination(text)
    assert destination.scheme == scheme
    assert destination.path == (None if path is None else Path(path))
    assert destination.tag == tag
    assert str(destination) == (again or "docker:host.example:5000/app:latest")


@pytest.mark.parametrize("source", ["docker:app:1", "podman://app:1"])
def test_a_bare_tag_means_the_engine_that_the_image_came_from(source: str) -> None:
    assert str(parse_destination("my/app:slim", source=source)) == f"{source.partition(':')[0]}:my/app:slim"


@pytest.mark.parametrize("source", ["app:1", "host.example/app"])
def test_a_bare_tag_waits_until_it_is_known_which_engine_has_the_image(source: str) -> None:
    destination = parse_destination("my/app:slim", source=source)
    assert (destination.scheme, destination.tag) == ("", "my/app:slim")
    check_destination(destination)


@pytest.mark.parametrize("source", ["oci-archive:/tmp/a.tar", "dir:/tmp", "", "./a.tar", "/tmp"])
def test_a_bare_tag_is_refused_when_the_image_came_from_a_file(source: str) -> None:
    with pytest.raises(UsageError, match="came from no engine that could hold a tag; use docker:NAME:TAG"):
        parse_destination("my/app:slim", source=source)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("containerd:app", "containerd: is not possible yet; use docker:NAME:TAG, podman:NAME:TAG"),
        ("podman:Upper", "in lower case"),
        ("registry:host.example/app@sha256:" + "0" * 64, "is not an image name"),
        ("dir:/tmp/x", "dir: is not possible yet"),
        ("/tmp/a.tar", "write oci-archive:/tmp/a.tar"),
        ("a.tar", "write oci-archive:a.tar"),
        ("docker:", "is not an image name"),
        ("docker:Upper:1", "in lower case"),
        ("docker:a@sha256:" + "0" * 64, "is not an image name"),
        ("docker-archive:a.tar:Not A Name", "is not an image name"),
        ("oci-archive:", "no file is named"),
        ("oci-archive:a.tar:no good", "is not a tag"),
        ("two words", "not a destination"),
        ("", "not a destination"),
    ],
)
def test_what_is_no_destination_is_refused_with_what_works(text: str, why: str) -> None:
    with pytest.raises(UsageError, match="cannot write to ") as raised:
        parse_destination(text, source="docker:app:1")
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_engine_that_cannot_hold_it_yet_is_named() -> None:
    with pytest.raises(UsageError, match="containerd: is not possible yet"):
        parse_destination("app:slim", source="containerd:app:1")


def test_a_place_that_can_be_written_passes(tmp_path: Path) -> None:
    (tmp_path / "old.tar").write_bytes(b"replaced later")
    (tmp_path / "empty").mkdir()
    for text in (f"oci-archive:{tmp_path}/new.tar", f"oci-archive:{tmp_path}/old.tar", f"oci-dir:{tmp_path}/empty"):
        check_destination(parse_destination(text))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("oci-archive:{}/no/a.tar", "there is no directory .*/no; make it"),
        ("oci-archive:{}/full", "it is a directory; name a file in it"),
        ("oci-dir:{}/full", "it exists already"),
        ("oci-dir:{}/full/file", "it exists already"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("x")
    with pytest.raises(PublishError, match=why):
        check_destination(parse_destination(text.format(tmp_path)))


def test_a_device_or_pipe_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PublishError, match="it is no regular file"):
        check_destination(parse_destination(f"oci-archive:{tmp_path}/pipe"))


@pytest.mark.parametrize(
    "source", ["{file}", "oci-archive:{file}", "docker-archive://{file}", "oci-archive:{file}:tag"]
)
def test_a_slim_image_never_replaces_the_file_it_is_made_from(tmp_path: Path, source: str) -> None:
    file = tmp_path / "app.tar"
    file.write_bytes(b"the original")
    again = parse_destination(f"oci-archive:{tmp_path}/../{tmp_path.name}/app.tar")
    with pytest.raises(PublishError, match="it is the image that is being read"):
        check_destination(again, source=source.format(file=file))
    check_destination(again, source="docker:app:1")


@pytest.mark.parametrize(
    ("places", "method"),
    [
        (["docker:a:1"], GZIP),
        (["oci-archive:a", "docker-archive:b"], GZIP),
        (["oci-archive:a", "oci-dir:b"], None),
    ],
)
def test_zstd_is_not_what_docker_gets_unasked(places: list[str], method: Method | None) -> None:
    assert usual_method(map(parse_destination, places)) == method


@pytest.mark.parametrize("scheme", ["oci-archive", "docker-archive", "oci-dir"])
def test_a_directory_that_takes_no_files_is_noticed_before_any_work(scheme: str) -> None:
    with pytest.raises(PublishError, match=rf"cannot write to {scheme}:/proc/x: .*choose another"):
        check_destination(parse_destination(f"{scheme}:/proc/x"))


def test_a_name_that_no_file_can_have_is_noticed_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="File name too long; choose another place"):
        check_destination(parse_destination(f"oci-archive:{tmp_path}/{'n' * 250}"))
    check_destination(parse_destination(f"oci-archive:{tmp_path}/fine.tar"))
    assert not list(tmp_path.iterdir())
