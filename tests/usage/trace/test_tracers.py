"""What each tracer sees of a program that uses files in every way; docs/tracing.md shows the same table."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from mlbloat.errors import EngineError, UsageError
from mlbloat.model.use import Action
from mlbloat.usage.trace import tracers
from tests.support import sandbox
from tests.support.sandbox import HOST, python

_DOCUMENT = Path(__file__).parents[3] / "docs" / "tracing.md"

_PROGRAM = """
import os, stat, subprocess, sys
os.makedirs("/srv/w/dir/sub"); os.chdir("/srv/w")
for name in ("read", "target", "stat", "access", "chmod", "old", "gone", "dir/at", "dir/listed", "dir/sub/x"):
    os.mknod(name, 0o600 | stat.S_IFREG)  # without opening it
open("script", "w").write("#!/bin/sh\\nexit 0\\n"); os.chmod("script", 0o755)
os.symlink("target", "link")
pid = os.fork()
if pid == 0:
    open("read").close(); open("link").close(); os.stat("stat"); os.access("access", os.R_OK)
    os.readlink("link"); os.chmod("chmod", 0o600); os.rename("old", "new"); open("gone").close(); os.unlink("gone")
    at = os.open("dir", os.O_PATH); open(os.open("at", os.O_RDONLY, dir_fd=at)).close(); os.listdir("dir/sub")
    try: open("missing")
    except OSError: pass
    subprocess.run(["/srv/w/script"], check=True)
    os._exit(0)
sys.exit(os.waitpid(pid, 0)[1])
"""

_KINDS: Mapping[str, tuple[str, set[Action]]] = {
    "opened": ("read", {Action.OPENED}),
    "opened through a link": ("target", {Action.OPENED}),
    "the link itself": ("link", {Action.OPENED, Action.LOOKED_UP}),
    "opened below a directory descriptor": ("dir/at", {Action.OPENED}),
    "opened, then deleted": ("gone", {Action.OPENED}),
    "script executed": ("script", {Action.EXECUTED}),
    "directory listed": ("dir/sub", {Action.LISTED}),
    "`stat`": ("stat", {Action.LOOKED_UP}),
    "`access`": ("access", {Action.LOOKED_UP}),
    "mode changed": ("chmod", {Action.CHANGED}),
    "renamed": ("old", {Action.CHANGED}),
    "looked for, not there": ("missing", {Action.OPENED, Action.LOOKED_UP}),
}


def _seen(tracer: str, scratch: Path) -> dict[str, bool]:
    recorder = tracers.choose(tracer).Recorder()
    outcome = sandbox.engine("embedded").run(python(_PROGRAM, directory="/"), HOST, scratch, recorder)
    assert (outcome.exit, outcome.stderr) == (0, b"")
    accesses = {(access.path.removeprefix("/srv/w/"), access.action) for access in recorder.accesses()}
    return {kind: any((name, action) in accesses for action in actions) for kind, (name, actions) in _KINDS.items()}


def _documented(tracer: str) -> dict[str, bool]:
    lines = [line.strip("|").split("|") for line in _DOCUMENT.read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line] for line in lines]
    head = next(row for row in rows if row[0] == "access")
    column = head.index(f"`{tracer}`")
    return {row[0]: row[column] == "yes" for row in rows if row[0] in _KINDS}


@pytest.mark.sandbox
@pytest.mark.parametrize("tracer", [tracer.name for tracer in tracers.TRACERS])
def test_the_documented_table_is_what_each_tracer_sees(tracer: str, tmp_path: Path) -> None:
    if tracer == "fanotify" and sandbox.in_chroot():
        with pytest.raises(EngineError, match=r"in a chroot .* take seccomp"):
            tracers.choose(tracer)
        return
    problem = tracers.choose(tracer).problem()
    assert not problem
    assert _seen(tracer, tmp_path) == _documented(tracer)


def test_what_a_tracer_cannot_see_reaches_the_report() -> None:
    for tracer in tracers.TRACERS:
        flags = tracer.Recorder().flags()
        assert flags == ((tracer.BLIND,) if tracer.BLIND else ())


def test_a_tracer_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no tracer of that name; take auto, seccomp, fanotify"):
        tracers.choose("dtrace")
    for name in ("fuse", "strace"):
        with pytest.raises(UsageError, match=f"cannot trace with {name}: .* not part of this version"):
            tracers.choose(name)


def test_fanotify_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(EngineError, match="cannot trace here: fanotify: it needs root"):
        tracers.choose("fanotify")
