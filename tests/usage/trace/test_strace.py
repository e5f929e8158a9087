"""strace around runs that really happen: what goes wrong, what it says, and that nothing of it stays."""

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mlbloat import runtime
from mlbloat.errors import EngineError
from mlbloat.model.container import Outcome
from mlbloat.runtime import Engine, embedded
from mlbloat.usage.trace import strace
from tests.support import sandbox
from tests.support.sandbox import HOST, container, python
from tests.support.trees import tree_of

pytestmark = pytest.mark.engine  # strace is one of the programs that CI installs

_LONG_SECONDS = 120.0
"""Far longer than anything here takes; a test that fails ends then."""


@pytest.fixture(
    params=[
        pytest.param("embedded", marks=pytest.mark.sandbox),
        pytest.param("runc", marks=pytest.mark.engine),
    ]
)
def engine(request: pytest.FixtureRequest) -> Engine:
    sandbox.tracer(strace)
    return sandbox.engine(str(request.param))


def _run(engine: Engine, script: str, scratch: Path) -> tuple[Outcome, strace.Recorder]:
    recorder = strace.Recorder()
    what = container("/bin/sh", "-c", script, timeout_seconds=_LONG_SECONDS)
    return engine.run(what, HOST, scratch, recorder), recorder


def _straces() -> set[str]:
    """Return the processes of this one that are called strace."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if text.startswith("Name:\tstrace\n") and f"\nPPid:\t{os.getpid()}\n" in text:
            found.add(status.parent.name)
    return found


def test_nothing_stays_when_the_run_ends(engine: Engine, tmp_path: Path) -> None:
    before = (threading.active_count(), len(list(Path("/proc/self/fd").iterdir())))
    outcome, recorder = _run(engine, "echo said; exit 7", tmp_path)
    assert (outcome.exit, outcome.stdout, outcome.stderr) == (7, b"said\n", b"")
    assert recorder.flags() == (strace.BLIND,)
    assert _straces() == set()
    assert (threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))) == before
    assert list(tmp_path.iterdir()) == []


def test_what_a_program_needs_that_ended_before_its_line_was_read_is_seen(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_all = strace._Reader.read_all

    def read_late(reader: strace._Reader) -> None:
        until = time.monotonic() + _LONG_SECONDS
        while _lives(reader._attached.process) and time.monotonic() < until:
            time.sleep(0.01)
        read_all(reader)

    monkeypatch.setattr(strace._Reader, "read_all", read_late)
    _, recorder = _run(engine, "exit 0", tmp_path)
    assert any("/ld-" in access.path for access in recorder.accesses())


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_stays_in_the_background_ends_with_the_run(engine: Engine, tmp_path: Path) -> None:
    outcome, recorder = _run(engine, "sleep 600 & (setsid sleep 600 &) ; test -e /c/named; exit 3", tmp_path)
    assert (outcome.exit, outcome.timed_out) == (3, False)
    assert "/c/named" in {access.path for access in recorder.accesses()}
    assert _straces() == set()


@pytest.mark.sandbox
def test_a_chroot_alone_is_seen_from_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may change its root")
    sandbox.tracer(strace)
    monkeypatch.setattr(embedded, "isolations", lambda: ("chroot",))
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    runtime.unpack(sandbox.shell_tree({"/d/file": "1\n", "/d/run": "#!/bin/sh\ncat file; test -e none\n"}), root)
    scratch.mkdir()
    recorder = strace.Recorder()
    script = "cd /d; sleep 600 & ./run"
    what = container("/bin/sh", "-c", script, directory="/", timeout_seconds=_LONG_SECONDS)
    outcome = sandbox.engine("embedded").run(what, root, scratch, recorder)
    assert outcome.stdout == b"1\n"
    paths = {access.path for access in recorder.accesses()}
    assert {"/d", "/d/./run", "/bin/sh", "/d/file", "/d/none"} <= paths
    assert not any(str(tmp_path) in path for path in paths)
    assert recorder.flags() == (strace.BLIND,)


def test_a_run_that_does_not_end_is_ended(engine: Engine, tmp_path: Path) -> None:
    code = "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: os.stat('/')"
    outcome = engine.run(python(code, timeout_seconds=3), HOST, tmp_path, strace.Recorder())
    assert outcome.timed_out
    assert _straces() == set()
    assert list(tmp_path.iterdir()) == []


def test_a_run_ends_with_its_tracer_and_is_no_record(engine: Engine, tmp_path: Path) -> None:
    recorder = strace.Recorder()

    def kill() -> None:
        until = time.monotonic() + _LONG_SECONDS
        while not any(access.path == "/c/named" for access in recorder.accesses()) and time.monotonic() < until:
            time.sleep(0.01)
        for number in _straces():
            os.kill(int(number), 9)

    killer = threading.Thread(target=kill)
    killer.start()
    code = "import os, time\nos.access('/c/named', 0)\ntime.sleep(600)"
    with pytest.raises(EngineError, match=r"the tracer stopped before the run did \(it ended with status -9\)"):
        engine.run(python(code, timeout_seconds=2 * _LONG_SECONDS), HOST, tmp_path, recorder)
    killer.join()
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_cannot_be_executed_is_told_as_without_strace(engine: Engine, tmp_path: Path) -> None:
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    runtime.unpack(tree_of({"/run": b"no program"}), root)
    (root / "run").chmod(0o755)
    scratch.mkdir()
    said = []
    for recorder in (None, strace.Recorder()):
        with pytest.raises(Exception, match="cannot run '/run'") as raised:
            engine.run(container("/run", directory="/"), root, scratch, recorder)
        said.append((type(raised.value), str(raised.value)))
    assert said[0] == said[1]
    assert list(scratch.iterdir()) == []


def test_places_that_a_run_without_a_network_tried_are_told(engine: Engine, tmp_path: Path) -> None:
    code = """
import socket
for family, place in ((socket.AF_INET, ("10.1.2.3", 80)), (socket.AF_INET6, ("2001:db8::1", 443))):
    try: socket.socket(family).connect(place)
    except OSError: pass
"""
    recorder = strace.Recorder()
    assert engine.run(python(code), HOST, tmp_path, recorder).exit == 0
    (told,) = recorder.outside.flags()
    assert "it tried to reach 10.1.2.3:80, [2001:db8::1]:443, and had no network" in told


def test_set_id_programs_get_their_user(engine: Engine, tmp_path: Path) -> None:
    if engine.name == "embedded" and embedded.isolations()[0] != "root":
        pytest.skip("a user namespace has one user, a chroot may forbid to trace another's processes")
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    runtime.unpack(sandbox.shell_tree(sandbox.shell_files("/usr/bin/id")), root)
    program = root / "usr" / "bin" / "id"
    os.chown(program, 0, 0)
    program.chmod(0o4755)
    scratch.mkdir()
    what = replace(container("/usr/bin/id", "-u", directory="/", uid=1000), new_privileges=True)
    outcome = engine.run(what, root, scratch, strace.Recorder())
    assert (outcome.exit, outcome.stdout, outcome.stderr) == (0, b"0\n", b"")


@pytest.mark.sandbox
def test_what_strace_says_when_it_may_not_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.tracer(strace)
    refusing = tmp_path / "strace"
    refusing.write_text("#!/bin/sh\necho '/usr/bin/strace: attach: not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setattr("mlbloat.runtime.strace.find", lambda name: str(refusing))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(EngineError, match="cannot trace: strace says: attach: not permitted; run as root with the cap"):
        sandbox.engine("embedded").run(container("/bin/true"), HOST, scratch, strace.Recorder())
    assert list(scratch.iterdir()) == []
