"""A profile holds all that its runs need: they run again on nothing else."""

import os
from pathlib import Path

import pytest

from mlbloat import workload
from mlbloat.image import load, squash
from mlbloat.model.workload import Expect, Run
from tests.support import images, runnable, sandbox
from tests.support.engines import missing
from tests.support.keeponly import prove
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
        assert proof.failures == ()
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
        assert proof.again.exit == proof.original.exit
        answers = [(step.kind, step.status, step.failure) for step in proof.again.steps]
        assert answers == [(step.kind, step.status, step.failure) for step in proof.original.steps]
        if not run.service:
            same = proof.again.stdout == proof.original.stdout
            print(f"{name} {run.name}: output {'equal byte for byte' if same else 'as expected'}")
