"""What each tracer sees of a program that uses files in every way; docs/tracing.md shows the same table."""

import os
import posixpath
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from mlbloat import runtime
from mlbloat.errors import EngineError, UsageError
from mlbloat.model.container import Container
from mlbloat.model.use import Action
from mlbloat.runtime import embedded
from mlbloat.usage.trace import tracers
from tests.support import sandbox
from tests.support.sandbox import python
from tests.support.trees import Link, tree_of

_DOCUMENT = Path(__file__).parents[3] / "docs" / "tracing.md"

_FILES: Mapping[str, bytes | str | None] = {
    **{
        f"/w/{name}": name
        for name in """read target behind stat lstat access chmod owner times old gone cut linked replaced replacement
            path append mapped xattr dir/at dir/sub/x listed/x spawned state""".split()
    },
    "/w/script": "#!/bin/sh\nexit 0\n",
    "/w/link": Link("target"),
    "/w/read-link": Link("nowhere"),
    "/w/way": Link("dir"),
    "/w/entered/x": "",
}

_PROGRAM = """
import mmap, os, sys
os.chdir("/w")
def tried(do, *arguments):
    try: do(*arguments)
    except OSError: pass
open("read").close(); open("link").close(); open("way/at").close(); open("append", "a").close()
with open("mapped", "rb") as file: mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ).close()
os.stat("stat"); os.lstat("lstat"); os.access("access", os.R_OK); os.readlink("read-link"); os.statvfs("state")
tried(os.getxattr, "xattr", "user.a")
os.chmod("chmod", 0o600); os.chown("owner", 0, 0); os.utime("times"); os.truncate("cut", 1)
os.rename("old", "new"); os.link("linked", "second"); os.replace("replacement", "replaced")
open("gone").close(); os.unlink("gone")
os.close(os.open("path", os.O_PATH))
at = os.open("dir", os.O_PATH); os.close(os.open("sub/x", os.O_RDONLY, dir_fd=at))
os.listdir("listed"); os.chdir("entered"); os.chdir("/w")
tried(open, "missing")
os.waitpid(os.posix_spawn("/w/script", ["script"], {}), 0)
if os.fork() == 0: os.close(os.open("spawned", os.O_RDONLY)); os._exit(0)
os.wait()
"""

_ANY = set(Action)
_KINDS: Mapping[str, tuple[str, set[Action]]] = {
    "opened": ("read", {Action.OPENED}),
    "opened through a link": ("target", {Action.OPENED}),
    "the link itself": ("link", {Action.OPENED, Action.LOOKED_UP}),
    "opened through a link to a directory": ("dir/at", {Action.OPENED}),
    "opened below a directory descriptor": ("dir/sub/x", {Action.OPENED}),
    "opened to append": ("append", {Action.OPENED}),
    "opened with O_PATH": ("path", {Action.OPENED, Action.LOOKED_UP}),
    "mapped into memory": ("mapped", {Action.OPENED}),
    "opened, then deleted": ("gone", {Action.OPENED}),
    "opened by a child process": ("spawned", {Action.OPENED}),
    "script executed": ("script", {Action.EXECUTED}),
    "directory listed": ("listed", {Action.LISTED}),
    "directory entered": ("entered", {Action.LOOKED_UP}),
    "`stat`": ("stat", {Action.LOOKED_UP}),
    "`lstat`": ("lstat", {Action.LOOKED_UP}),
    "`access`": ("access", {Action.LOOKED_UP}),
    "`readlink`": ("read-link", {Action.LOOKED_UP}),
    "`statfs`": ("state", {Action.LOOKED_UP}),
    "extended attribute": ("xattr", {Action.LOOKED_UP}),
    "mode changed": ("chmod", _ANY),
    "owner changed": ("owner", _ANY),
    "times changed": ("times", _ANY),
    "truncated": ("cut", _ANY),
    "renamed": ("old", _ANY),
    "hard link made": ("linked", _ANY),
    "replaced": ("replaced", _ANY),
    "looked for, not there": ("missing", {Action.OPENED, Action.LOOKED_UP}),
}


def _seen(tracer: str, scratch: Path) -> dict[str, bool]:
    recorder: tracers.Tracing = tracers.choose(tracer).Recorder()
    root = scratch / "root"
    runtime.unpack(tree_of({**sandbox.python_files("mmap"), **_FILES}), root)
    outcome = sandbox.engine("embedded").run(_container(), root, scratch, recorder)
    assert (outcome.exit, outcome.stderr) == (0, b"")
    accesses = {(posixpath.normpath(access.path).removeprefix("/w/"), access.action) for access in recorder.accesses()}
    through = {(f"dir/{path.removeprefix('way/')}", action) for path, action in accesses if path.startswith("way/")}
    followed = {("target", action) for path, action in accesses if path == "link"}
    accesses |= through | (followed if tracer == "seccomp" else set())  # the tree follows its links later
    return {kind: any((name, action) in accesses for action in actions) for kind, (name, actions) in _KINDS.items()}


def _container() -> Container:
    return replace(
        python(_PROGRAM, directory="/"), argv=(os.path.realpath(sys.executable), "-I", "-S", "-B", "-c", _PROGRAM)
    )


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
    if tracer == "fuse" and not Path("/dev/fuse").exists():
        with pytest.raises(EngineError, match="/dev/fuse cannot be opened"):
            tracers.choose(tracer)
        return
    if tracer == "fuse" and embedded.isolations()[0] != "root":
        with pytest.raises(EngineError, match="cannot start a container"):
            _seen(tracer, tmp_path)
        return
    assert _seen(tracer, tmp_path) == _documented(tracer)


def test_what_a_tracer_cannot_see_reaches_the_report() -> None:
    for tracer in tracers.TRACERS:
        flags = tracer.Recorder().flags()
        assert flags == ((tracer.BLIND,) if tracer.BLIND else ())


def test_a_tracer_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no tracer of that name; take auto, seccomp, fuse, fanotify"):
        tracers.choose("dtrace")
    with pytest.raises(UsageError, match=r"cannot trace with strace: .* not part of this version"):
        tracers.choose("strace")


def test_fanotify_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(EngineError, match="cannot trace here: fanotify: it needs root"):
        tracers.choose("fanotify")
