"""Containers that really run. The embedded engine must work wherever the tests run; runc where it is installed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlbloat import runtime
from mlbloat.errors import EngineError, RunError
from mlbloat.model.container import Container, Outcome
from mlbloat.runtime import Engine, embedded, kernel, process
from mlbloat.usage.trace.seccomp import Recorder
from tests.support import sandbox
from tests.support.interrupts import interrupted, time_is_over_after
from tests.support.leftovers import Leftovers, below, ended
from tests.support.sandbox import HOST, container, python

_FORKS_AND_IGNORES_SIGTERM = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("/tmp/daemon", "w").close()
        time.sleep(600)
    os._exit(0)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture(
    params=[
        pytest.param("embedded", marks=pytest.mark.sandbox),
        pytest.param("runc", marks=pytest.mark.engine),
    ]
)
def engine(request: pytest.FixtureRequest) -> Engine:
    return sandbox.engine(str(request.param))


def _run(engine: Engine, what: Container, scratch: Path) -> Outcome:
    return engine.run(what, HOST, scratch)


def test_exit_status_and_output_are_the_commands(engine: Engine, tmp_path: Path, leftovers: Leftovers) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    outcome = _run(engine, python(code), tmp_path)
    assert (outcome.exit, outcome.stdout, outcome.stderr, outcome.timed_out) == (3, b"out\n", b"err\n", False)
    leftovers.check()


def test_a_command_that_a_signal_ends_has_a_shells_status(engine: Engine, tmp_path: Path) -> None:
    # The first process of a process namespace is only ended by a signal that comes from outside or by its own fault.
    code = "import os, sys, signal; sys.exit(128 + signal.SIGSEGV) if os.fork() else os._exit(0)"
    assert _run(engine, python(code), tmp_path).exit == 139


def test_the_container_is_alone(engine: Engine, tmp_path: Path) -> None:
    code = """
import os, socket
print(os.getpid(), socket.gethostname(), sorted(os.listdir("/sys/class/net")), socket.gethostbyname("localhost"))
server = socket.create_server(("127.0.0.1", 0)); socket.create_connection(server.getsockname()); print("loopback")
try: os.mknod("/tmp/disk", 0o60600, os.makedev(254, 0)); open("/tmp/disk", "rb"); print("opened a disk")
except OSError: print("no disk")
for path in ("/proc/sysrq-trigger", "/proc/sys/kernel/hostname"):
    try: open(path, "w").close(); print("wrote", path)
    except OSError: print("no", path)
