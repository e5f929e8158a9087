"""Engines that start containers themselves: the same conditions, services and ends as with our own."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlbloat import runtime
from mlbloat.errors import EngineError, RunError, UsageError
from mlbloat.model.conditions import Conditions, Limit, Mount, Tmpfs
from mlbloat.model.container import Container
from mlbloat.model.workload import Exec, Expect, Ready, Request, Service, Stop
from mlbloat.runtime import Engine, dockerengine, embedded, launchdocker, launchpodman, podmanengine, process, runc
from mlbloat.runtime.embedded import spec_of
from mlbloat.usage.trace import tracers
from mlbloat.usage.trace.fanotify import Recorder
from tests.slim.test_docker import hello
from tests.support import sandbox
from tests.support.interrupts import interrupted, time_is_over_after
from tests.support.leftovers import Leftovers, gone
from tests.support.sandbox import container
from tests.support.trees import tree_of

_SERVER = """
import http.server, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        open("/data/asked").close()
        self.send_response(200); self.end_headers(); self.wfile.write(self.path.encode())
signal.signal(signal.SIGQUIT, lambda *_: (print("stopping", flush=True), sys.exit(3)))
server = http.server.HTTPServer(("127.0.0.1", 8072), Handler)
print("listening", flush=True)
server.serve_forever()
"""
_IGNORES_SIGTERM = "trap '' TERM; echo ready; (while :; do sleep 1; done) & while :; do sleep 1; done"


@pytest.fixture(params=["docker", "podman"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return sandbox.engine(str(request.param))


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shell, what it needs, some programs, and some data."""
    path = tmp_path_factory.mktemp("image") / "rootfs"
    files = sandbox.shell_files("/bin/sh", "/bin/cat", "/bin/sleep", "/bin/stat")
    more = {"/data/file": "original\n", "/data/other": "other\n", "/data/asked": "", "/script": "#!/not/here\n"}
    runtime.unpack(tree_of(files | more), path)
    return path


def _sh(script: str, **fields: Any) -> Container:
    return replace(container("/bin/sh", "-c", script), **fields)


@pytest.mark.engine
def test_output_status_and_changes_are_the_commands(
    engine: Engine, rootfs: Path, tmp_path: Path, leftovers: Leftovers
) -> None:
    what = _sh("cat /data/file; echo err >&2; echo new > /data/file; pwd; exit 3", working_directory="/not/there/yet")
    outcome = engine.run(what, rootfs, tmp_path)
    assert (outcome.exit, outcome.stdout, outcome.stderr) == (3, b"original\n/not/there/yet\n", b"err\n")
    assert outcome.flags[0].startswith("it changed or deleted 1 files of the image, such as /data/file: ")
    assert (rootfs / "data/file").read_text() == "original\n"
    leftovers.check()


@pytest.mark.engine
def test_the_container_has_what_its_run_asks_for(
    engine: Engine, rootfs: Path, tmp_path: Path, leftovers: Leftovers
) -> None:
    scratch, outside = tmp_path / "scratch", tmp_path / "outside"
    scratch.mkdir()
    outside.mkdir()
    (outside / "here").write_text("from outside\n")
    leftovers.scratch = scratch
    conditions = Conditions(
        shared_memory_bytes=8 << 20,
        tmpfs=(Tmpfs(target="/srv/space", size_bytes=1 << 20),),
        limits=(Limit(name="nofile", soft=50, hard=60),),
        hosts=(("db", "10.1.2.3"),),
        mounts=(Mount(source=str(outside), target="/outside", read_only=True),),
        memory_bytes=200 << 20,
        processes=99,
    )
    script = """
stat -f -c '%n %b %S' /dev/shm /srv/space
while read name value rest; do case $name in Uid:|Gid:|Groups:|NoNewPrivs:) echo $name $value $rest;; esac; done \\
    < /proc/self/status
while read line; do case $line in 'Max open files'*) echo $line;; esac; done < /proc/self/limits
while read address name; do case $name in db) echo $address;; esac; done < /etc/hosts
cat /outside/here /proc/sys/kernel/hostname
echo $MOOD; echo x > /outside/new || echo read-only
"""
    what = _sh(script, conditions=conditions, uid=1234, gid=56, groups=(7, 8), environment=(("MOOD", "good"),))
    outcome = engine.run(replace(what, environment=(*what.environment, ("PATH", "/bin"))), rootfs, scratch)
    said = outcome.stdout.decode().splitlines()
    groups = next(line for line in said if line.startswith("Groups: "))
    assert {"7", "8"} <= set(groups.split()[1:]) <= {"7", "8", "56"}  # newer ones add the first group
    assert [line for line in said if line != groups] == [
        "/dev/shm 2048 4096",
        "/srv/space 256 4096",
        "Uid: 1234 1234 1234 1234",
        "Gid: 56 56 56 56",
        "NoNewPrivs: 1",
        "Max open files 50 60 files",
        "10.1.2.3",
        "from outside",
        "mlbloat",
        "good",
        "read-only",
    ], outcome.stderr
    leftovers.check()


