"""What a run named, by what it was doing then."""

import signal
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from mlbloat.metrics.phases import files_by_phase
from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Access, Action, Phase, RunRecord
from mlbloat.model.workload import Ready, Request, Service, Stop
from mlbloat.usage.trace import fanotify, seccomp, strace, tracers, uses_of
from mlbloat.usage.trace.notes import Notes
from tests.support import sandbox
from tests.support.sandbox import HOST, python
from tests.support.trees import tree_of

_SERVER = """
import os, signal, socket, sys
def stop(*_):
    os.stat("/proc/self"); os.mkdir("/tmp/stop"); os.listdir("/tmp/stop"); sys.exit(0)
os.mkdir("/tmp/start"); os.listdir("/tmp/start")
signal.signal(signal.SIGTERM, stop)
with socket.create_server(("127.0.0.1", 8077)) as server:
    print("ready", flush=True)
    while True:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            os.makedirs("/tmp/asked", exist_ok=True); os.listdir("/tmp/asked")
            connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
"""


def _record(*accesses: str, phases: tuple[tuple[Phase, int], ...]) -> RunRecord:
    return RunRecord(
        name="serve",
        engine="e",
        tracer="t",
        seconds=1.0,
        exit=0,
        stdout=b"",
        stderr=b"",
        accesses=tuple(Access(path, Action.OPENED) for path in accesses),
        phases=phases,
    )


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "tracer", [seccomp, fanotify, pytest.param(strace, marks=pytest.mark.engine)], ids=lambda tracer: str(tracer.name)
)
def test_a_service_s_phases_follow_each_other(tracer: ModuleType, tmp_path: Path) -> None:
    engine = sandbox.engine("embedded")
    if tracer is fanotify and (problem := tracer.problem()):
        assert sandbox.in_chroot(), problem
        return
    sandbox.tracer(tracer)
    service = Service(
        ready=Ready(log="ready", timeout_seconds=60),
        requests=(Request(url="http://127.0.0.1:8077/"),),
        stop=Stop(signal=signal.SIGTERM.name.removeprefix("SIG"), timeout_seconds=60),
    )
    recorder: tracers.Tracing = tracer.Recorder()
    outcome = engine.run(replace(python(_SERVER), service=service), HOST, tmp_path, recorder)
    assert (outcome.exit, outcome.stderr) == (0, b"")
    assert [step.failure for step in outcome.steps] == ["", ""]
    begins = dict(recorder.phases())
    assert list(begins) == [Phase.START, Phase.READY, Phase.REQUESTS, Phase.STOP]
    listed = [access.path if access.action is Action.LISTED else "" for access in recorder.accesses()]
    places = {name: listed.index(f"/tmp/{name}") for name in ("start", "asked", "stop")}
    assert begins[Phase.START] <= places["start"] < begins[Phase.READY] <= begins[Phase.REQUESTS]
    assert begins[Phase.REQUESTS] <= places["asked"] < begins[Phase.STOP] <= places["stop"]


def test_a_command_has_one_phase() -> None:
    assert Notes().phases() == ((Phase.START, 0),)
    assert files_by_phase(_record("/a", phases=((Phase.START, 0),)), tree_of({"/a": "a"})) == {}


def test_a_file_counts_in_the_phase_that_named_it_first() -> None:
    tree = tree_of({"/a": "a", "/b": "b", "/c": "c", "/d": None})
    phases = ((Phase.START, 0), (Phase.READY, 2), (Phase.REQUESTS, 2), (Phase.STOP, 5))
    record = _record("/a", "/d", "/b", "/a", "/missing", "/c", phases=phases)
    assert files_by_phase(record, tree) == {"start": 1, "ready": 0, "requests": 1, "stop": 1}


def test_a_use_says_what_the_service_was_doing() -> None:
    record = _record("/a", "/b", phases=((Phase.START, 0), (Phase.REQUESTS, 1)))
    uses = uses_of((record,), tree_of({"/a": "a", "/b": "b"}), ImageConfig(document=b"{}"))
    assert [(use.path, use.by) for use in uses] == [
        ("/a", "run 'serve' (when it started)"),
        ("/b", "run 'serve' (when it was asked)"),
    ]
