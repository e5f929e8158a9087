"""Traced runs that go wrong, or are hard to follow: nothing is lost, nothing hangs, nothing is left."""

import http.server
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mlbloat import runtime
from mlbloat.errors import EngineError
from mlbloat.model.container import Container
from mlbloat.runtime import Engine
from mlbloat.usage.trace import fanotify, seccomp, tracers
from tests.support import sandbox
from tests.support.leftovers import Leftovers, below, ended, gone
from tests.support.sandbox import HOST, container, python
from tests.support.trees import tree_of

_OURS = [pytest.param("embedded", marks=pytest.mark.sandbox), pytest.param("runc", marks=pytest.mark.engine)]
_ENGINES = [*_OURS, *(pytest.param(name, marks=pytest.mark.engine) for name in ("docker", "podman"))]


@pytest.fixture(params=_ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return sandbox.engine(str(request.param))


@pytest.fixture(params=_OURS)
def our_engine(request: pytest.FixtureRequest) -> Engine:
    return sandbox.engine(str(request.param))


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "rootfs"
    files = sandbox.shell_files("/bin/sh", "/bin/cat", "/bin/sleep") | {"/data/first": "1\n", "/data/late": "2\n"}
    runtime.unpack(tree_of(files), path)
    return path


def _recorder(engine: Engine) -> tracers.Tracing:
    return fanotify.Recorder() if engine.watched_only else seccomp.Recorder()


def _sh(script: str) -> Container:
    return container("/bin/sh", "-c", script, timeout_seconds=300, directory="/")


def test_what_a_daemon_uses_is_recorded_and_it_ends_with_the_command(
    engine: Engine, rootfs: Path, tmp_path: Path, leftovers: Leftovers
) -> None:
    daemon = "trap '' TERM HUP; cat /data/late; echo > /tmp/used; while :; do sleep 1; done"
    script = f"(({daemon}) > /dev/null 2>&1 &); while ! [ -e /tmp/used ]; do sleep 0.05; done; echo done"
    recorder = _recorder(engine)
    outcome = engine.run(_sh(script), rootfs, tmp_path, recorder)
    assert (outcome.exit, outcome.stdout, outcome.timed_out) == (0, b"done\n", False)
    assert "/data/late" in {access.path for access in recorder.accesses()}
    leftovers.check()


def test_when_we_are_killed_the_traced_run_goes_too(engine: Engine, rootfs: Path, tmp_path: Path) -> None:
    script = f"""
import os, sys, threading, time; sys.path[:0] = {sys.path!r}
from pathlib import Path
from tests.support import sandbox
from mlbloat.usage.trace import fanotify, seccomp
recorder = {"fanotify" if engine.watched_only else "seccomp"}.Recorder()
def tell():
    while not any(access.path == "/data/first" for access in recorder.accesses()): time.sleep(0.05)
    Path({str(tmp_path)!r}, "begun").touch()
threading.Thread(target=tell, daemon=True).start()
loop = "trap '' TERM HUP; while :; do cat /data/first; done > /dev/null"
what = sandbox.container("/bin/sh", "-c", f"({{loop}}) & ({{loop}}) & {{loop}}", timeout_seconds=300, directory="/")
sandbox.engine({engine.name!r}).run(what, Path({str(rootfs)!r}), Path({str(tmp_path)!r}, "scratch"), recorder)
"""
    (tmp_path / "scratch").mkdir()
    victim = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 300
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        assert victim.poll() is None
        time.sleep(0.05)
    family = below(victim.pid)
    runs = [path.name for path in (tmp_path / "scratch").iterdir()]
    assert family and runs
    victim.kill()
    victim.wait()
    assert ended(family, runs)
    assert gone({engine.name}, runs)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_tracer_that_ends_early_is_an_error_and_hangs_nothing(
    engine: Engine, rootfs: Path, tmp_path: Path, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("a defect of the tracer")

    recorder = _recorder(engine)
    monkeypatch.setattr(type(recorder), "_note", fail)
    loops = "for n in 1 2 3 4 5 6 7 8 9; do cat /data/first & done; wait"
    with pytest.raises(EngineError, match="cannot "):
        engine.run(_sh(loops), rootfs, tmp_path, recorder)
    leftovers.check()


def test_a_thousand_signals_a_second_lose_nothing(our_engine: Engine, tmp_path: Path) -> None:
    code = """
import errno, os, signal
ticks = done = 0
def tick(*_):
    global ticks
    ticks += 1
signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
while done < 1000:
    try: open(f"/c/{done}")
    except FileNotFoundError: done += 1
while True:
    try: signal.setitimer(signal.ITIMER_REAL, 0); break
    except signal.ItimerError as error: assert error.errno == errno.EINTR  # what the flag warns of
assert ticks
"""
    recorder = seccomp.Recorder()
    # On a busy machine most of these calls are interrupted before anybody looks at them, and made again.
    outcome = our_engine.run(python(code, timeout_seconds=1200), HOST, tmp_path, recorder)
    assert (outcome.exit, outcome.stderr) == (0, b""), outcome.stderr
    named = [access.path for access in recorder.accesses() if access.path.startswith("/c/")]
    assert named == [f"/c/{number}" for number in range(1000)]
    assert any("it set a timer: a signal that interrupts a traced call" in flag for flag in recorder.flags())


def test_fifty_processes_of_two_hundred_threads_lose_nothing_and_take_little_memory(
    our_engine: Engine, tmp_path: Path
) -> None:
    code = """
import os, _thread, sys
sys.setswitchinterval(1)
_thread.stack_size(65536)
def touch(process, thread, over):
    os.access(f"/c/{process}/{thread}", os.F_OK)
    over.release()
def be(process):
    locks = [_thread.allocate_lock() for _ in range(200)]
    for thread, lock in enumerate(locks):
        lock.acquire()
        _thread.start_new_thread(touch, (process, thread, lock))
    for lock in locks: lock.acquire()
children = []
for process in range(50):
    child = os.fork()
    if child == 0:
        be(process)
        os._exit(0)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 50
"""
    recorder = seccomp.Recorder()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _memory_bytes("VmRSS")
    outcome = our_engine.run(python(code, timeout_seconds=600), HOST, tmp_path, recorder)
    assert (outcome.exit, outcome.stderr) == (0, b"")
    named = {access.path for access in recorder.accesses() if access.path.startswith("/c/")}
    assert named == {f"/c/{process}/{thread}" for process in range(50) for thread in range(200)}
    assert _memory_bytes("VmHWM") - before < 128 << 20


def _memory_bytes(what: str) -> int:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[what].split()[0]) << 10


@pytest.mark.engine
@pytest.mark.parametrize("name", ["runc", "podman"])
def test_a_runtime_that_ends_before_it_sends_a_listener_is_told(
    name: str, rootfs: Path, tmp_path: Path, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sandbox.engine(name)
    leftovers.scratch = tmp_path / "scratch"
    leftovers.scratch.mkdir()
    sandbox.break_runtimes(tmp_path, monkeypatch)
    with pytest.raises(EngineError, match=f"cannot start a container: {name} says: "):
        engine.run(_sh("echo never"), rootfs, leftovers.scratch, _recorder(engine))
    monkeypatch.undo()
    leftovers.check()


class _Broken(http.server.BaseHTTPRequestHandler):
    """An engine that answers, and can do nothing."""

    def do_GET(self) -> None:
        answer = b'{"message": "it is broken"}'
        self.send_response(500)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_HEAD = do_DELETE = do_GET  # noqa: N815  the names are http.server's

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, *words: object) -> None:
        pass


@pytest.mark.engine
def test_a_docker_engine_that_fails_before_anything_starts_is_told(
    rootfs: Path, tmp_path: Path, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sandbox.engine("docker")
    leftovers.scratch = tmp_path / "scratch"
    leftovers.scratch.mkdir()
    address = f"{tmp_path}/engine.sock"
    with socketserver.ThreadingUnixStreamServer(address, _Broken) as server:
        answering = threading.Thread(target=server.serve_forever)
        answering.start()
        try:
            with monkeypatch.context() as patched:
                patched.setenv("DOCKER_HOST", f"unix://{address}")
                with pytest.raises(EngineError, match=r"cannot start a container: .*it is broken"):
                    engine.run(_sh("echo never"), rootfs, leftovers.scratch, _recorder(engine))
        finally:
            server.shutdown()
            answering.join()
    leftovers.check()
