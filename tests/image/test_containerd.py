"""Containerd by `ctr` or `nerdctl`: what is asked of them. The real one is in tests/image/test_stores.py."""

import os
from pathlib import Path

import pytest

from mlbloat.errors import ImageNotFoundError
from mlbloat.image import containerd, load
from mlbloat.image.containerd import full_name
from tests.support import images

CTR = """#!/bin/sh
echo "$@" >>"$0.asked"
case "$*" in
*"images ls -q") echo docker.io/library/app:1; echo plain:2 ;;
*"images export"*) cat "$0.tar" ;;
*save*) cat "$0.tar" ;;
esac
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `ctr` of our own, over one image; its containerd is at a path that exists."""
    path = tmp_path / "ctr"
    path.write_text(CTR)
    path.chmod(0o755)
    images.oci_archive(Path(f"{path}.tar"), [{"/a": b"x"}])
    (tmp_path / "sock").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CONTAINERD_ADDRESS", f"{tmp_path}/sock")
    monkeypatch.setenv("CONTAINERD_NAMESPACE", "k8s.io")
    return path


def asked(program: Path) -> list[str]:
    """What the program was asked for, after the address and the namespace."""
    start = f"--address {program.parent}/sock --namespace k8s.io "
    return [line.removeprefix(start) for line in Path(f"{program}.asked").read_text().splitlines()]


@pytest.mark.parametrize(("name", "held"), [("app:1", "docker.io/library/app:1"), ("plain:2", "plain:2")])
def test_a_name_is_looked_for_as_it_is_and_in_full(tmp_path: Path, program: Path, name: str, held: str) -> None:
    assert len(load(f"containerd:{name}", tmp_path / "w").layers) == 1
    assert asked(program) == ["images ls -q", f"images export - {held}"]


def test_a_platform_is_handed_on(tmp_path: Path, program: Path) -> None:
    load("containerd:app:1", tmp_path / "w", platform="linux/amd64")
    assert asked(program)[1] == "images export --platform linux/amd64 - docker.io/library/app:1"


def test_a_name_that_is_not_there_is_said_so_with_its_namespace(tmp_path: Path, program: Path) -> None:
    with pytest.raises(ImageNotFoundError) as error:
        load("containerd:other", tmp_path / "w")
    assert str(error.value) == (
        "cannot find containerd:other: no such image in containerd's namespace k8s.io; "
        "ctr -n k8s.io images pull docker.io/library/other:latest first, or set CONTAINERD_NAMESPACE"
    )
    assert asked(program) == ["images ls -q"]


def test_nerdctl_is_taken_where_ctr_is_not_installed(
    tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.rename(tmp_path / "nerdctl")
    Path(f"{program}.tar").rename(tmp_path / "nerdctl.tar")
    monkeypatch.setattr(containerd, "find_program", lambda name: None if name == "ctr" else name)
    load("containerd:app:1", tmp_path / "w")
    assert asked(tmp_path / "nerdctl") == ["save -- app:1"]


def test_neither_program_or_no_containerd_is_said_so(
    tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containerd, "find_program", lambda _: None)
    with pytest.raises(ImageNotFoundError, match="neither ctr nor nerdctl is installed"):
        load("containerd:app:1", tmp_path / "w")
    monkeypatch.setenv("CONTAINERD_ADDRESS", "/no/such/sock")
    with pytest.raises(ImageNotFoundError, match="no containerd for this user at /no/such/sock; start it, be root, or"):
        load("containerd:app:1", tmp_path / "w")
    assert program.exists()


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("app", "docker.io/library/app:latest"),
        ("me/app:1", "docker.io/me/app:1"),
        ("host.example/app", "host.example/app:latest"),
        ("localhost/app:1", "localhost/app:1"),
        ("host:5000/app", "host:5000/app:latest"),
        ("app@sha256:0", "docker.io/library/app@sha256:0"),
    ],
)
def test_names_are_written_in_full(name: str, full: str) -> None:
    assert full_name(name) == full
