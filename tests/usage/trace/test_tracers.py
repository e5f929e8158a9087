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
from mlbloat.usage.trace import strace, tracers
from tests.support import sandbox
from tests.support.sandbox import python
from tests.support.trees import Link, tree_of

_DOCUMENT = Path(__file__).parents[3] / "docs" / "tracing.md"

_FILES: Mapping[str, bytes | str | None] = {
    **{
        f"/w/{name}": name
        for name in """read target behind stat lstat access chmod owner times old gone cut linked replaced replacement
            path append mapped xattr dir/at dir/sub/x listed/x spawned state changed-to/y own/x newer inside again
            numbered moved rubbish watched dir/made jail/opened jail/looked jail/far/opened int80""".split()
    },
    "/w/by-name": Path("/bin/sh").read_bytes(),
    "/w/by-descriptor": Path("/bin/sh").read_bytes(),
    "/w/jail/link": Link("/far"),
    "/w/there": None,
    "/w/left": None,
    "/w/script": "#!/bin/sh\nexit 0\n",
    "/w/link": Link("target"),
    "/w/read-link": Link("nowhere"),
    "/w/way": Link("dir"),
    "/w/entered/x": "",
}

_PROGRAM = """
import ctypes, errno, mmap, os, sys
libc = ctypes.CDLL(None, use_errno=True)
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
def child(do, *arguments):
    if os.fork() == 0:
        try: do(*arguments)
        finally: os._exit(1)
    os.wait()
child(open, "spawned")
os.fchdir(os.open("changed-to", os.O_RDONLY)); open("y").close(); os.chdir("/w")
how = (ctypes.c_uint64 * 3)(0, 0, 0x10)  # RESOLVE_IN_ROOT
libc.syscall(437, at, b"/../made", how, 24)
libc.syscall(437, -100, b"newer", (ctypes.c_uint64 * 3)(), 24)
again = os.open("again", os.O_PATH); os.close(os.open(f"/proc/self/fd/{again}", os.O_RDONLY))
tried(os.open, f"/proc/{os.getpid()}/cwd/numbered", os.O_RDONLY)
os.rename("moved", "moved-away"); open("moved-away").close()
os.unlink("rubbish"); tried(os.mkdir, "there"); os.rmdir("left")
os.symlink("/w/inside", "made-link"); open("made-link").close()
libc.inotify_add_watch(libc.inotify_init(), b"watched", 2)
words = (ctypes.c_char_p * 4)(b"sh", b"-c", b"exit 0", None)
child(libc.execveat, -100, b"by-name", words, None, 0)
child(libc.execveat, os.open("by-descriptor", os.O_PATH), b"", words, None, 0x1000)
def jailed():
    os.chroot("jail"); os.chdir("/"); open("/opened").close(); os.stat("looked"); open("/link/opened").close()
child(jailed)
print(errno.errorcode[ctypes.get_errno() if libc.syscall(425, 8, ctypes.create_string_buffer(120)) < 0 else 0])
"""

_MACHINE_CODE = """
def run(code, *names):
    page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40, 7)  # MAP_32BIT
    start = ctypes.addressof(ctypes.c_char.from_buffer(page))
    for number, name in enumerate(names, 1):
        page[128 * number : 128 * number + len(name) + 1] = name + b"\\0"
        code = code.replace(f"name{number}", (start + 128 * number).to_bytes(4, "little").hex())
    code = bytes.fromhex(code)
    page[: len(code)] = code
    ctypes.CFUNCTYPE(ctypes.c_int)(start)()
# push rbx; mov eax, 5 (open); mov ebx, name1; xor ecx, ecx; int 0x80; pop rbx; ret
run("53 b805000000 bb name1 31c9 cd80 5b c3", b"int80")
# clone(CLONE_VM | CLONE_SIGHAND | CLONE_VFORK | CLONE_THREAD), ret; in the thread, which shares no working directory:
# chdir(name1), open(name2, O_RDONLY), exit(0)
run("b838000000 bf00490100 31f6 31d2 4d31d2 4d31c0 0f05 85c0 7401 c3"
    "b850000000 bf name1 0f05 b802000000 bf name2 31f6 0f05 31ff b83c000000 0f05", b"own", b"x")
open("read").close()
"""
"""Without a compiler: what only a 32-bit program would do, or one that knows nothing of the C library's threads."""
_X86_64 = os.uname().machine == "x86_64"

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
    "deleted": ("rubbish", _ANY),
    "directory made that was there": ("there", _ANY),
    "directory deleted": ("left", _ANY),
    "looked for, not there": ("missing", {Action.OPENED, Action.LOOKED_UP}),
    "watched by `inotify`": ("watched", {Action.LOOKED_UP}),
    "opened after `fchdir`": ("changed-to/y", {Action.OPENED}),
    "opened by `openat2`": ("newer", {Action.OPENED}),
    "opened by `openat2` with a root of its own": ("dir/made", {Action.OPENED}),
    "opened through `/proc/self/fd`": ("again", {Action.OPENED}),
    "opened through `/proc/PID/cwd`": ("numbered", {Action.OPENED}),
    "opened through a link that the run made": ("inside", {Action.OPENED}),
    "renamed, then opened by its new name": ("moved", _ANY),
    "executed by `execveat`": ("by-name", {Action.EXECUTED}),
    "executed by its descriptor": ("by-descriptor", {Action.EXECUTED}),
    "opened after `chroot`": ("jail/opened", {Action.OPENED}),
    "opened after `chroot` through a link": ("jail/far/opened", {Action.OPENED}),
    "`stat` after `chroot`": ("jail/looked", {Action.LOOKED_UP}),
}
_KINDS_OF_X86_64: Mapping[str, tuple[str, set[Action]]] = {
    "opened by a 32-bit call": ("int80", {Action.OPENED}),
    "opened by a thread with a directory of its own": ("own/x", {Action.OPENED}),
}
_REFUSED = "asked of io_uring"
"""Answered "not implemented", so that the program takes another way."""


