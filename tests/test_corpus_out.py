"""The corpus as slim images: every destination takes them, and what comes out of it still does all of the workload.

    MLBLOAT_CORPUS=corpus/nginx:1 MLBLOAT_CORPUS_WORKLOADS=… .venv/bin/pytest -sm corpus tests/test_corpus_out.py

`MLBLOAT_CORPUS_PROFILES` names a directory of NAME.json, recorded before by `mlbloat trace`; without it they are
recorded here. `MLBLOAT_TRIVY` names that scanner (tests/support/trivy.py).
"""

import json
import os
import shutil
import stat
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from mlbloat import pipeline, workload
from mlbloat.image import load, squash
from mlbloat.model.package import Manager
from mlbloat.model.report import Report
from mlbloat.model.use import Level
from mlbloat.model.workload import Run, Workload
from mlbloat.packages import take_inventory
from mlbloat.pipeline import Request
from mlbloat.slim import SlimOptions, make_plan, parse_destination, publish, write
from mlbloat.slim.dockerfile import TOOL_IMAGE
from mlbloat.verify import compare
from tests.slim.stacks import image_of, merged
from tests.slim.test_docker import programs
from tests.support import distribution, engines, hadolint, otherreader, syft, trivy
from tests.support.held import Held
from tests.support.timeless import timeless

pytestmark = [pytest.mark.corpus, pytest.mark.engine]

NAMES = os.environ.get("MLBLOAT_CORPUS", "").split() or [""]
TAG = f"mlbloat-test/{uuid.uuid4().hex[:12]}"
PASSED = Run(name="poor", run=("/bin/true",))


@dataclass(frozen=True)
class Slim:
    name: str
    asked: Request
    layout: Path
    context: Path
    """Where its Dockerfiles lie."""
    report: Report
    sbom: str

    @property
    def short(self) -> str:
        return _short(self.name)


def _short(name: str) -> str:
    return name.rpartition("/")[2].partition(":")[0]


def _asked(name: str) -> Request:
    directory, profiles = (os.environ.get(f"MLBLOAT_CORPUS_{what}") for what in ("WORKLOADS", "PROFILES"))
    if not name or not directory:
        engines.missing("MLBLOAT_CORPUS names no image, or MLBLOAT_CORPUS_WORKLOADS no directory of NAME/mlbloat.yaml")
    recorded = (Path(profiles, f"{_short(name)}.json"),) if profiles else ()
    asked = workload.load(Path(directory, _short(name), "mlbloat.yaml"))
    return Request(reference=f"docker:{name}", workload=asked, profiles=recorded, engine="runc")


