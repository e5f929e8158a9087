"""Conditions that hold in containers that really run."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlbloat import runtime
from mlbloat.model.conditions import Conditions, Limit, Tmpfs
from mlbloat.runtime import Engine
from mlbloat.usage.trace.seccomp import Recorder
from tests.support import sandbox
from tests.support.sandbox import HOST, container, python
from tests.support.trees import tree_of

_EATS = "kept = [bytearray(b'x') * (1 << 20) for _ in range(400)]"


@pytest.fixture(
    params=[
        pytest.param("embedded", marks=pytest.mark.sandbox),
        pytest.param("runc", marks=pytest.mark.engine),
    ]
)
def engine(request: pytest.FixtureRequest) -> Engine:
    return sandbox.engine(str(request.param))


def _groups_can_be_made() -> bool:
    return Path("/sys/fs/cgroup/memory").is_dir() or Path("/sys/fs/cgroup/cgroup.controllers").exists()


def test_the_container_has_what_its_run_asks_for(engine: Engine, tmp_path: Path) -> None:
    conditions = Conditions(
        shared_memory_bytes=8 << 20,
        tmpfs=(Tmpfs(target="/srv/space", size_bytes=1 << 20),),
        limits=(Limit(name="nofile", soft=50, hard=60), Limit(name="core", soft=0, hard=0)),
        hosts=(("db", "10.1.2.3"),),
    )
    code = """
import os, resource, socket
for path in ("/dev/shm", "/srv/space"):
    space = os.statvfs(path); print(path, space.f_blocks * space.f_frsize)
print(resource.getrlimit(resource.RLIMIT_NOFILE), socket.gethostbyname("db"), socket.gethostbyname("localhost"))
"""
    outcome = engine.run(replace(python(code), conditions=conditions), HOST, tmp_path)
    assert outcome.stdout.decode().splitlines() == [
        "/dev/shm 8388608",
        "/srv/space 1048576",
        "(50, 60) 10.1.2.3 127.0.0.1",
    ], outcome.stderr


def test_what_a_run_changes_of_the_image_is_told(engine: Engine, tmp_path: Path) -> None:
    scratch, rootfs = tmp_path / "scratch", tmp_path / "rootfs"
    scratch.mkdir()
    files = {**sandbox.shell_files("/bin/sh", "/bin/rm"), "/data/a": "1", "/data/b": "2", "/data/c": "3"}
    runtime.unpack(tree_of(files), rootfs)
    script = "echo 9 > /data/b; rm /data/a; echo new > /data/new"
    outcome = engine.run(container("/bin/sh", "-c", script), rootfs, scratch)
    told = [flag for flag in outcome.flags if "held in memory" not in flag]
    assert told[0].startswith("it changed or deleted 2 files of the image, such as /data/a: ")


def test_a_long_scratch_directory_does_not_matter(engine: Engine, tmp_path: Path) -> None:
    scratch = tmp_path / ("long" * 30) / ("and-longer" * 10)
    scratch.mkdir(parents=True)
    recorder = Recorder()
    outcome = engine.run(python("open('/etc/hostname')"), HOST, scratch, recorder)
    assert (outcome.exit, outcome.stderr) == (0, b"")
    assert "/etc/hostname" in {access.path for access in recorder.accesses()}


def test_a_program_that_interrupts_itself_all_the_time_ends_and_is_told(engine: Engine, tmp_path: Path) -> None:
    code = """
import os, signal
signal.signal(signal.SIGALRM, lambda *_: None); signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for number in range(3000):
    try: os.stat("/")
    except OSError: pass
while True:
    try: signal.setitimer(signal.ITIMER_REAL, 0); break
    except OSError: pass  # it is traced as well
"""
    recorder = Recorder()
    outcome = engine.run(python(code), HOST, tmp_path, recorder)
    assert (outcome.exit, outcome.stderr) == (0, b"")
    assert [flag for flag in recorder.flags() if flag.startswith("it set a timer")]


def test_memory_ends_where_it_is_said_to_and_the_kill_is_told(engine: Engine, tmp_path: Path) -> None:
    what = replace(python(_EATS), conditions=Conditions(memory_bytes=100 << 20))
    outcome = engine.run(what, HOST, tmp_path)
    if outcome.exit == 0 and not _groups_can_be_made():
        assert "its limits on memory and processes did not hold" in " ".join(outcome.flags)
        return
    assert outcome.exit == 137
    told = "a process of it was killed, because it used more than 100 MiB of memory; raise `memory`"
    assert told in outcome.flags


def test_processes_end_where_they_are_said_to(engine: Engine, tmp_path: Path) -> None:
    code = """
import threading, time
started = 0
try:
    for started in range(100): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
except RuntimeError: print("refused", started < 40, flush=True)
import os; os._exit(0)
"""
    outcome = engine.run(replace(python(code), conditions=Conditions(processes=30)), HOST, tmp_path)
    refused = outcome.stdout == b"refused True\n"
    assert refused or "its limits on memory and processes did not hold" in " ".join(outcome.flags)
