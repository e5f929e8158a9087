"""The whole line against real engines: the same image from everywhere, and a result that they run."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from mlbloat import pipeline
from mlbloat.image.overlay2 import UNVERIFIED, NotInPlaceError
from mlbloat.model.report import Report
from mlbloat.model.workload import Expect, Run, Workload
from mlbloat.pipeline import Request
from mlbloat.slim import SlimOptions
from tests.support import distribution, engines, images, runnable, sandbox
from tests.support.held import Held

pytestmark = pytest.mark.engine

NAME = f"mlbloat-test/{uuid.uuid4().hex[:12]}"
WORKLOAD = Workload(
    profile=(Run(name="main", expect=Expect(stdout="^hello, world$")),),
    verify=(Run(name="check", run=("/app/check",), expect=Expect(stdout="^another input$", same=("stdout",))),),
)


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    with closing(engines.docker_client()) as client:
        yield client
        for image in client.images.list(NAME):
            for tag in image.tags:
                client.images.remove(tag, force=True)


@pytest.fixture
def original(client: docker.DockerClient, tmp_path: Path) -> str:
    """The image in the docker engine."""
    tag = f"{NAME}:original"
    path = images.docker_archive(tmp_path / "load.tar", runnable.layers(), config=runnable.CONFIG, tag=tag)
    with path.open("rb") as stream:
        client.images.load(stream)
    return tag


def _saved(reference: str, path: Path) -> Path:
    with path.open("wb") as out:
        subprocess.run([engines.program("docker"), "save", reference], stdout=out, check=True)
    return path


def _copied(source: str, target: str, *options: str) -> None:
    subprocess.run([engines.program("skopeo"), "copy", "-q", *options, source, target], check=True)


def _figures(report: Report, *, identity: bool = True) -> Report:
    """Leave out what differs between two places of one image: its name, the manifest, how it is compressed, and
    whether it was verified."""
    image = replace(report.image, reference="", digest=None, compressed_bytes=None, config={})
    runs = tuple(replace(run, seconds=0.0) for run in report.evidence.runs)
    return replace(
        report,
        image=image if identity else replace(image, id=""),
        evidence=replace(report.evidence, runs=runs, flags=tuple(set(report.evidence.flags) - {UNVERIFIED})),
    )


def _without_docker(reference: str, monkeypatch: pytest.MonkeyPatch) -> Report:
    with monkeypatch.context() as patched:
        patched.setenv("DOCKER_HOST", "unix:///no/such/docker.sock")
        return pipeline.scan(Request(reference=reference, workload=WORKLOAD))


@pytest.fixture
def in_podman(original: str, tmp_path: Path) -> Iterator[str]:
    podman = engines.program("podman")
    subprocess.run([podman, "load", "-qi", tmp_path / "load.tar"], check=True, stdout=subprocess.DEVNULL)
    yield f"podman:{original}"
    subprocess.run([podman, "rmi", "-f", original], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def in_containerd(original: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    address, namespace = engines.containerd_address(), NAME.replace("/", "-")
    monkeypatch.setenv("CONTAINERD_ADDRESS", address)
    monkeypatch.setenv("CONTAINERD_NAMESPACE", namespace)
    ctr = (engines.program("ctr"), "--address", address, "--namespace", namespace)
    load = (*ctr, "images", "import", "--no-unpack", tmp_path / "load.tar")
    subprocess.run(load, check=True, stdout=subprocess.DEVNULL)
    yield f"containerd:{original}"
    subprocess.run([*ctr, "images", "rm", "--sync", original], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*ctr[:3], "namespaces", "rm", namespace], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def in_registry(tmp_path: Path) -> Iterator[str]:
    """The same image in a registry of its own, pushed by skopeo."""
    (tmp_path / "registry").mkdir()
    source = images.oci_archive(tmp_path / "push.tar", runnable.layers(), config=runnable.CONFIG)
    with distribution.running(tmp_path / "registry") as registry:
        target = f"{registry.authority}/team/app:1"
        _copied(f"oci-archive:{source}", f"docker://{target}", "--dest-tls-verify=false")
        yield f"registry:{target}"


def _exported(*_: object) -> Path:
    raise NotInPlaceError("this test wants the export")


def test_an_image_gives_the_same_report_from_everywhere(
    client: docker.DockerClient,
    original: str,
    in_podman: str,
    in_containerd: str,
    in_registry: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox.engine("runc")
    found = pipeline.scan(Request(reference=f"docker:{original}", workload=WORKLOAD))
    assert found.image.id == client.images.get(original).id
    assert [run.engine for run in found.evidence.runs] == ["runc"]
    if UNVERIFIED not in found.evidence.flags:
        engines.missing("docker's storage is not overlay2, or not readable here")
    runnable.assert_sums(found)

    with monkeypatch.context() as patched:
        patched.setattr("mlbloat.image.docker._storage", _exported)
        exported = pipeline.scan(Request(reference=f"docker:{original}", workload=WORKLOAD))
    assert UNVERIFIED not in exported.evidence.flags
    assert _figures(exported) == _figures(found)

    layers, config = runnable.layers(), runnable.CONFIG
    saved = _saved(original, tmp_path / "saved.tar")
    old = images.docker_archive(tmp_path / "old.tar", layers, config=config, tag=original, style="old")
    for reference in (
        in_podman,
        in_containerd,
        in_registry,
        f"docker-archive:{saved}",
        str(saved),
        f"docker-archive:{old}",
        f"docker-archive:{tmp_path}/load.tar",
        f"oci-archive:{images.oci_archive(tmp_path / 'zstd.tar', layers, config=config, compression='zstd')}",
        f"oci-dir:{images.oci_dir(tmp_path / 'layout', layers, config=config)}",
    ):
        assert _figures(_without_docker(reference, monkeypatch)) == _figures(found), reference


def test_one_cache_for_all_sources_changes_no_report(
    original: str, in_podman: str, in_registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cold, warmed by another source, warm, or without: what is learnt is of the layer, not of where it was."""
    layers, config = runnable.layers(), runnable.CONFIG
    references = (
        f"docker:{original}",
        in_registry,
        in_podman,
        f"docker-archive:{tmp_path}/load.tar",
        f"oci-archive:{images.oci_archive(tmp_path / 'zstd.tar', layers, config=config, compression='zstd')}",
        f"oci-dir:{images.oci_dir(tmp_path / 'layout', layers, config=config)}",
    )
    alone = {reference: pipeline.scan(Request(reference=reference)) for reference in references}
    for first in references[:3]:
        cache = tmp_path / f"cache-{references.index(first)}"
        for reference in (first, *references, first):
            assert pipeline.scan(Request(reference=reference, cache=cache)) == alone[reference], (first, reference)
    with monkeypatch.context() as patched:
        patched.setattr("mlbloat.image.docker._storage", _exported)
        exported = pipeline.scan(Request(reference=references[0]))
        assert pipeline.scan(Request(reference=references[0], cache=cache)) == exported
    assert _figures(exported) == _figures(alone[references[0]])