@pytest.mark.engine
def test_without_a_network_there_is_only_loopback_and_a_bridge_leads_out(
    engine: Engine, rootfs: Path, tmp_path: Path
) -> None:
    script = "while read name rest; do case $name in *:) echo ${name%:};; esac; done < /proc/net/dev"
    assert engine.run(_sh(script), rootfs, tmp_path).stdout.split() == [b"lo"]
    if engine.name == "docker":  # podman's networks take plug-ins that may be missing
        bridged = engine.run(_sh(script, conditions=Conditions(network="bridge")), rootfs, tmp_path)
        assert sorted(bridged.stdout.split()) == [b"eth0", b"lo"]


@pytest.mark.engine
def test_what_is_opened_is_recorded_from_the_first_program_on(engine: Engine, rootfs: Path, tmp_path: Path) -> None:
    recorder = Recorder()
    engine.run(_sh("cat /data/file"), rootfs, tmp_path, recorder)
    opened = {access.path for access in recorder.accesses()}
    assert {"/data/file", os.path.realpath("/bin/sh"), os.path.realpath("/bin/cat")} <= opened
    assert "/data/other" not in opened


@pytest.mark.engine
def test_what_is_missing_of_the_smallest_images_is_said(tmp_path: Path) -> None:
    """Docker's export of one is over at once, and with it the mount that is watched; when, nobody knows."""
    program = hello("hi").value
    assert isinstance(program, bytes)
    runtime.unpack(tree_of({"/bin/hello": program, "/tmp": None}), tmp_path / "rootfs")
    for number in range(5):
        scratch, recorder = tmp_path / str(number), Recorder()
        scratch.mkdir()
        outcome = sandbox.engine("docker").run(container("/bin/hello"), tmp_path / "rootfs", scratch, recorder)
        assert outcome.stdout == b"hi"
        recorded = {access.path for access in recorder.accesses()}
        assert recorded <= {"/", "/bin", "/bin/hello", "/tmp"}
        late = any("its first file accesses may be missing" in flag for flag in outcome.flags)
        assert late or "/bin/hello" in recorded


@pytest.mark.engine
def test_a_service_is_awaited_asked_and_stopped(
    engine: Engine, rootfs: Path, tmp_path: Path, leftovers: Leftovers
) -> None:
    service = Service(
        ready=Ready(tcp=("127.0.0.1", 8072), timeout_seconds=60),
        requests=(Request(url="http://127.0.0.1:8072/a?b=c"),),
        exec=(
            Exec(run=("/bin/sh", "-c", "cat /data/other; echo err >&2; exit 4"), expect=Expect(), timeout_seconds=60),
        ),
        stop=Stop(signal="QUIT", timeout_seconds=60),
    )
    recorder = Recorder()
    what = replace(sandbox.python_with_mounts(_SERVER), service=service, timeout_seconds=120)
    outcome = engine.run(what, rootfs, tmp_path, recorder)
    assert [(step.kind, step.status, step.body, step.stderr, step.failure) for step in outcome.steps] == [
        ("ready", None, b"", b"", ""),
        ("request", 200, b"/a?b=c", b"", ""),
        ("exec", 4, b"other\n", b"err\n", ""),
    ], outcome.stderr
    assert (outcome.exit, outcome.stdout) == (3, b"listening\nstopping\n")
    assert {"/data/asked", "/data/other"} <= {access.path for access in recorder.accesses()}
    leftovers.check()


@pytest.mark.engine
def test_a_service_that_ends_at_once_is_told(engine: Engine, rootfs: Path, tmp_path: Path) -> None:
    service = Service(ready=Ready(tcp=("127.0.0.1", 8073), timeout_seconds=60))
    outcome = engine.run(_sh("echo no; exit 1", service=service), rootfs, tmp_path)
    assert [(step.kind, step.failure) for step in outcome.steps] == [("ready", "it ended before it was ready")]
    assert (outcome.exit, outcome.stdout) == (1, b"no\n")


@pytest.mark.engine
@pytest.mark.parametrize("argv", [("no-such-command",), ("/no/such/command",), ("/script",)])
def test_a_command_that_cannot_be_executed_is_an_error_that_names_it(
    engine: Engine, rootfs: Path, tmp_path: Path, leftovers: Leftovers, argv: tuple[str, ...]
) -> None:
    with pytest.raises(RunError, match=f"cannot run '{argv[0]}': "):
        engine.run(container(*argv), rootfs, tmp_path)
    leftovers.check()


