"""Runs that go wrong in every engine: a clear result, and nothing left behind."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from mlbloat import runtime
from mlbloat.errors import EngineError, RunError
from mlbloat.model.conditions import Conditions
from mlbloat.model.container import Container
from mlbloat.runtime import Engine, process
from tests.support import sandbox
from tests.support.leftovers import Leftovers
from tests.support.sandbox import container
from tests.support.trees import tree_of

_ENGINES = [
    pytest.param("embedded", marks=pytest.mark.sandbox),
    *(pytest.param(name, marks=pytest.mark.engine) for name in ("runc", "docker", "podman")),
]


@pytest.fixture(params=_ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return sandbox.engine(str(request.param))


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "rootfs"
    runtime.unpack(tree_of(sandbox.shell_files("/bin/sh", "/bin/cat", "/bin/sleep", "/usr/bin/head")), path)
    return path


def _sh(script: str, conditions: Conditions | None = None) -> Container:
    return replace(container("/bin/sh", "-c", script, timeout_seconds=300), conditions=conditions or Conditions())


def test_a_command_starts_with_no_signal_held_back_or_ignored(engine: Engine, rootfs: Path, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)  # as in a background job of a shell
    try:
        status = engine.run(container("/bin/cat", "/proc/self/status"), rootfs, tmp_path).stdout.decode()
    finally:
        signal.signal(signal.SIGQUIT, before)
    signals = {line[:6]: int(line[8:], 16) for line in status.splitlines() if line.startswith("Sig")}
    standard = (1 << 31) - 1  # what the C library keeps for itself comes after these, and nobody may set it
    assert (signals["SigBlk"] & standard, signals["SigIgn"] & standard) == (0, 0)


def test_a_run_that_fills_the_disk_is_ended_before_it_is_full(
    engine: Engine, rootfs: Path, tmp_path: Path, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nearly_all(directory: str) -> int:
        found = os.statvfs(directory)
        return found.f_bavail * found.f_frsize - (16 << 20)

    if "held in memory" in " ".join(engine.run(_sh("echo"), rootfs, tmp_path).flags):
        pytest.skip("this directory cannot hold an overlay, so that runs write to memory")
    monkeypatch.setattr(process, "least_free_bytes", nearly_all)
    with pytest.raises(RunError, match=r"cannot run '/bin/sh': the disk of .* was nearly full, so the run was ended"):
        engine.run(_sh("head -c 1500000000 /dev/zero > /tmp/large; sleep 600"), rootfs, tmp_path)
    leftovers.check()


def test_a_long_log_is_cut_and_its_end_is_kept(
    engine: Engine, rootfs: Path, tmp_path: Path, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "OUTPUT_LIMIT_BYTES", 1 << 20)
    outcome = engine.run(_sh("head -c 30000000 /dev/zero; echo last; echo error >&2"), rootfs, tmp_path)
    assert (outcome.exit, len(outcome.stdout), outcome.stderr) == (0, 1 << 20, b"error\n")
    assert outcome.stdout.endswith(b"\0last\n")
    assert "only the first 1 MiB of stdout were kept, and its last lines" in outcome.flags
    leftovers.check()


def test_a_run_that_uses_more_memory_than_it_has_is_killed_and_told(
    engine: Engine, rootfs: Path, tmp_path: Path, leftovers: Leftovers
) -> None:
    eats = "exec 2> /dev/null; text=0123456789; while :; do text=$text$text; done"
    outcome = engine.run(_sh(eats, Conditions(memory_bytes=64 << 20)), rootfs, tmp_path)
    flags = " ".join(outcome.flags)
    if "did not hold" not in flags:
        assert outcome.exit == 137
        told = "a process of it was killed, because it used more than 64 MiB of memory; raise `memory`" in flags
        assert told or engine.name == "podman"  # it does not always note why, and its control group is gone soon
    leftovers.check()


def test_what_it_leaves_in_the_background_ends_with_it(
    engine: Engine, rootfs: Path, tmp_path: Path, leftovers: Leftovers
) -> None:
    script = "trap '' TERM HUP; (trap '' TERM HUP; while :; do sleep 1; done) > /dev/null 2>&1 & echo started"
    outcome = engine.run(_sh(script), rootfs, tmp_path)
    assert (outcome.exit, outcome.stdout, outcome.timed_out) == (0, b"started\n", False)
    leftovers.check()


@pytest.mark.engine
@pytest.mark.parametrize("name", ["runc", "podman"])
def test_a_runtime_that_fails_before_anything_starts_is_told(
    name: str, rootfs: Path, tmp_path: Path, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sandbox.engine(name)
    leftovers.scratch = tmp_path / "scratch"
    leftovers.scratch.mkdir()
    sandbox.break_runtimes(tmp_path, monkeypatch)
    with pytest.raises(EngineError, match=f"cannot start a container: {name} says: "):
        engine.run(_sh("echo never"), rootfs, leftovers.scratch)
    monkeypatch.undo()