def test_what_skopeo_copies_is_the_same_image(original: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.engine("runc")
    found = pipeline.scan(Request(reference=f"docker:{original}", workload=WORKLOAD))
    saved = _saved(original, tmp_path / "saved.tar")
    _copied(f"docker-archive:{saved}", f"oci-archive:{tmp_path}/copy.tar:v1")
    _copied(f"docker-archive:{saved}", f"oci:{tmp_path}/copy:v1")
    for reference in (f"oci-archive:{tmp_path}/copy.tar", f"oci-dir:{tmp_path}/copy:v1"):
        # skopeo writes the configuration anew, as OCI has it, so that its digest is another.
        report = _without_docker(reference, monkeypatch)
        assert _figures(report, identity=False) == _figures(found, identity=False), reference


def test_an_oci_image_keeps_its_id_through_skopeo(tmp_path: Path) -> None:
    source = runnable.archive(tmp_path / "app.tar")
    _copied(f"oci-archive:{source}", f"oci-archive:{tmp_path}/copy.tar:v1")
    first, second = (pipeline.scan(Request(reference=str(path))) for path in (source, tmp_path / "copy.tar"))
    assert first.image.id == second.image.id
    assert _figures(first) == _figures(second)


def test_docker_runs_the_slim_image_to_the_same_end(client: docker.DockerClient, original: str, tmp_path: Path) -> None:
    sandbox.engine("runc")
    words = ["slim", f"docker:{original}", "-t", f"{NAME}:slim", "-o", "json", "-w", f"{tmp_path}/app.yaml"]
    (tmp_path / "app.yaml").write_text(
        "profile: [{name: main, expect: {stdout: '^hello, world$'}}]\n"
        "verify: [{name: check, run: [/app/check], expect: {same: stdout}}]\n"
    )
    ended = subprocess.run([sys.executable, "-m", "mlbloat", *words], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    before, after = (client.images.get(f"{NAME}:{tag}") for tag in ("original", "slim"))
    assert after.attrs["Size"] < before.attrs["Size"]
    for field in ("Entrypoint", "Cmd", "Env", "User", "WorkingDir"):
        assert after.attrs["Config"][field] == before.attrs["Config"][field]
    for command in ([], ["you"]):
        outputs = [client.containers.run(f"{NAME}:{tag}", command, remove=True) for tag in ("original", "slim")]
        assert outputs[0] == outputs[1] != b""
    with pytest.raises(docker.errors.ContainerError):
        client.containers.run(f"{NAME}:slim", ["/usr/share/never"], entrypoint="/bin/cat", remove=True)


def test_an_image_that_does_not_verify_gets_no_tag(client: docker.DockerClient, original: str, tmp_path: Path) -> None:
    sandbox.engine("runc")
    asked = Request(reference=f"docker:{original}", workload=replace(WORKLOAD, drop=("/app/other",)))
    result = pipeline.slim(asked, f"{NAME}:slim")
    assert "verification failed" in result.failure
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(f"{NAME}:slim")


@pytest.mark.usefixtures("in_podman")
def test_a_bare_tag_goes_to_the_engine_that_has_the_image(original: str, monkeypatch: pytest.MonkeyPatch) -> None:
    podman = engines.program("podman")
    with monkeypatch.context() as patched:
        patched.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
        result = pipeline.slim(Request(reference=original, workload=WORKLOAD), f"{NAME}:slim")
    assert (result.failure, result.report.image.reference) == ("", f"podman:{original}")
    assert result.report.slim is not None
    assert result.report.slim.reference == f"podman:{NAME}:slim"
    held = subprocess.check_output([podman, "image", "inspect", "--format", "{{.Id}}", f"{NAME}:slim"], text=True)
    subprocess.run([podman, "rmi", "-f", f"{NAME}:slim"], check=True, stdout=subprocess.DEVNULL)
    assert f"sha256:{held.strip()}" == result.report.slim.id


def test_podman_runs_the_slim_image_that_was_loaded_into_it(original: str, in_podman: str) -> None:
    sandbox.engine("runc")
    slim = Held("podman", f"{NAME}:slim")
    asked = Request(reference=in_podman, workload=WORKLOAD, engine="runc")
    assert pipeline.slim(asked, f"podman:{slim.tag}").failure == ""
    try:
        for run in (*WORKLOAD.profile, *WORKLOAD.verify):
            assert slim.fails(run) == ()
            assert slim.output(run).stdout == Held("podman", original).output(run).stdout
        gone = slim.output(Run(name="gone", run=("/bin/cat", "/usr/share/never")))
        assert (gone.exit, gone.stdout) == (1, b"")
    finally:
        slim.remove()


@pytest.mark.parametrize("engine", ["runc", "embedded"])
def test_both_engines_see_the_same_use(tmp_path: Path, engine: str) -> None:
    archive = runnable.archive(tmp_path / "app.tar")
    asked = Request(reference=str(archive), workload=WORKLOAD, engine=sandbox.engine(engine).name)
    other = pipeline.scan(replace(asked, engine=sandbox.engine("embedded").name))
    report = pipeline.scan(asked)
    assert report.totals == other.totals
    assert report.levels == other.levels


def test_no_image_of_that_name_is_not_found(client: docker.DockerClient) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "mlbloat", "scan", f"docker:{NAME}:missing"],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 4
    assert ended.stderr == (
        f"mlbloat: cannot find docker:{NAME}:missing: no such image in the docker engine; "
        f"docker pull {NAME}:missing first\n"
    )


def test_an_image_with_zstd_layers_runs_in_docker(client: docker.DockerClient, tmp_path: Path) -> None:
    layers = runnable.layers()
    source = images.oci_archive(tmp_path / "zstd.tar", layers, config=runnable.CONFIG, compression="zstd")
    wanted = SlimOptions(squash=True)
    for options in (SlimOptions(), wanted):
        result = pipeline.slim(Request(reference=str(source)), f"docker:{NAME}:slim", wanted=options)
        assert result.failure == ""
        assert client.containers.run(f"{NAME}:slim", remove=True, network_mode="none") == b"hello, world\n"
        labels = client.images.get(f"{NAME}:slim").labels
        assert labels["mlbloat.keep"] == "safe"
