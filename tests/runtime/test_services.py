"""Services that really run: asked from inside their network, by us, whatever the engine and its isolation."""

import os
import socket
import struct
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from mlbloat import runtime
from mlbloat.errors import RunError
from mlbloat.model.conditions import Conditions, Mount
from mlbloat.model.container import Container, Outcome
from mlbloat.model.workload import Exec, Expect, Ready, Request, Service, Stop
from mlbloat.runtime import Engine, embedded, service
from mlbloat.runtime.exchange import exchange, reached
from mlbloat.usage.trace import seccomp, strace, tracers
from tests.support import sandbox
from tests.support.ports import free_port
from tests.support.sandbox import HOST, container, python
from tests.support.trees import tree_of

_SERVER = """
import http.server, os, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(self.path.encode() + self.headers.get("X-Word", "").encode())
    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])).upper())
    def answer(self, body):
        open("/tmp/asked", "a").close()
        self.send_response(404 if self.path == "/none" else 200); self.end_headers(); self.wfile.write(body)
def stop(*_):
    print("stopping", flush=True); sys.exit(3)
signal.signal(signal.SIGQUIT, stop)
server = http.server.HTTPServer(("127.0.0.1", PORT), Handler)
print("listening on", PORT, flush=True)
server.serve_forever()
"""
_PORT = 8071
_URL = f"http://127.0.0.1:{_PORT}"
_READY = Ready(tcp=("127.0.0.1", _PORT), timeout_seconds=60)
_STOP = Stop(signal="QUIT", timeout_seconds=60)


@pytest.fixture(
    params=[
        pytest.param("embedded", marks=pytest.mark.sandbox),
        pytest.param("runc", marks=pytest.mark.engine),
    ]
)
def engine(request: pytest.FixtureRequest) -> Engine:
    return sandbox.engine(str(request.param))


def _server(service: Service, port: int = _PORT) -> Container:
    return replace(python(_SERVER.replace("PORT", str(port))), service=service)


def _executed(code: str, **fields: float) -> Exec:
    return Exec(run=(sys.executable, "-I", "-c", code), expect=Expect(), **fields)


def _run(engine: Engine, service: Service, scratch: Path) -> Outcome:
    outcome = engine.run(_server(service), HOST, scratch)
    assert list(scratch.iterdir()) == []
    return outcome


def test_a_service_is_awaited_asked_and_stopped(engine: Engine, tmp_path: Path) -> None:
    requests = (
        Request(url=f"{_URL}/a?b=c", headers=(("X-Word", "word"),)),
        Request(url=f"{_URL}/", method="POST", body=b"text"),
        Request(url=f"{_URL}/none"),
    )
    outcome = _run(engine, Service(ready=_READY, requests=requests, stop=_STOP), tmp_path)
    assert [(step.kind, step.what, step.status, step.body, step.failure) for step in outcome.steps] == [
        ("ready", f"ready tcp 127.0.0.1:{_PORT}", None, b"", ""),
        ("request", f"GET {_URL}/a?b=c", 200, b"/a?b=cword", ""),
        ("request", f"POST {_URL}/", 200, b"TEXT", ""),
        ("request", f"GET {_URL}/none", 404, b"/none", ""),
    ]
    assert (outcome.exit, outcome.stdout) == (3, b"listening on 8071\nstopping\n")


@pytest.mark.parametrize("ready", [Ready(http=f"{_URL}/health"), Ready(log=r"^listening on \d+$")])
def test_readiness_is_also_seen_by_an_answer_and_in_the_log(engine: Engine, tmp_path: Path, ready: Ready) -> None:
    outcome = _run(engine, Service(ready=ready, requests=(Request(url=_URL),), stop=_STOP), tmp_path)
    assert [(step.kind, step.status, step.failure) for step in outcome.steps] == [
        ("ready", None, ""),
        ("request", 200, ""),
    ]