@pytest.fixture(scope="module", params=NAMES)
def slim(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slim]:
    """Slim an image once for all destinations, with all that is written beside it."""
    asked, space = _asked(request.param), tmp_path_factory.mktemp("slim")
    options = SlimOptions(dockerfile="Dockerfile", advice=True, sbom=True, restore=f"oci-dir:{space}/whole")
    result = pipeline.slim(asked, f"oci-dir:{space}/layout", wanted=options)
    assert result.failure == ""
    context = space / "context"
    context.mkdir()
    for name, text in {**result.dockerfile, "Dockerfile.lean": result.advice}.items():
        (context / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert result.report.slim is not None
    yield Slim(request.param, asked, space / "layout", context, result.report, result.sbom)
    shutil.rmtree(space)  # the next image may need the space


def _assert_runs(held: Held, asked: Workload) -> None:
    for run in (*asked.profile, *asked.verify):
        assert held.fails(run) == (), run.name


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_an_engine_runs_the_whole_workload(slim: Slim, engine: str) -> None:
    held = Held(engine, f"{TAG}:{slim.short}")
    publish(slim.layout, parse_destination(f"{engine}:{held.tag}"))
    try:
        _assert_runs(held, slim.asked.workload)
    finally:
        held.remove()


def test_a_registry_holds_the_same_image_and_takes_it_once(slim: Slim, tmp_path: Path) -> None:
    assert slim.report.slim is not None
    with distribution.running(tmp_path) as registry:
        place = parse_destination(f"registry:{registry.authority}/{TAG}:{slim.short}")
        publish(slim.layout, place)
        found = _inspected(f"docker://{place.tag}", "--tls-verify=false")
        assert found["Digest"] == slim.report.slim.digest
        assert load(str(place), tmp_path / "pulled").id == slim.report.slim.id
        copy = ("copy", "--quiet", "--src-tls-verify=false", f"docker://{place.tag}", f"oci:{tmp_path}/copy:slim")
        subprocess.run((engines.program("skopeo"), *copy), check=True, capture_output=True)
        assert load(f"oci-dir:{tmp_path}/copy", tmp_path / "copied").digest == slim.report.slim.digest
        for read in ("pulled", "copy", "copied"):
            shutil.rmtree(tmp_path / read)
        held = Held("docker", place.tag)
        subprocess.run((engines.program("docker"), "pull", "--quiet", held.tag), check=True, capture_output=True)
        try:
            _assert_runs(held, slim.asked.workload)
        finally:
            held.remove()


@pytest.mark.parametrize("scheme", ["docker-archive", "oci-archive"])
def test_skopeo_reads_an_archive(slim: Slim, tmp_path: Path, scheme: str) -> None:
    publish(slim.layout, parse_destination(f"{scheme}:{tmp_path}/slim.tar:mlbloat-test:slim"))
    found = _inspected(f"{scheme}:{tmp_path}/slim.tar")
    document = json.loads(load(f"oci-dir:{slim.layout}", tmp_path / "read").config.document)
    assert found["Env"] == document["config"]["Env"]
    assert len(found["Layers"]) == len(document["rootfs"]["diff_ids"])
    (tmp_path / "slim.tar").unlink()


def _inspected(place: str, *options: str) -> dict[str, Any]:
    done = subprocess.run([engines.program("skopeo"), "inspect", *options, place], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("scanner", ["syft", "trivy"])
def test_scanners_list_exactly_what_is_left(slim: Slim, tmp_path: Path, scanner: str) -> None:
    """Of APT and pip, which both scanners read; they do not look for environments of conda in images."""
    inventory = take_inventory(squash(load(f"oci-dir:{slim.layout}", tmp_path / "read")))
    left = {identity[:2] for identity in syft.identities(inventory) if identity[0] in ("apt", "pip")}
    if scanner == "trivy":
        # It leaves out what dpkg lists a second time: Python packages of the distribution.
        by_apt = {path for package in inventory.packages if package.manager is Manager.APT for path in package.files}
        python = (package for package in inventory.packages if package.manager is Manager.PIP)
        left -= {("pip", syft.normalised(each.name)) for each in python if not by_apt.isdisjoint(each.database)}
        found = trivy.packages(slim.layout, tmp_path / "cache")
    else:
        publish(slim.layout, parse_destination(f"docker-archive:{tmp_path}/slim.tar:mlbloat-test:slim"))
        artifacts = syft.artifacts(tmp_path / "slim.tar")
        found = {each.identity[:2] for each in artifacts if each.identity[0] in ("apt", "pip")}
        (tmp_path / "slim.tar").unlink()
    assert (found - left, left - found) == (set(), set())


def test_the_bill_names_the_packages_that_are_left_and_meets_its_schema(slim: Slim, tmp_path: Path) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(slim.sbom) is None
    left = take_inventory(squash(load(f"oci-dir:{slim.layout}", tmp_path / "read"))).packages
    bill = json.loads(slim.sbom)["components"]
    named = [(each["name"], each["version"]) for each in bill if each["type"] == "library"]
    assert sorted(named) == sorted((package.name, package.version) for package in left)


def test_the_image_that_has_everything_back_is_the_original(slim: Slim) -> None:
    runs = Workload(verify=slim.asked.workload.verify)
    verdict = pipeline.verify(replace(slim.asked, workload=runs), f"oci-dir:{slim.layout.parent}/whole")
    assert (verdict.passed, verdict.differences) == (True, ())


@pytest.mark.parametrize("keep", [Level.SAFE, Level.TRACED])
@pytest.mark.parametrize("name", NAMES)
def test_another_reader_finds_the_original_less_files_and_it_prints_the_same(
    name: str, keep: Level, tmp_path: Path
) -> None:
    whole = _asked(name)
    if keep is Level.TRACED:  # it does what was profiled, and no more
        runs = Workload(profile=(*whole.workload.profile, *whole.workload.verify))
        whole = replace(whole, workload=runs, profiles=())
    asked = replace(whole, keep=keep)
    result = pipeline.slim(asked, f"oci-dir:{tmp_path}/layout", wanted=SlimOptions(cut_metadata=False))
    assert result.failure == ""
    slim = otherreader.unpacked(f"oci:{tmp_path}/layout", tmp_path / "slim")
    original = otherreader.unpacked(f"docker-daemon:{name}", tmp_path / "original")
    after = otherreader.read(slim)
    assert after == otherreader.read(original, after)
    before = otherreader.kinds(original)
    gone = before.keys() - after.keys()
    # Only directories that held nothing but files that are gone go with them.
    folders = {path for path in gone if stat.S_ISDIR(before[path])}
    assert folders <= {path.rpartition("/")[0] for path in gone}
    assert {before[path] for path in gone - folders} <= {stat.S_IFREG}
    for tree in ("original", "slim"):
        shutil.rmtree(tmp_path / tree)
    ours, theirs = Held("docker", f"{TAG}:{_short(name)}-{keep.label}"), Held("docker", name)
    publish(tmp_path / "layout", parse_destination(f"docker:{ours.tag}"))
    try:
        for run in (*asked.workload.profile, *asked.workload.verify):
            if "stdout" in run.expect.same:
                assert ours.output(run).stdout == theirs.output(run).stdout != b"", run.name
    finally:
        ours.remove()


@pytest.fixture
def built(slim: Slim) -> Iterator[Held]:
    held = Held("docker", f"{TAG}:{slim.short}-built")
    yield held
    held.remove()


def _build(slim: Slim, held: Held, file: str) -> None:
    command = (engines.program("docker"), "build", "--quiet", "--force-rm", "--network=none", "--tag", held.tag)
    buildless = {**os.environ, "DOCKER_BUILDKIT": "0"}
    context = ("--file", slim.context / file, slim.context)
    done = subprocess.run((*command, *context), capture_output=True, text=True, env=buildless)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("file", ["Dockerfile", "Dockerfile.lean"])
def test_hadolint_has_nothing_to_say(slim: Slim, file: str) -> None:
    text = (slim.context / file).read_bytes().decode("utf-8", "surrogateescape")
    assert hadolint.said(text) == (0, "")


def test_the_dockerfile_builds_the_slim_tree(slim: Slim, built: Held, tmp_path: Path) -> None:
    tool = Held("docker", f"{TAG}:tool")
    plain = image_of(tmp_path / "plain", [programs()], config={"Env": ["PATH=/bin"]})
    everything = make_plan(plain, merged(plain), (), Level.SAFE)
    publish(write(plain, everything, tmp_path / "tool").directory, parse_destination(f"docker:{tool.tag}"))
    recipe = slim.context / "Dockerfile"
    recipe.write_text(recipe.read_text().replace(f"FROM {TOOL_IMAGE} ", f"FROM {tool.tag} "))
    try:
        _build(slim, built, "Dockerfile")
    finally:
        tool.remove()
    ours = load(f"oci-dir:{slim.layout}", tmp_path / "ours")
    theirs = load(f"docker:{built.tag}", tmp_path / "theirs")
    assert compare(timeless(squash(ours)), timeless(squash(theirs)), b"{}", b"{}", ()) == ()
    _assert_runs(built, slim.asked.workload)


def test_the_advice_builds_an_image_that_does_the_same(slim: Slim, built: Held) -> None:
    _build(slim, built, "Dockerfile.lean")
    _assert_runs(built, slim.asked.workload)


@pytest.mark.parametrize("keep", [Level.SAFE, Level.TRACED])
@pytest.mark.parametrize("name", NAMES)
def test_a_poor_profile_is_repaired(name: str, keep: Level, tmp_path: Path) -> None:
    """Profiled with a program that does nothing; the workload is only verified."""
    whole = _asked(name)
    poor = Workload(profile=(PASSED,), verify=(*whole.workload.profile, *whole.workload.verify))
    asked = replace(whole, workload=poor, profiles=(), keep=keep)
    result = pipeline.slim(asked, f"oci-dir:{tmp_path}/slim", wanted=SlimOptions(repair_rounds=3))
    verdict, slim = result.report.verdict, result.report.slim
    assert verdict is not None and slim is not None
    repair = verdict.repaired
    added = f"{repair.size_bytes:,} bytes, {repair.files} files in {repair.rounds} rounds" if repair else "nothing"
    print(f"\n{name} at {keep.label}: {slim.size_bytes / 1e6:.0f} MB of which repair added {added}")
    assert result.failure == ""
    assert verdict.passed