@pytest.mark.engine
def test_time_over_ends_everything(
    engine: Engine, rootfs: Path, tmp_path: Path, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.5)
    time_is_over_after(b"ready\n", monkeypatch)
    outcome = engine.run(_sh(_IGNORES_SIGTERM), rootfs, tmp_path)
    assert (outcome.timed_out, outcome.stdout) == (True, b"ready\n")
    leftovers.check()


@pytest.mark.engine
def test_an_interrupt_leaves_nothing(engine: Engine, rootfs: Path, tmp_path: Path, leftovers: Leftovers) -> None:
    with interrupted(tmp_path):
        engine.run(_sh(_IGNORES_SIGTERM, timeout_seconds=120), rootfs, tmp_path)
    leftovers.check()


@pytest.mark.engine
def test_when_we_are_killed_the_container_goes_too(engine: Engine, rootfs: Path, tmp_path: Path) -> None:
    script = f"""
import sys; sys.path[:0] = {sys.path!r}
from pathlib import Path
from tests.support import sandbox
what = sandbox.container("/bin/sh", "-c", "echo > /outside/ready; " + {_IGNORES_SIGTERM!r}, timeout_seconds=120)
from dataclasses import replace
from mlbloat.model.conditions import Conditions, Mount
what = replace(what, conditions=Conditions(mounts=(Mount(source={str(tmp_path)!r}, target="/outside"),)))
Path({str(tmp_path)!r}, "scratch").mkdir()
sandbox.engine({engine.name!r}).run(what, Path({str(rootfs)!r}), Path({str(tmp_path)!r}, "scratch"))
"""
    victim = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 180
    while not (tmp_path / "ready").exists() and time.monotonic() < deadline:
        assert victim.poll() is None
        time.sleep(0.05)
    runs = [path.name for path in (tmp_path / "scratch").iterdir()]
    assert runs
    victim.kill()
    victim.wait()
    assert gone({engine.name}, runs)


def test_what_docker_is_told() -> None:
    conditions = Conditions(gpus=("all",), network="bridge", hosts=(("db", "10.1.2.3"),))
    what = replace(container("/bin/tool", "word"), conditions=conditions, groups=(5,), new_privileges=True)
    told = launchdocker.configuration(spec_of(what, Path("/r"), "/d/run-1", None), "sha256:1")
    assert (told["Entrypoint"], told["Cmd"], told["Image"]) == (["/bin/tool"], ["word"], "sha256:1")
    host = told["HostConfig"]
    assert (host["NetworkMode"], host["GroupAdd"], host["SecurityOpt"]) == ("bridge", ["5"], [])
    assert host["DeviceRequests"] == [{"Driver": "", "Count": -1, "Capabilities": [["gpu"]], "Options": {}}]
    some = replace(what, conditions=replace(conditions, gpus=("0", "GPU-1f")))
    told = launchdocker.configuration(spec_of(some, Path("/r"), "/d/run-1", None), "sha256:1")
    assert told["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == ["0", "GPU-1f"]


def test_what_podman_is_told() -> None:
    conditions = Conditions(gpus=("0", "1"), network="bridge", limits=(Limit(name="nofile", soft=5, hard=-1),))
    told = launchpodman.arguments(spec_of(replace(container("t"), conditions=conditions), Path("/r"), "/d/run-1", None))
    assert {"--device=nvidia.com/gpu=0", "--device=nvidia.com/gpu=1", "--network=bridge"} <= set(told)
    assert {"--ulimit=nofile=5:-1", "--security-opt=no-new-privileges", "--log-driver=none"} <= set(told)


@pytest.mark.parametrize("engine", [embedded, runc])
def test_our_own_engines_say_where_a_bridge_is(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="take --engine docker or --engine podman"):
        engine.run(_sh("true", conditions=Conditions(network="bridge")), tmp_path, tmp_path)


def test_a_tracer_that_stops_calls_does_not_go_with_them() -> None:
    with pytest.raises(UsageError, match="cannot trace with seccomp what another engine starts"):
        tracers.choose("seccomp", watched_only=True)


def test_an_engine_that_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such.sock")
    assert "no daemon answers at unix:///no/such.sock" in dockerengine.problem(tracing=True)
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:2375")
    assert "only one on this machine can be watched" in dockerengine.problem(tracing=True)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for engine in (dockerengine, podmanengine):
        assert "it needs root" in engine.problem(tracing=False)