def test_the_ready_service_is_asked_in_its_own_network(engine: Engine, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", _PORT)):  # the same port of this machine is somebody else's
        outcome = _run(engine, Service(ready=_READY, requests=(Request(url=_URL),), stop=_STOP), tmp_path)
    assert [step.status for step in outcome.steps] == [None, 200]


def test_a_command_runs_in_the_container_of_the_service(engine: Engine, tmp_path: Path) -> None:
    look = "import os; print(os.path.exists('/tmp/asked'), os.getpid() > 1, os.getcwd()); os.write(2, b'e'); exit(5)"
    service = Service(ready=_READY, requests=(Request(url=_URL),), exec=(_executed(look),), stop=_STOP)
    command = _run(engine, service, tmp_path).steps[-1]
    assert (command.status, command.body, command.stderr) == (5, b"True True /tmp\n", b"e")


@pytest.mark.parametrize(
    "tracer", [seccomp, pytest.param(strace, marks=pytest.mark.engine)], ids=lambda tracer: str(tracer.name)
)
def test_what_the_service_and_its_commands_touch_is_recorded(
    engine: Engine, tracer: ModuleType, tmp_path: Path
) -> None:
    recorder: tracers.Tracing = sandbox.tracer(tracer).Recorder()
    commands = tuple(_executed(f"open('/etc/hostname'); open('/tmp/by-{n}', 'w')") for n in range(2))
    service = Service(ready=_READY, requests=(Request(url=_URL),), exec=commands, stop=_STOP)
    outcome = engine.run(_server(service), HOST, tmp_path, recorder)
    assert [step.status for step in outcome.steps] == [None, 200, 0, 0], outcome
    paths = [access.path for access in recorder.accesses()]
    assert {"/tmp/asked", "/tmp/by-0", "/tmp/by-1"} <= set(paths)
    assert paths.index("/tmp/asked") < paths.index("/tmp/by-0") < paths.index("/tmp/by-1")


def test_a_command_that_cannot_be_started_or_does_not_end_is_said(engine: Engine, tmp_path: Path) -> None:
    nothing = Exec(run=("no-such-program",), expect=Expect())
    endless = _executed("import time; time.sleep(600)", timeout_seconds=1)
    outcome = _run(engine, Service(ready=_READY, exec=(nothing, endless, nothing), stop=_STOP), tmp_path)
    _, missing, late = outcome.steps
    assert missing.status not in (None, 0)
    assert b"no-such-program" in missing.stderr
    assert late.failure == "it did not end within 1 seconds"
    assert outcome.exit == 3


def test_a_service_that_ends_early_is_said_to(engine: Engine, tmp_path: Path) -> None:
    what = replace(python("print('no configuration'); raise SystemExit(9)"), service=Service(ready=_READY))
    outcome = engine.run(what, HOST, tmp_path)
    assert [(step.kind, step.failure) for step in outcome.steps] == [("ready", "it ended before it was ready")]
    assert (outcome.exit, outcome.stdout) == (9, b"no configuration\n")


def test_a_service_that_never_gets_ready_is_ended(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is over once it has answered that it is not ready, however long that takes."""
    clock = SimpleNamespace(monotonic=time.monotonic)

    def exchange_and_wait(*arguments: Any) -> tuple[int, bytes]:
        answer = exchange(*arguments)
        clock.monotonic = lambda: time.monotonic() + 86_400
        return answer

    monkeypatch.setattr(service, "time", clock)
    monkeypatch.setattr(service, "exchange", exchange_and_wait)
    ready = Ready(http=f"{_URL}/none", timeout_seconds=60)
    outcome = _run(engine, Service(ready=ready, requests=(Request(url=_URL),), stop=_STOP), tmp_path)
    assert [step.failure for step in outcome.steps] == ["it was not ready within 60 seconds: status 404"]
    assert outcome.exit == 3


def test_a_service_that_ends_while_it_is_asked_is_said_to(engine: Engine, tmp_path: Path) -> None:
    kill = _executed("import os, signal; os.kill(1, signal.SIGQUIT); import time; time.sleep(60)")
    outcome = _run(engine, Service(ready=_READY, exec=(kill,), stop=_STOP), tmp_path)
    assert [step.failure for step in outcome.steps if step.failure]
    assert outcome.exit == 3


def test_a_service_that_ignores_its_signal_is_killed_and_said_to(engine: Engine, tmp_path: Path) -> None:
    stop = Stop(signal="TERM", timeout_seconds=0.2)  # as the first process of its namespace it has no default action
    outcome = _run(engine, Service(ready=_READY, stop=stop), tmp_path)
    assert outcome.exit == 137
    assert [flag for flag in outcome.flags if "did not end within 0.2 seconds after SIGTERM and was killed" in flag]


def test_a_service_that_is_stopped_at_once_has_been_started(engine: Engine, tmp_path: Path) -> None:
    outcome = _run(engine, Service(stop=Stop(signal="TERM", timeout_seconds=0.2)), tmp_path)
    assert outcome.exit == 128 + 9  # no handler yet: it is killed, and by nobody before it ran


def test_the_hosts_network_is_reached_when_it_is_asked_for(engine: Engine, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    ready = Ready(tcp=("127.0.0.1", port), timeout_seconds=60)
    served = _server(Service(ready=ready, requests=(Request(url=url),), stop=_STOP), port)
    outcome = engine.run(replace(served, conditions=Conditions(network="host")), HOST, tmp_path)
    assert [step.status for step in outcome.steps] == [None, 200]


def test_a_port_that_is_taken_in_the_hosts_network_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ready = Ready(tcp=("127.0.0.1", server.getsockname()[1]))
        with pytest.raises(RunError, match=r"something answers at 127.0.0.1:.* already"):
            sandbox.engine("embedded").run(
                replace(_server(Service(ready=ready)), conditions=Conditions(network="host")), HOST, tmp_path
            )


def test_mounts_cover_what_the_image_has(engine: Engine, tmp_path: Path) -> None:
    scratch, data = tmp_path / "scratch", tmp_path / "data"
    scratch.mkdir()
    data.mkdir()
    data.chmod(0o777)
    (data / "f").write_text("from here\n")
    (tmp_path / "one").write_text("a file\n")
    mounts = (
        Mount(source=str(data), target="/srv/new/data"),
        Mount(source=str(data), target="/srv/fixed", read_only=True),
        Mount(source=str(tmp_path / "one"), target="/srv/one", read_only=True),
    )
    code = """
print(open("/srv/new/data/f").read() + open("/srv/one").read(), end="")
open("/srv/new/data/made", "w").close()
try: open("/srv/fixed/made", "w")
except OSError as error: print(error.strerror)
"""
    outcome = engine.run(replace(python(code), conditions=Conditions(mounts=mounts)), HOST, scratch)
    assert (outcome.stdout, outcome.stderr) == (b"from here\na file\nRead-only file system\n", b"")
    assert (data / "made").exists()


def test_a_connection_to_itself_is_no_service() -> None:
    port = free_port()

    def made(family: int, seconds: float) -> socket.socket:
        one = socket.socket(family)
        one.bind(("127.0.0.1", port))  # as the system may choose, where nobody listens
        return one

    with made(socket.AF_INET, 1) as one:
        one.connect(("127.0.0.1", port))
        assert one.getsockname() == one.getpeername()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert reached(made, ("127.0.0.1", port), 60.0) == "connection refused"


def test_what_a_command_wrote_is_kept_although_somebody_holds_its_output() -> None:
    with service._Output() as output:
        held = os.dup(output.sink)
        try:
            os.write(output.sink, b"x" * 60_000)
            assert len(output.content()) == 60_000
            assert not output._thread.is_alive()
        finally:
            os.close(held)


_SHELL_SERVICE = """
trap 'echo stopping; exit 3' TERM
echo 1 > /tmp/made
echo up >&2
while :; do sleep 0.05; done
"""


@pytest.mark.sandbox
@pytest.mark.parametrize("isolation", ["root", "user", "chroot"])
def test_every_isolation_of_the_sandbox_has_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    embedded_engine = sandbox.engine("embedded")
    if isolation not in embedded.isolations():
        pytest.skip(f"this process may not isolate by {isolation}")
    monkeypatch.setattr(embedded, "isolations", lambda: (isolation,))
    runtime.unpack(tree_of(sandbox.shell_files("/bin/sh", "/bin/cat", "/bin/sleep")), tmp_path / "rootfs")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    recorder = seccomp.Recorder()
    look = Exec(run=("cat", "/tmp/made"), expect=Expect())
    service = Service(ready=Ready(log="^up$"), exec=(look,), stop=Stop(signal="TERM"))
    what = replace(container("/bin/sh", "-c", _SHELL_SERVICE), service=service)
    outcome = embedded_engine.run(what, tmp_path / "rootfs", scratch, recorder)
    assert [(step.kind, step.status, step.body, step.failure) for step in outcome.steps] == [
        ("ready", None, b"", ""),
        ("exec", 0, b"1\n", ""),
    ], outcome
    assert (outcome.exit, outcome.stdout) == (3, b"stopping\n")
    assert any(access.path.endswith("/bin/cat") for access in recorder.accesses())