"""
    outcome = _run(engine, python(code), tmp_path)
    assert outcome.stdout.decode().splitlines() == [
        "1 mlbloat ['lo'] 127.0.0.1",
        "loopback",
        "no disk",
        "no /proc/sysrq-trigger",
        "no /proc/sys/kernel/hostname",
    ], outcome.stderr


def test_runs_do_not_see_each_others_writes(engine: Engine, tmp_path: Path) -> None:
    scratch, rootfs = tmp_path / "scratch", tmp_path / "rootfs"
    scratch.mkdir()
    runtime.unpack(sandbox.shell_tree({"/data/file": "original\n"}), rootfs)
    change = container(
        "/bin/sh", "-c", "echo changed > /data/file; echo new > /data/new; cat /data/file", directory="/"
    )
    look = container("/bin/sh", "-c", "cat /data/file /data/new", directory="/")
    assert engine.run(change, rootfs, scratch).stdout == b"changed\n"
    outcome = engine.run(look, rootfs, scratch)
    assert (outcome.stdout, outcome.exit) == (b"original\n", 1)
    assert sorted(path.name for path in (rootfs / "data").iterdir()) == ["file"]


def test_a_missing_working_directory_is_made(engine: Engine, tmp_path: Path) -> None:
    code = "import os; print(os.getcwd())"
    assert _run(engine, python(code, directory="/not/there/yet"), tmp_path).stdout == b"/not/there/yet\n"


@pytest.mark.parametrize("name", ["no-such-command", "/no/such/command"])
def test_a_missing_command_is_an_error_that_names_it(
    engine: Engine, tmp_path: Path, leftovers: Leftovers, name: str
) -> None:
    with pytest.raises(RunError, match=f"cannot run '{name}': "):
        _run(engine, container(name), tmp_path)
    leftovers.check()


def test_a_missing_interpreter_is_an_error(engine: Engine, tmp_path: Path) -> None:
    scratch, rootfs = tmp_path / "scratch", tmp_path / "rootfs"
    scratch.mkdir()
    runtime.unpack(sandbox.shell_tree({"/script": "#!/not/here\n"}), rootfs)
    with pytest.raises(RunError, match=r"cannot run '/script': [Nn]o such file"):
        engine.run(container("/script"), rootfs, scratch)


def test_time_over_ends_everything(
    engine: Engine, tmp_path: Path, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.5)
    time_is_over_after(b"x\n", monkeypatch)
    outcome = _run(engine, python("import time; print('x', flush=True); time.sleep(600)"), tmp_path)
    assert (outcome.timed_out, outcome.stdout, outcome.exit >= 128) == (True, b"x\n", True)
    leftovers.check()


def test_a_daemon_that_ignores_sigterm_is_ended_too(
    engine: Engine, tmp_path: Path, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.5)
    time_is_over_after(b"ready\n", monkeypatch)
    outcome = _run(engine, python(_FORKS_AND_IGNORES_SIGTERM), tmp_path)
    assert (outcome.timed_out, outcome.stdout) == (True, b"ready\n")
    leftovers.check()


def test_a_daemon_ends_with_the_command_that_started_it(engine: Engine, tmp_path: Path, leftovers: Leftovers) -> None:
    code = "import os, time\nif os.fork() == 0:\n    os.setsid(); time.sleep(600)\nprint('done')"
    outcome = _run(engine, python(code), tmp_path)
    assert (outcome.exit, outcome.stdout) == (0, b"done\n")
    assert outcome.seconds < 300
    leftovers.check()


def test_an_interrupt_leaves_nothing(engine: Engine, tmp_path: Path, leftovers: Leftovers) -> None:
    with interrupted(tmp_path):
        _run(engine, python(_FORKS_AND_IGNORES_SIGTERM, timeout_seconds=60), tmp_path)
    leftovers.check()


def test_an_interrupt_while_the_launcher_is_started_leaves_nothing(
    engine: Engine, tmp_path: Path, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded.isolations()  # by a launcher of its own
    started = []
    popen = subprocess.Popen

    def start_and_interrupt(*arguments: Any, **options: Any) -> "subprocess.Popen[bytes]":
        started.append(popen(*arguments, **options))
        signal.raise_signal(signal.SIGINT)
        return started[-1]

    monkeypatch.setattr(process, "subprocess", SimpleNamespace(**{**vars(subprocess), "Popen": start_and_interrupt}))
    with pytest.raises(KeyboardInterrupt):
        _run(engine, python("print('never')"), tmp_path)
    assert [each.returncode is not None for each in started] == [True]
    leftovers.check()


@pytest.mark.parametrize("members", [1, 2, 4], ids=["at-once", "while-it-starts", "while-it-runs"])
def test_when_we_are_killed_the_container_goes_too(engine: Engine, tmp_path: Path, members: int) -> None:
    script = f"""