def _seen(tracer: str, scratch: Path) -> dict[str, str]:
    recorder: tracers.Tracing = tracers.choose(tracer).Recorder()
    root = scratch / "root"
    runtime.unpack(tree_of({**sandbox.python_files("ctypes, errno, mmap"), **_FILES}), root)
    outcome = sandbox.engine("embedded").run(_container(), root, scratch, recorder)
    assert (outcome.exit, outcome.stderr) == (0, b""), outcome.stderr
    accesses = {(posixpath.normpath(access.path).removeprefix("/w/"), access.action) for access in recorder.accesses()}
    through = {(f"dir/{path.removeprefix('way/')}", action) for path, action in accesses if path.startswith("way/")}
    followed = {("target", action) for path, action in accesses if path == "link"}
    accesses |= through | (followed if tracer in ("seccomp", "strace") else set())  # the tree follows its links later
    seen = {kind: any((name, action) in accesses for action in actions) for kind, (name, actions) in _kinds().items()}
    told = {kind: "yes" if there else "no" for kind, there in seen.items()}
    return {**told, _REFUSED: {b"ENOSYS\n": "refused"}.get(outcome.stdout, "no")}


def _kinds() -> Mapping[str, tuple[str, set[Action]]]:
    """Those that this machine can do."""
    if sandbox.in_chroot():  # a container started inside a chroot may not change its root: it could leave it
        return {kind: what for kind, what in _KINDS.items() if "chroot" not in kind}
    return {**_KINDS, **_KINDS_OF_X86_64} if _X86_64 else _KINDS


def _container() -> Container:
    code = _PROGRAM + (_MACHINE_CODE if _X86_64 else "")
    return replace(python(code, directory="/"), argv=(os.path.realpath(sys.executable), "-I", "-S", "-B", "-c", code))


def _documented(tracer: str) -> dict[str, str]:
    lines = [line.strip("|").split("|") for line in _DOCUMENT.read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line] for line in lines]
    head = next(row for row in rows if row[0] == "access")
    column = head.index(f"`{tracer}`")
    return {row[0]: row[column] for row in rows if row[0] in {*_kinds(), _REFUSED}}


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "tracer",
    [pytest.param(tracer.name, marks=[pytest.mark.engine] if tracer is strace else []) for tracer in tracers.TRACERS],
)
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
    if tracer == "strace":
        sandbox.tracer(strace)
    assert _seen(tracer, tmp_path) == _documented(tracer)


def test_what_a_tracer_cannot_see_reaches_the_report() -> None:
    for tracer in tracers.TRACERS:
        flags = tracer.Recorder().flags()
        assert flags == ((tracer.BLIND,) if tracer.BLIND else ())


def test_a_tracer_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no tracer of that name; take auto, seccomp, fuse, fanotify, strace"):
        tracers.choose("dtrace")


def test_what_another_engine_starts_is_watched_and_not_stopped() -> None:
    for name in ("seccomp", "fuse", "strace"):
        with pytest.raises(UsageError, match=f"cannot trace with {name} what another engine starts, .* --engine runc"):
            tracers.choose(name, watched_only=True)


def test_strace_is_taken_by_name_alone_and_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracers.choose("auto").name == "seccomp"
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("mlbloat.runtime.defaults.PATH", "/nowhere")
    with pytest.raises(EngineError, match=r"strace: strace is not installed; install it \(apt-get install strace\)"):
        tracers.choose("strace")


def test_fanotify_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(EngineError, match="cannot trace here: fanotify: it needs root"):
        tracers.choose("fanotify")
