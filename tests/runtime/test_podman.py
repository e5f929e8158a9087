"""Podman by its program: what is asked of it, and what its answers mean. test_stores.py asks the real one."""

import os
from pathlib import Path

import pytest

from mlbloat.runtime import podman
from mlbloat.runtime.podman import NoSuchImageError
from mlbloat.runtime.program import ProgramError

SCRIPT = """#!/bin/sh
echo "$@" >>"$0.asked"
case "$1 $2" in
"image inspect") [ "$4" = app:1 ] && echo '[{"Id": "1", "Digest": "sha256:2"}]' && exit
    echo "Error: $4: image not known" >&2; exit 125 ;;
"save --quiet") printf archive ;;
"load --quiet") cat >"$0.loaded" ;;
*) echo "Error: no space left" >&2; exit 125 ;;
esac
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of podman; no service answers."""
    path = tmp_path / "podman"
    path.write_text(SCRIPT)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CONTAINER_HOST", raising=False)
    monkeypatch.setattr(podman, "_sockets", lambda: ())
    return path


def asked(program: Path) -> list[str]:
    return Path(f"{program}.asked").read_text().splitlines()


def test_the_program_is_asked_where_no_service_answers(program: Path) -> None:
    found = podman.find(1)
    assert found.inspect("app:1") == {"Id": "1", "Digest": "sha256:2"}
    assert b"".join(found.save("app:1")) == b"archive"
    found.load([b"an ", b"archive"])
    assert Path(f"{program}.loaded").read_text() == "an archive"
    assert asked(program) == [
        "image inspect -- app:1",
        "save --quiet --format docker-archive -- app:1",
        "load --quiet",
    ]


def test_an_image_that_is_not_there_is_told_from_a_failure(program: Path) -> None:
    with pytest.raises(NoSuchImageError):
        podman.find(1).inspect("--other")
    program.write_text('#!/bin/sh\necho "Error: no space left" >&2; exit 125\n')
    with pytest.raises(ProgramError, match="no space left"):
        podman.find(1).inspect("app:1")
    program.write_text("#!/bin/sh\necho '[]'\n")
    with pytest.raises(ProgramError, match="is not understood"):
        podman.find(1).inspect("app:1")


def test_a_service_over_ssh_is_left_to_the_program(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_HOST", "ssh://core@host/run/podman/podman.sock")
    with pytest.raises(ProgramError, match="no space left"):
        b"".join(podman.find(1).save("app:1"))
    assert asked(program) == ["--remote save --quiet --format docker-archive -- app:1"]


def test_a_socket_that_nobody_listens_at_is_passed_over(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "podman.sock").touch()

    def silent(service: object) -> None:
        raise ProgramError("connection refused")

    monkeypatch.setattr(podman, "_sockets", lambda: (str(tmp_path / "podman.sock"),))
    monkeypatch.setattr(podman, "_asked", silent)
    assert podman.find(1).inspect("app:1")["Id"] == "1"
    assert asked(program) == ["image inspect -- app:1"]


def test_no_podman_at_all_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTAINER_HOST", raising=False)
    monkeypatch.setattr(podman, "_sockets", lambda: ())
    monkeypatch.setattr("mlbloat.runtime.program.find", lambda _: None)
    with pytest.raises(ProgramError, match="podman is not installed, and no service of it answers"):
        podman.find(1)