import sys; sys.path[:0] = {sys.path!r}
from pathlib import Path
from tests.support import sandbox
what = sandbox.python({_FORKS_AND_IGNORES_SIGTERM!r}, 60)
sandbox.engine({engine.name!r}).run(what, Path("/"), Path({str(tmp_path)!r}))
"""
    victim = subprocess.Popen([sys.executable, "-c", script])
    started = time.monotonic()
    family = below(victim.pid)
    while len(family) < members and time.monotonic() - started < 180:
        time.sleep(0.05)
        family = below(victim.pid)  # once: a short-lived process may be gone at a second look
    assert len(family) >= members
    victim.kill()
    victim.wait()
    runs = [path.name for path in tmp_path.iterdir()]
    assert ended(family, runs)


def test_output_is_bounded_and_nobody_waits_for_it(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "OUTPUT_LIMIT_BYTES", 1 << 20)
    outcome = _run(engine, python("print('x' * 65536 * 800 + 'last')"), tmp_path)
    assert (outcome.exit, len(outcome.stdout)) == (0, 1 << 20)
    assert outcome.stdout.endswith(b"xlast\n")
    assert "only the first 1 MiB of stdout were kept, and its last lines" in outcome.flags


def test_a_user_of_the_image_is_that_user(engine: Engine, tmp_path: Path) -> None:
    scratch, rootfs = tmp_path / "scratch", tmp_path / "rootfs"
    scratch.mkdir()
    runtime.unpack(sandbox.shell_tree(), rootfs)
    script = "while read name value rest; do case $name in Uid:|Gid:) echo $value;; esac; done < /proc/self/status"
    outcome = engine.run(container("/bin/sh", "-c", f"{script}; echo log > /dev/stdout", uid=1234), rootfs, scratch)
    assert outcome.stdout == b"1234\n1234\nlog\n", outcome.stderr


@pytest.mark.sandbox
@pytest.mark.parametrize("isolation", ["root", "user", "chroot"])
def test_every_isolation_of_the_sandbox_runs_the_same_and_says_what_it_lacks(
    tmp_path: Path, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    engine = sandbox.engine("embedded")
    if isolation not in embedded.isolations():
        pytest.skip(f"this process may not isolate by {isolation}")
    monkeypatch.setattr(embedded, "isolations", lambda: (isolation,))
    rootfs = tmp_path.parent / f"rootfs-{isolation}"
    runtime.unpack(sandbox.shell_tree({"/data/f": "1\n"}), rootfs)
    recorder = Recorder()
    command = container("/bin/sh", "-c", "cat /data/f; echo 2 > /data/f; cat /data/f; (cat & exit 7)", directory="/")
    outcome = engine.run(command, rootfs, tmp_path, recorder)
    assert (outcome.exit, outcome.stdout, outcome.stderr) == (7, b"1\n2\n", b"")
    assert (rootfs / "data/f").read_text() == "1\n"
    assert {"/data/f", "/bin/sh"} <= {access.path for access in recorder.accesses()}
    said = {"root": "", "user": "ran in a user namespace", "chroot": "isolated by chroot alone"}[isolation]
    assert said in " ".join(outcome.flags)
    leftovers.check()


@pytest.mark.sandbox
def test_in_a_chroot_the_run_signals_its_own_processes_and_no_others(
    tmp_path: Path, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sandbox.engine("embedded")
    if "chroot" not in embedded.isolations():
        pytest.skip("this process may not isolate by chroot")
    monkeypatch.setattr(embedded, "isolations", lambda: ("chroot",))
    rootfs = tmp_path.parent / "rootfs-signals"
    runtime.unpack(sandbox.shell_tree(), rootfs)
    script = (
        "kill $$ 2> /dev/null; kill {0} 2> /dev/null && echo reached another; cat & kill $! && echo reached its own"
    )
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        before = below(os.getpid())
        run = container("/bin/sh", "-c", f"trap 'echo itself' TERM; {script.format(other.pid)}", directory="/")
        outcome = engine.run(run, rootfs, tmp_path)
        assert below(os.getpid()) == before
        other.communicate(b"\n")
    free = [flag for flag in outcome.flags if "nothing kept the processes of the run from ending others" in flag]
    reached = b"reached another\n" if free else b""
    assert outcome.stdout == b"itself\n" + reached + b"reached its own\n"
    assert bool(free) is not kernel.knows_scopes()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_tracer_that_fails_is_an_error_and_hangs_nothing(
    engine: Engine, tmp_path: Path, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("a defect of the tracer")

    monkeypatch.setattr(Recorder, "_note", fail)
    with pytest.raises((EngineError, RunError), match="cannot "):
        engine.run(python("import time; time.sleep(60)"), HOST, tmp_path, Recorder())
    leftovers.check()


def test_a_missing_rootfs_is_an_error_that_says_so(engine: Engine, tmp_path: Path, leftovers: Leftovers) -> None:
    with pytest.raises(EngineError, match=r"cannot start a container: .*No such file"):
        engine.run(container("x"), tmp_path / "none", tmp_path)
    leftovers.check()


@pytest.mark.parametrize("traced", [False, True], ids=["untraced", "traced"])
def test_what_docker_denies_fails_and_what_fails_anyway_fails_as_it_does(
    engine: Engine, tmp_path: Path, traced: bool
) -> None:
    code = """
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def tried(call, *words):
    try: call(*words); return "done"
    except OSError as error: return errno.errorcode[error.errno]
def raw(number):
    failed = libc.syscall(ctypes.c_long(number), 0, 0, 0, 0, 0) < 0
    return errno.errorcode[ctypes.get_errno()] if failed else "done"
keyctl, unknown = {"x86_64": (250, 1500), "aarch64": (219, 1500)}[os.uname().machine]
print(raw(keyctl), raw(unknown), tried(socket.socket, 38, 5), tried(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW))
print(tried(os.fstat, 999), tried(os.fstat, 0), tried(os.stat, "/no/such"), tried(os.mkdir, "/tmp"))
"""
    outcome = engine.run(python(code), HOST, tmp_path, Recorder() if traced else None)
    assert outcome.stdout == b"EPERM ENOSYS EPERM done\nEBADF done ENOENT EEXIST\n", outcome.stderr
