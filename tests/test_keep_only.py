"""A profile holds all that its runs need: they run again on nothing else."""

import os
from pathlib import Path

import pytest

from mlbloat import workload
from mlbloat.image import load, squash
from mlbloat.model.container import Outcome
from mlbloat.model.step import Step
from mlbloat.model.use import RunRecord
from mlbloat.model.workload import Expect, Run
from tests.support import images, runnable, sandbox
from tests.support.engines import missing
from tests.support.keeponly import Proof, prove
from tests.test_fidelity import APP, PROBE

_CORPUS = os.environ.get("MLBLOAT_CORPUS", "").split() or [""]


@pytest.fixture(
    params=[pytest.param("embedded", marks=pytest.mark.sandbox), pytest.param("runc", marks=pytest.mark.engine)]
)
def engine_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_script_and_its_data(engine_name: str, tmp_path: Path) -> None:
    image = load(str(runnable.archive(tmp_path / "app.tar")), tmp_path)
    space = tmp_path / "space"
    space.mkdir()
    runs = (Run(name="main"), Run(name="check", run=("/app/check",)))
    proofs = prove(squash(image), image.config, runs, sandbox.engine(engine_name), space)
    for proof in proofs:
        assert (proof.again.exit, proof.again.stdout) == (proof.original.exit, proof.original.stdout)
        assert (proof.failures, proof.differences) == ((), ())
        assert proof.files[1] < proof.files[0]
    assert list(space.iterdir()) == []


def test_a_program_that_looks_without_opening(engine_name: str, tmp_path: Path) -> None:
    tools = ("/bin/sh", "/bin/cat", "/bin/ls", "/usr/bin/stat", "/usr/bin/readlink", "/usr/bin/test")
    layer = {**sandbox.shell_files(*tools), **dict(APP), "/app/probe": PROBE}
    archive = images.oci_archive(tmp_path / "app.tar", [layer], config={"Env": ["PATH=/usr/bin:/bin"]})
    image = load(str(archive), tmp_path)
    space = tmp_path / "space"
    space.mkdir()
    run = Run(name="probe", run=("/bin/sh", "/app/probe", "names"), expect=Expect(exit=None))
    (proof,) = prove(squash(image), image.config, (run,), sandbox.engine(engine_name), space)
    assert proof.original.stdout
    assert (proof.again.exit, proof.again.stdout) == (proof.original.exit, proof.original.stdout)


def test_a_proof_tells_a_run_that_is_another() -> None:
    def differences(again: Outcome, steps: tuple[Step, ...] = ()) -> tuple[str, ...]:
        said = b"took 1.5 s\n"
        record = RunRecord(name="main", engine="", tracer="", seconds=1, exit=0, stdout=said, stderr=b"", steps=steps)
        return Proof(record, again, (), (2, 1)).differences

    def outcome(status: int, stdout: bytes, *steps: Step) -> Outcome:
        return Outcome(exit=status, stdout=stdout, stderr=b"", seconds=1, steps=steps)

    def step(status: int, body: bytes) -> Step:
        return Step(kind="request", what="GET /", status=status, body=body)

    assert differences(outcome(0, b"took 12e-3 s\n")) == ()
    assert differences(outcome(1, b"took 1.5 s\n")) == ("exit status is 1, was 0",)
    assert differences(outcome(0, b"did 1.5 s\n")) == ("stdout: b'did 1.5 s\\n', was b'took 1.5 s\\n'",)
    asked = (step(200, b"one"),)
    assert differences(outcome(0, b"another log", *asked), asked) == ()
    assert differences(outcome(0, b"took 1.5 s\n"), asked) == ("0 steps, were 1",)
    assert differences(outcome(0, b"", step(200, b"two")), asked) == ("request GET /: b'two', was b'one'",)
    (status,) = differences(outcome(0, b"", step(500, b"one")), asked)
    assert "500" in status


@pytest.mark.corpus
@pytest.mark.engine
@pytest.mark.parametrize("name", _CORPUS)
def test_every_image_of_the_corpus(name: str, tmp_path: Path) -> None:
    directory = os.environ.get("MLBLOAT_CORPUS_WORKLOADS")
    if not name or not directory:
        missing("MLBLOAT_CORPUS names no image, or MLBLOAT_CORPUS_WORKLOADS no directory of NAME/mlbloat.yaml")
    asked = workload.load(Path(directory, name.rpartition("/")[2].partition(":")[0], "mlbloat.yaml"))
    image = load(f"docker:{name}", tmp_path)
    for number, run in enumerate(asked.profile):
        space = tmp_path / f"space-{number}"
        space.mkdir()
        (proof,) = prove(squash(image), image.config, (run,), sandbox.engine("runc"), space)
        print(f"{name} {run.name}: {proof.files[1]} of {proof.files[0]} files, exit {proof.again.exit}")
        assert proof.failures == ()
        assert proof.differences == ()
        same = proof.again.stdout == proof.original.stdout
        print(f"{name} {run.name}: output equal {'byte for byte' if same else 'but for numbers'}")
