"""Reading an image that is interrupted or finds the disk full: nothing is left, and the next run does not care."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import images

_INTERRUPTED = """
import os, signal, sys
from mlbloat.cli import talk
def progress(self, what, done, total):
    if done > 1 << 20:
        os.kill(os.getpid(), signal.SIGINT)
talk.Talker.progress = progress
from mlbloat.__main__ import main
main()
"""


def _scan(
    image: Path, space: Path, program: str, *, file_bytes: int = resource.RLIM_INFINITY
) -> subprocess.CompletedProcess[str]:
    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.RLIM_INFINITY))

    (space / "tmp").mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(space / "tmp"), "XDG_CACHE_HOME": str(space / "cache")}
    return subprocess.run(
        [sys.executable, "-c", program, "scan", str(image), "-o", f"json={space}/report.json"],
        capture_output=True,
        text=True,
        env=environment,
        preexec_fn=prepare,
    )


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Three layers of 8 MiB that do not compress."""
    layers: list[images.Members] = [{f"/{number}": os.urandom(8 << 20)} for number in range(3)]
    return images.oci_archive(tmp_path / "large.tar", layers)


_PLAIN = "from mlbloat.__main__ import main\nmain()"
_WITHOUT_CACHE = "import os\nos.environ['MLBLOAT_NO_CACHE'] = '1'\n" + _PLAIN


def _assert_nothing_partial_is_kept(image: Path, space: Path) -> None:
    """The next run may find whole layers in the cache; what it says of the image is what a run without it says."""
    reports = []
    for program in (_PLAIN, _WITHOUT_CACHE):
        ended = _scan(image, space, program)
        assert (ended.returncode, ended.stderr) == (0, "")
        reports.append((space / "report.json").read_bytes())
    assert reports[0] == reports[1]


def test_ctrl_c_in_the_middle_of_a_layer_leaves_nothing_and_ends_at_once(large: Path, tmp_path: Path) -> None:
    ended = _scan(large, tmp_path, _INTERRUPTED)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == "mlbloat: interrupted; its containers, mounts and temporary files are gone\n"
    assert not list((tmp_path / "tmp").iterdir())
    assert not (tmp_path / "report.json").exists()
    _assert_nothing_partial_is_kept(large, tmp_path)


def test_a_full_disk_in_the_middle_of_a_layer_is_one_line_and_leaves_nothing(large: Path, tmp_path: Path) -> None:
    ended = _scan(large, tmp_path, _PLAIN, file_bytes=3 << 20)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"mlbloat: cannot read {large}: File too large")
    assert ended.stderr.endswith("set TMPDIR to one with more space\n")
    assert len(ended.stderr.splitlines()) == 1
    assert not list((tmp_path / "tmp").iterdir())
    _assert_nothing_partial_is_kept(large, tmp_path)
