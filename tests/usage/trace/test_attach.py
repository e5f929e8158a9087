"""Containers that run already: watched from outside, and left alone."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mlbloat import runtime
from mlbloat.errors import EngineError, ImageNotFoundError
from mlbloat.model.use import Action, RunRecord
from mlbloat.runtime import RunningContainer
from mlbloat.usage import trace as tracing
from tests.support import engines, images, sandbox


@pytest.fixture(params=["docker", "podman"])
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A running container that does nothing; its engine and its name."""
    engine = str(request.param)
    if engine == "docker":
        engines.docker_client().close()
    program, name = engines.program(engine), f"mlbloat-attach-{uuid.uuid4().hex[:12]}"
    tree = {**sandbox.shell_files("/bin/sh", "/bin/cat", "/bin/sleep"), "/data/after": "read"}
    archive = images.docker_archive(tmp_path / "i.tar", [tree], config={"Cmd": ["/bin/sh"]}, tag=f"{name}:1")
    with ExitStack() as at_end:
        _run(program, "load", "-i", str(archive))
        at_end.callback(_run, program, "rmi", "-f", f"{name}:1")
        # The limits that podman gives by default may be more than root of a small machine has.
        limits = [] if engine == "docker" else ["--ulimit", "nofile=64:64", "--ulimit", "nproc=64:64"]
        _run(
            program,
            "run",
            "-d",
            "--name",
            name,
            "--network",
            "none",
            *limits,
            f"{name}:1",
            "/bin/sh",
            "-c",
            "sleep 600; :",
        )
        at_end.callback(_run, program, "rm", "-f", name)
        yield engine, name


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _paths(record: RunRecord, action: Action) -> set[str]:
    return {access.path for access in record.accesses if access.action is action}


@pytest.mark.engine
def test_what_it_opens_from_now_on_and_holds_already_is_recorded(container: tuple[str, str]) -> None:
    engine, name = container
    said: list[str] = []

    def read(text: str) -> None:
        said.append(text)
        if len(said) == 1:
            _run(engines.program(engine), "exec", name, "/bin/cat", "/data/after")

    record = tracing.attach(f"{engine}:{name}", 1.0, read)
    assert "/data/after" in _paths(record, Action.OPENED)
    assert os.path.realpath("/bin/sh") in _paths(record, Action.EXECUTED)
    libraries = {Path(path).name for path in _paths(record, Action.OPENED)}
    assert "libc.so.6" in libraries
    assert not [access.path for access in record.accesses if access.path.startswith(("/proc", "/dev/", "/sys"))]
    assert (record.engine, record.tracer) == (engine, "fanotify")
    assert record.origin is not None and record.origin.id.startswith("sha256:")
    assert len(record.origin.diff_ids) == 1
    assert record.flags[0].startswith(f"stat-incomplete: {name} was watched for ")
    assert said[0].startswith(f"watching {engine}:{name} (image ")
    assert said[1].startswith("done after ")
    assert _run(engines.program(engine), "inspect", "-f", "{{.State.Running}}", name) == "true\n"


@pytest.mark.engine
def test_an_interrupt_ends_the_recording_and_keeps_it(container: tuple[str, str], tmp_path: Path) -> None:
    engine, name = container
    to = tmp_path / "usage.json"
    words = [sys.executable, "-m", "mlbloat", "trace", "--attach", f"{engine}:{name}", "-t", str(to)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    assert process.stderr.readline().startswith(f"watching {engine}:{name} ")
    _run(engines.program(engine), "exec", name, "/bin/cat", "/data/after")
    process.send_signal(2)
    said = process.communicate(timeout=300)[1]
    assert (process.returncode, said.split(" after ")[0]) == (0, "interrupted"), said
    (record,) = tracing.load_profile(to)
    assert "/data/after" in _paths(record, Action.OPENED)


@pytest.mark.engine
def test_the_end_of_the_container_ends_the_recording(container: tuple[str, str]) -> None:
    engine, name = container
    said: list[str] = []

    def stop(text: str) -> None:
        said.append(text)
        if len(said) == 1:
            _run(engines.program(engine), "kill", name)

    tracing.attach(name, 120.0, stop)
    assert said[-1].startswith("the container ended after ")
    # Podman calls it stopped at first, until it has cleaned up.
    _wait_for(lambda: _run(engines.program(engine), "inspect", "-f", "{{.State.Status}}", name) == "exited\n")
    with pytest.raises(EngineError, match=rf"cannot attach to {engine}:{name}: it is not running \(exited\); start it"):
        tracing.attach(f"{engine}:{name}", None, said.append)


@pytest.mark.engine
def test_a_container_that_is_not_there_is_said_to_be_nowhere() -> None:
    engines.docker_client().close()
    with pytest.raises(ImageNotFoundError, match=r"docker has no container of that name \(docker ps lists them\)"):
        runtime.find_running("docker:mlbloat-no-such-container")
    with pytest.raises(ImageNotFoundError, match="podman"):
        runtime.find_running("mlbloat-no-such-container")


def test_an_interrupt_while_it_says_that_it_watches_ends_the_recording_and_keeps_it() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    wait = sys.modules["mlbloat.usage.trace.attach"]._wait  # the package has a function of the same name
    assert wait(0, None, interrupt) == "interrupted"


def test_a_container_that_ends_meanwhile_is_said_to() -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    gone = RunningContainer("docker", "n", ended.pid, "i:1", "", ())
    for look in (runtime.mounted_over, runtime.loaded_by):
        with pytest.raises(EngineError, match=r"cannot attach to docker:n: No such .*; is it still running"):
            look(gone)


def test_a_name_with_a_strange_scheme_is_refused() -> None:
    with pytest.raises(ImageNotFoundError, match="name a container as docker:NAME, podman:NAME or NAME"):
        runtime.find_running("oci-archive:x")
