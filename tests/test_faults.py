"""A slim image is there as a whole or not at all: full disks, size limits, engines that refuse, Ctrl-C."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlbloat import pipeline
from mlbloat.errors import BadImageError, PublishError
from mlbloat.pipeline import Request
from mlbloat.runtime import workers
from mlbloat.slim import SlimOptions
from tests.support import engines, images, runnable


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return runnable.archive(tmp_path / "app.tar")


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Path]:
    """Where temporary files go; nothing is left there."""
    directory = tmp_path / "space"
    directory.mkdir()
    yield directory
    assert list(directory.iterdir()) == []


def command(space: Path, *words: object, limit_blocks: int = 0) -> subprocess.Popen[str]:
    """Start mlbloat, with a limit on the size of files in blocks of 512 bytes."""
    script = f'ulimit -f {limit_blocks}; exec "$@"' if limit_blocks else 'exec "$@"'
    return subprocess.Popen(
        ("sh", "-c", script, "sh", sys.executable, "-m", "mlbloat", *map(str, words)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(space), "PYTHONDONTWRITEBYTECODE": "1"},
        start_new_session=True,
    )


@pytest.mark.parametrize("scheme", ["oci-archive", "docker-archive", "oci-dir"])
def test_a_place_that_cannot_hold_the_image_holds_what_it_held(
    archive: Path, space: Path, tmp_path: Path, scheme: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if scheme != "oci-dir":
        (out / "slim").write_text("before")
    # The image has more than 1 MB; the scratch directory is under the same limit, so one of the two is met first.
    process = command(space, "slim", archive, "-t", f"{scheme}:{out}/slim", "--no-cache", limit_blocks=400)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "File too large" in stderr and stderr.startswith("mlbloat: cannot ")
    assert [path.name for path in out.iterdir()] == (["slim"] if scheme != "oci-dir" else [])
    assert scheme == "oci-dir" or (out / "slim").read_text() == "before"


@pytest.mark.parametrize("delay", [0.3, 0.8, 1.2])
def test_an_interrupt_leaves_the_whole_image_or_none(archive: Path, space: Path, tmp_path: Path, delay: float) -> None:
    out = tmp_path / "out"
    out.mkdir()
    options = ("--restore", f"oci-archive:{out}/whole", "--sbom", f"{out}/sbom", "--no-cache")
    process = command(space, "slim", archive, "-t", f"oci-archive:{out}/slim", *options)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=300)
    # Before Python is up, it dies of the signal itself, or says that it cannot start.
    assert process.returncode in (0, 130, -signal.SIGINT) or "Fatal Python error: init" in stderr
    left = {path.name for path in out.iterdir()}
    assert left <= {"whole", "slim", "sbom"}
    assert "whole" in left or "slim" not in left
    for name in left & {"whole", "slim"}:
        assert pipeline.scan(Request(reference=f"oci-archive:{out}/{name}")).totals.files


def test_a_way_back_that_cannot_be_written_keeps_the_slim_image_from_being_published(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlbloat import slim

    publish = slim.publish

    def full(layout: Path, destination: slim.Destination) -> str:
        if "whole" in str(destination):
            raise PublishError(f"cannot write to {destination}: No space left on device")
        return publish(layout, destination)

    monkeypatch.setattr(slim, "publish", full)
    wanted = SlimOptions(restore=f"oci-archive:{tmp_path}/whole.tar")
    with pytest.raises(PublishError, match="No space left on device"):
        pipeline.slim(Request(reference=str(archive)), f"oci-archive:{tmp_path}/slim.tar", wanted=wanted)
    assert not (tmp_path / "slim.tar").exists()


def test_a_layer_that_is_another_than_the_cache_knows_is_found_beside_and_publishes_nothing(
    archive: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_LEAST_TO_START", 1)
    monkeypatch.setattr(workers, "_can_fork", lambda: True)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr("tempfile.tempdir", str(space))
    request = Request(reference=str(archive), cache=tmp_path / "cache")
    places = [f"oci-dir:{tmp_path}/{name}" for name in ("first", "second", "third")]
    digests = [pipeline.slim(request, place).report.slim for place in places[:2]]
    assert digests[0] is not None and digests[1] is not None
    assert digests[0].digest == digests[1].digest
    with tarfile.open(archive) as tar:
        layer = max(tar, key=lambda member: member.size)
    with archive.open("r+b") as file:
        file.seek(layer.offset_data + layer.size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(BadImageError, match="pull or save the image again"):
        pipeline.slim(request, places[2])
    assert not (tmp_path / "third").exists()
    assert not multiprocessing.active_children()


@pytest.mark.engine
def test_an_engine_that_refuses_an_image_moves_no_tag(space: Path, tmp_path: Path) -> None:
    client = engines.docker_client()
    name = f"mlbloat-faults/{os.getpid()}:slim"
    odd = images.oci_archive(
        tmp_path / "odd.tar", [{"/a": "a", "/b": "b"}], config={"Cmd": ["/a"]}, extra={"os": "plan9"}
    )
    process = command(space, "slim", odd, "-t", f"docker:{name}", "--no-cache")
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 1
    assert stderr.startswith(f"mlbloat: cannot load {name} into docker: ")
    assert client.images.list(name=name) == []
    client.close()
