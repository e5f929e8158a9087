"""Everything that runs an image also works for a user without privileges, in a user namespace, or says why not."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlbloat import runtime
from mlbloat.image import load, squash
from tests.support import runnable, unprivileged

pytestmark = pytest.mark.sandbox

_NAMESPACE = "the container ran in a user namespace, where every file belongs to its one user"
_NONE = "mlbloat: cannot run containers here: runc: it needs root with the capability SYS_ADMIN"
_WHY = (
    "embedded: this process may create neither namespaces nor user namespaces, nor change its root; run as root, allow"
)
_SERVICE = """
profile:
  - name: serve
    run: [/bin/sh, -c, "echo up; while :; do sleep 1; done"]
    ready: {log: up, timeout_seconds: 300}
    exec: [{run: [/app/check], expect: {stdout: another input}}]
    stop: {signal: KILL}
"""


def _ran(space: Path, *words: object) -> subprocess.CompletedProcess[str] | None:
    """Run mlbloat; None when the kernel lets no user make a namespace, and mlbloat said so."""
    done = unprivileged.run(space, *words)
    if unprivileged.may_have_namespaces():
        assert done.returncode == 0, done.stderr
        assert list((space / "tmp").iterdir()) == []
        return done
    assert done.returncode == 1
    assert done.stderr.startswith(_NONE)
    assert _WHY in done.stderr
    return None


@pytest.fixture
def space() -> Iterator[Path]:
    """A directory of that user, with an image in it; those of pytest are of the one that runs the tests alone."""
    with tempfile.TemporaryDirectory() as directory:
        runnable.archive(Path(directory, "app.tar"))
        yield Path(directory)


def test_a_user_traces_an_archive_and_has_the_whole_profile(space: Path) -> None:
    asked = (f"oci-archive:{space}/app.tar", "-t", f"{space}/usage.json", "--", "/app/check")
    if _ran(space, "trace", *asked) is None:
        return
    (run,) = json.loads((space / "usage.json").read_text())["runs"]
    assert (run["engine"], run["tracer"], run["exit"], run["flags"]) == ("embedded", "seccomp", 0, [_NAMESPACE])
    named = json.dumps(run)
    assert all(f'{path}"' in named for path in ("/app/check", "bin/cat", "/app/other", "bin/sh"))


def test_a_user_scans_a_directory_of_its_own(space: Path, tmp_path: Path) -> None:
    image = load(str(space / "app.tar"), tmp_path)
    runtime.unpack(squash(image), space / "rootfs")
    done = _ran(space, "scan", f"dir:{space}/rootfs", "-o", "json", "--", "/app/check")
    if done is not None:
        report = json.loads(done.stdout)
        assert report["evidence"]["runs"][0]["engine"] == "embedded"
        assert _NAMESPACE in " ".join(report["evidence"]["flags"])
        assert 0 < report["totals"]["used_bytes"] < report["totals"]["size_bytes"]


def test_a_user_profiles_a_service(space: Path) -> None:
    (space / "workload.yaml").write_text(_SERVICE)
    asked = (f"oci-archive:{space}/app.tar", "-w", f"{space}/workload.yaml", "-t", f"{space}/usage.json")
    if _ran(space, "trace", *asked) is not None:
        (run,) = json.loads((space / "usage.json").read_text())["runs"]
        assert '"/app/other"' in json.dumps(run)


def test_a_user_slims_and_verifies_an_archive(space: Path) -> None:
    asked = (f"oci-archive:{space}/app.tar", "-t", f"oci-archive:{space}/slim.tar", "-o", "json", "--", "/app/check")
    done = _ran(space, "slim", *asked)
    if done is not None:
        assert json.loads(done.stdout)["verdict"]["passed"]


def test_a_file_that_the_user_may_not_read_is_named(space: Path, tmp_path: Path) -> None:
    runtime.unpack(squash(load(str(space / "app.tar"), tmp_path)), space / "rootfs")
    (space / "rootfs/app/other").chmod(0)
    done = unprivileged.run(space, "scan", f"dir:{space}/rootfs", "--", "/app/check")
    assert done.returncode in (1, 4)
    assert "no permission" in done.stderr and done.stderr.endswith(
        "/rootfs/app/other; run as a user that may read it\n"
    )
