"""What runs must not leave: processes, mounts, descriptors, control groups, files, containers and images of engines."""

import contextlib
import gc
import os
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import docker
import pytest

from mlbloat.model.container import Container, Outcome
from mlbloat.runtime import Listener, process, program
from mlbloat.runtime.messages import Spec

_SECONDS = 180.0
"""Until what another process takes away must be gone."""


def below(ancestor: int) -> set[int]:
    """Processes that descend from one."""
    parents = {}
    for number in (path.name for path in Path("/proc").iterdir() if path.name.isdigit()):
        try:
            parents[int(number)] = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
    mine = {ancestor}
    while more := {child for child, parent in parents.items() if parent in mine} - mine:
        mine |= more
    return mine - {ancestor}


def control_groups(runs: Iterable[str]) -> set[str]:
    """Those of these runs: others may be running on this machine, so that groups go while they are looked at."""
    wanted = {f"mlbloat-{run}" for run in runs}
    return {f"{here}/{name}" for here, names, _ in os.walk("/sys/fs/cgroup") for name in wanted & set(names)}


def in_docker(runs: Iterable[str]) -> set[str]:
    """Containers and images of these runs that the docker engine has."""
    try:
        with contextlib.closing(docker.from_env(timeout=600)) as client:
            names = {name for one in client.api.containers(all=True) for name in one["Names"]}
            names |= {tag for one in client.api.images("mlbloat-run") for tag in one["RepoTags"] or ()}
    except docker.errors.DockerException:
        return set()
    return {name for name in names if any(run in name for run in runs)}


def in_podman(runs: Iterable[str]) -> set[str]:
    found = program.find("podman")
    if found is None or os.geteuid() != 0:
        return set()
    listed = subprocess.run([found, "ps", "-a", "--format", "{{.Names}}"], capture_output=True, text=True, check=False)
    return {name for name in listed.stdout.split() if any(run in name for run in runs)}


class Leftovers:
    """Notes what is there before the runs of a test, and compares when they ended."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.runs: list[str] = []
        self.engines: set[str] = set()
        self._before = _state()

    def check(self) -> None:
        """Assert that nothing is left but what was there before."""
        assert list(self.scratch.iterdir()) == []
        assert _mounts_below(self.scratch) == set()
        assert _state() == self._before, (_state(), self._before)
        assert self.runs
        assert control_groups(self.runs) == set()
        if "docker" in self.engines:
            assert in_docker(self.runs) == set()
        if "podman" in self.engines:
            assert in_podman(self.runs) == set()


def gone(what: Iterable[str], runs: list[str]) -> bool:
    """Wait until nothing of these runs is left in engines of these names, whose launcher nobody waits for."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        left = (in_docker(runs) if "docker" in what else set()) | (in_podman(runs) if "podman" in what else set())
        if not left:
            return True
        time.sleep(0.2)
    return False


def ended(family: Iterable[int], runs: list[str]) -> bool:
    """Wait until no process of a family runs any more, and no control group of these runs is left."""
    deadline = time.monotonic() + 2 * _SECONDS
    while time.monotonic() < deadline:
        if not any(_runs(member) for member in family) and not control_groups(runs):
            return True
        time.sleep(0.05)
    return False


def _runs(process: int) -> bool:
    """Nobody may have waited for one that ended."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _mounts_below(directory: Path) -> set[str]:
    """Mounts elsewhere may be of others on this machine."""
    points = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    return {point for point in points if point.startswith(f"{directory}/")}


def _state() -> tuple[set[int], int]:
    gc.collect()  # what earlier tests left open in a cycle is not to be closed between two looks
    return below(os.getpid()), len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def leftovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Leftovers:
    """Watch over the runs of a test, whose scratch directory is `tmp_path`."""
    found = Leftovers(tmp_path)
    launch = process.launch

    def launch_and_note(spec: Spec, what: Container, listener: Listener | None) -> Outcome:
        found.runs.append(Path(spec["directory"]).name)
        found.engines.add(spec["engine"])
        return launch(spec, what, listener)

    monkeypatch.setattr(process, "launch", launch_and_note)
    return found
