"""The whole line, on an image that really runs and on the one that ships with mlbloat."""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from json import loads
from pathlib import Path

import pytest

from mlbloat import __version__, cli, pipeline
from mlbloat.errors import EngineError, RunError, UsageError
from mlbloat.image import load, squash
from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.report import Report
from mlbloat.model.use import Level
from mlbloat.model.workload import Expect, Run, Workload
from mlbloat.pipeline import Request
from mlbloat.report import json, table
from mlbloat.runtime import embedded as runtime_embedded
from mlbloat.slim import SlimOptions
from tests.support import images, runnable, sandbox
from tests.support.leftovers import below
from tests.support.runnable import assert_sums

MAIN = Run(name="main", expect=Expect(stdout="^hello, world$"))
CHECK = Run(name="check", run=("/app/check",), expect=Expect(stdout="^another input$", same=("stdout",)))


@pytest.fixture(autouse=True)
def space(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files go; whatever a test does, nothing is left there."""
    directory = tmp_path_factory.mktemp("space")
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    monkeypatch.setenv("TMPDIR", str(directory))
    yield directory
    assert list(directory.iterdir()) == []


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return runnable.archive(tmp_path / "app.tar")


@pytest.fixture
def embedded() -> str:
    return sandbox.engine("embedded").name


@pytest.fixture
def request_(archive: Path, embedded: str) -> Request:
    """Profile the image's own command; check an input that the profile does not have."""
    workload = Workload(profile=(MAIN,), verify=(CHECK,))
    return Request(reference=f"oci-archive:{archive}", workload=workload, engine=embedded)


def _lines(tree: FileTree) -> dict[str, tuple[object, ...]]:
    return {
        path: (entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime, entry.target, _content(tree, path))
        for path, entry in tree.items()
    }


def _content(tree: FileTree, path: str) -> bytes:
    return tree.read(tree[path]) if tree[path].kind is Kind.FILE else b""


def _timeless(report: Report) -> Report:
    runs = tuple(replace(run, seconds=0.0) for run in report.evidence.runs)
    return replace(report, evidence=replace(report.evidence, runs=runs))


# Without running anything


def test_a_static_scan_adds_up_and_says_that_it_is_static(archive: Path) -> None:
    report = pipeline.scan(Request(reference=str(archive)))
    assert_sums(report)
    assert (report.evidence.mode, report.evidence.runs) == ("static", ())
    assert any("nothing was run" in flag for flag in report.evidence.flags)
    assert report.image.reference == f"oci-archive:{archive}"
    assert [(package.manager, package.name, package.direct) for package in report.packages] == [
        ("apt", "unread", False)
    ]
    assert report.packages[0].unused_bytes >= 5000
    assert report.totals.shadowed_bytes == len("an older greeting\n") + 1000
    assert 0 < report.totals.used_bytes < report.totals.size_bytes
    databases = len(runnable.PACKAGE) + len(runnable.FILE_LIST)
    assert report.levels["traced"].size_bytes == databases  # which scanners need at every level


def test_the_same_archive_gives_the_same_report(archive: Path) -> None:
    first, second = (json.render(pipeline.scan(Request(reference=str(archive)))) for _ in range(2))
    assert first == second


def test_every_level_holds_the_one_before(archive: Path) -> None:
    sizes = [level.size_bytes for level in pipeline.scan(Request(reference=str(archive))).levels.values()]
    assert sizes == sorted(sizes)


def test_an_image_without_a_command_is_measured_and_not_slimmed(tmp_path: Path) -> None:
    archive = images.oci_archive(tmp_path / "data.tar", [{"/data/file": "content"}])
    report = pipeline.scan(Request(reference=str(archive)))
    assert_sums(report)
    assert report.totals.used_bytes == 0
    with pytest.raises(UsageError, match="the image has no command, so nothing says what it needs"):
        pipeline.slim(Request(reference=str(archive)), f"oci-archive:{tmp_path}/slim.tar")
    assert not (tmp_path / "slim.tar").exists()


def test_nothing_is_slimmed_to_what_was_traced_when_nothing_was(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot slim at --keep traced without a run"):
        pipeline.slim(Request(reference=str(archive), keep=Level.TRACED), f"oci-archive:{tmp_path}/slim.tar")


def test_verifying_needs_a_run(archive: Path) -> None:
    with pytest.raises(UsageError, match="cannot verify without a run"):
        pipeline.verify(Request(reference=str(archive)), str(archive))


def test_an_empty_image_is_no_error(tmp_path: Path) -> None:
    report = pipeline.scan(Request(reference=str(images.oci_archive(tmp_path / "none.tar", []))))
    assert_sums(report)
    assert (report.totals.files, report.totals.bloat_ratio) == (0, None)


def test_tracing_needs_a_workload(archive: Path) -> None:
    with pytest.raises(UsageError, match="cannot trace without a workload; give -w FILE, or a command after --"):
        pipeline.trace(Request(reference=str(archive)))


def test_a_static_slim_image_is_the_original_less_what_is_unused(archive: Path, tmp_path: Path) -> None:
    target = tmp_path / "slim.tar"
    result = pipeline.slim(Request(reference=str(archive)), f"oci-archive:{target}")
    assert result.failure == ""
    assert result.report.verdict is not None
    assert (result.report.verdict.passed, result.report.verdict.runs) == (True, ())
    left = _left(archive, target, tmp_path)
    assert {"/usr/share/never", "/usr/share/unread/data"}.isdisjoint(left)
    assert {"/app/main", "/app/greeting", "/app/other", "/bin", "/tmp"} <= left


def _left(archive: Path, target: Path, tmp_path: Path) -> set[str]:
    """Return the paths of the slim image, after holding every entry against the original's."""
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    original = load(f"oci-archive:{archive}", work)
    slim = load(f"oci-archive:{target}", work)
    before, after = _lines(squash(original)), _lines(squash(slim))
    database = "/var/lib/dpkg"
    for path, line in after.items():
        if not path.startswith(database):
            assert line == before[path], path
    fields = ("entrypoint", "command", "environment", "user", "working_directory")
    assert [getattr(slim.config, name) for name in fields] == [getattr(original.config, name) for name in fields]
    return set(after)


# With the embedded sandbox


@pytest.mark.sandbox
def test_a_traced_scan_adds_up_and_names_what_the_run_touched(request_: Request) -> None:
    report = pipeline.scan(request_)
    assert_sums(report)
    assert report.evidence.mode == "traced"
    (run,) = report.evidence.runs
    assert (run.name, run.engine, run.tracer, run.exit) == ("main", "embedded", "seccomp", 0)
    assert run.files >= 3  # the script, its shell and the greeting
    assert 0 < report.levels["traced"].size_bytes <= report.levels["safe"].size_bytes < report.totals.size_bytes


@pytest.mark.sandbox
def test_slim_removes_what_nothing_reaches_and_proves_the_rest(
    request_: Request, tmp_path: Path, archive: Path
) -> None:
    target = tmp_path / "slim.tar"
    result = pipeline.slim(request_, f"oci-archive:{target}", wanted=SlimOptions(dockerfile="Dockerfile.slim"))
    report = result.report
    assert_sums(report)
    assert result.failure == ""
    assert report.verdict is not None and report.slim is not None
    assert (report.verdict.passed, report.verdict.held_out) == (True, True)
    assert [(run.kind, run.name, run.passed) for run in report.verdict.runs] == [
        ("profile", "main", True),
        ("verify", "check", True),
    ]
    left = _left(archive, target, tmp_path)
    assert {"/usr/share/never", "/usr/share/unread/data"}.isdisjoint(left)
    assert {"/app/other", "/app/greeting"} <= left
    assert report.slim.reference == f"oci-archive:{target}"
    assert report.slim.size_bytes < sum(layer.tar_bytes for layer in load(str(archive), tmp_path / "work").layers)
    assert any(line.startswith("FROM ") for line in result.dockerfile["Dockerfile.slim"].splitlines())
    again = pipeline.scan(Request(reference=str(target)))
    assert (again.image.id, again.image.digest) == (report.slim.id, report.slim.digest)
    assert (
        again.totals.size_bytes <= report.totals.size_bytes - report.totals.unused_bytes + report.totals.shadowed_bytes
    )


@pytest.mark.sandbox
@pytest.mark.parametrize("kind", ["CMD-SHELL", "NONE"])
def test_the_health_check_of_the_slim_image_works_although_no_run_made_it(
    tmp_path: Path, embedded: str, kind: str
) -> None:
    line = "sleep 0 && test -s /opt/well || exit 1"
    config = runnable.CONFIG | {"Healthcheck": {"Test": [kind, line]}}
    layers: list[dict[str, images.Value]] = [*runnable.layers(), {"/opt/well": "well"}]
    archive = images.oci_archive(tmp_path / "app.tar", layers, config=config)
    check = Run(name="health", run=("/bin/sh", "-c", line), expect=Expect(exit=0))
    workload = Workload(profile=(MAIN,), verify=(check,))
    request = Request(reference=f"oci-archive:{archive}", workload=workload, engine=embedded)
    verdict = pipeline.slim(request, f"oci-archive:{tmp_path / 'slim.tar'}").report.verdict
    assert verdict is not None
    assert [run.passed for run in verdict.runs] == [True, kind == "CMD-SHELL"]


@pytest.mark.sandbox
def test_slim_twice_is_the_same_file(request_: Request, tmp_path: Path) -> None:
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    for target in (first, second):
        assert pipeline.slim(request_, f"oci-archive:{target}").failure == ""
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.sandbox
def test_what_was_slimmed_verifies_and_what_was_not_made_of_it_does_not(request_: Request, tmp_path: Path) -> None:
    target = tmp_path / "slim.tar"
    pipeline.slim(request_, f"oci-archive:{target}")
    verdict = pipeline.verify(request_, f"oci-archive:{target}")
    assert (verdict.passed, verdict.held_out, len(verdict.runs)) == (True, True, 2)
    changed: list[images.Members | bytes] = [*runnable.layers(), {"/app/greeting": "good bye\n"}]
    other = images.oci_archive(tmp_path / "other.tar", changed, config=runnable.CONFIG)
    verdict = pipeline.verify(request_, f"oci-archive:{other}")
    assert not verdict.passed
    assert any("/app/greeting" in difference for difference in verdict.differences)
    assert [run.passed for run in verdict.runs] == [False, True]


@pytest.mark.sandbox
def test_a_recorded_profile_gives_the_report_of_the_run(request_: Request, tmp_path: Path) -> None:
    profile = tmp_path / "usage.json"
    profile.write_bytes(pipeline.trace(request_))
    recorded = pipeline.scan(replace(request_, profiles=(profile,)))
    assert _timeless(recorded) == _timeless(pipeline.scan(request_))


@pytest.mark.sandbox
def test_a_profile_that_cannot_be_read_is_known_before_the_image_is(tmp_path: Path) -> None:
    request = Request(reference="oci-archive:/no/such.tar", profiles=(tmp_path / "missing.json",))
    with pytest.raises(UsageError, match=r"cannot read profile .*missing\.json: No such file"):
        pipeline.scan(request)
    with pytest.raises(UsageError, match=r"cannot read profile"):
        pipeline.slim(request, f"oci-dir:{tmp_path}/slim")


@pytest.mark.sandbox
def test_profiles_are_put_together_and_the_report_shows_what_each_run_added(request_: Request, tmp_path: Path) -> None:
    profile = tmp_path / "usage.json"
    profile.write_bytes(pipeline.trace(request_))
    profile.write_bytes(pipeline.trace(replace(request_, profiles=(profile,))))
    first, again = pipeline.scan(replace(request_, profiles=(profile,))).evidence.runs
    assert (first.files, first.new_files) == (again.files, first.files)
    assert (again.new_files, again.new_bytes) == (0, 0)


@pytest.mark.sandbox
def test_a_recorded_profile_is_enough_to_slim(request_: Request, tmp_path: Path) -> None:
    profile = tmp_path / "usage.json"
    profile.write_bytes(pipeline.trace(request_))
    result = pipeline.slim(replace(request_, profiles=(profile,)), f"oci-archive:{tmp_path}/slim.tar")
    assert result.failure == ""


@pytest.mark.sandbox
def test_explain_leads_from_a_file_to_the_run(request_: Request) -> None:
    (greeting,) = pipeline.explain(request_, "/app/greeting")
    assert greeting == "/app/greeting (traced): opened by run 'main'"
    never = pipeline.explain(request_, "/usr/share/unread/data")
    assert never[0] == "/usr/share/unread/data: nothing reached it"
    assert "apt package unread 1.0" in never[1]


@pytest.mark.sandbox
def test_what_a_run_writes_is_in_no_slim_image(request_: Request, archive: Path, tmp_path: Path) -> None:
    writes = Run(name="writes", run=("/bin/sh", "-c", "echo new > /app/new; echo changed > /app/greeting"))
    target = tmp_path / "slim.tar"
    pipeline.slim(replace(request_, workload=Workload(profile=(writes,))), f"oci-archive:{target}")
    left = _left(archive, target, tmp_path)  # compares contents
    assert "/app/new" not in left
    assert "/app/greeting" in left


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("run", "says"),
    [
        (Run(name="r", run=("/bin/sh", "-c", "echo oh no >&2; exit 3")), r"exit status is 3, expected 0 \(oh no\)"),
        (Run(name="r", expect=Expect(stdout="good bye")), "nothing in stdout matches 'good bye'"),
        (Run(name="r", run=("/no/such/program",)), "cannot run '/no/such/program': "),
        (Run(name="r", run=("no-such-program",)), "cannot run 'no-such-program': "),
        (
            Run(name="r", run=("/bin/sh", "-c", "trap 'exit 1' TERM; while :; do :; done"), timeout_seconds=0.3),
            "did not end within 0.3 seconds",
        ),
    ],
)
def test_a_run_that_fails_is_said_and_no_profile(request_: Request, run: Run, says: str) -> None:
    with pytest.raises(RunError, match=says):
        pipeline.scan(replace(request_, workload=Workload(profile=(run,))))


@pytest.mark.sandbox
def test_without_privileges_a_run_says_what_is_missing(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_embedded, "isolations", lambda: ())
    with pytest.raises(
        EngineError, match=r"cannot run containers here: embedded: this process may create neither .* run as root"
    ):
        pipeline.scan(request_)


@pytest.mark.sandbox
def test_an_image_that_does_not_verify_is_not_published(
    request_: Request,
    archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target, file = tmp_path / "slim.tar", tmp_path / "app.yaml"
    target.write_text("what was there")
    file.write_text(
        "profile: [{name: main, args: [world]}]\nverify: [{name: check, run: [/app/check]}]\ndrop: [/app/other]\n"
    )
    words = ["slim", str(archive), "-w", str(file), "-t", f"oci-archive:{target}", "--engine", "embedded"]
    dockerfile = ["--dockerfile", str(tmp_path / "Dockerfile")]
    monkeypatch.setattr(sys, "argv", ["mlbloat", *words, *dockerfile, "-o", "json"])
    assert cli._run() == 5
    said = capsys.readouterr()
    assert said.err.startswith(f"mlbloat: cannot publish oci-archive:{target}: verification failed: run 'check' ")
    assert len(said.err.splitlines()) == 1
    verdict = json.parse(said.out.encode(), "stdout").verdict
    assert verdict is not None
    assert [(run.name, run.passed) for run in verdict.runs] == [("main", True), ("check", False)]
    assert target.read_text() == "what was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.tar", "app.yaml", "slim.tar"]


@pytest.mark.sandbox
@pytest.mark.parametrize("keep", list(Level))
def test_the_profile_holds_at_every_level(request_: Request, tmp_path: Path, keep: Level) -> None:
    asked = replace(request_, keep=keep, workload=Workload(profile=(MAIN,)))
    result = pipeline.slim(asked, f"oci-archive:{tmp_path}/slim.tar")
    assert result.failure == ""
    assert result.report.verdict is not None
    assert not result.report.verdict.held_out


# The image that ships with mlbloat


@pytest.mark.sandbox
def test_the_demo_does_the_main_job(
    embedded: str, tmp_path: Path, space: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digests = set()
    for number in range(2):
        saved = tmp_path / f"{number}.json"
        monkeypatch.setattr(sys, "argv", ["mlbloat", "demo", "--engine", embedded, "-o", f"json={saved}"])
        assert cli._run() == 0
        report = json.load(saved)
        assert_sums(report)
        assert report.verdict is not None and report.slim is not None
        assert (report.verdict.passed, report.verdict.held_out) == (True, True)
        assert {name for name, manager in report.managers.items() if manager.packages} == {"apt", "pip"}
        assert report.slim.reduction_ratio is not None
        assert 0 < report.slim.reduction_ratio < 1
        assert report.slim.removed_files > 0
        assert list(space.iterdir()) == []
        digests.add(report.slim.digest)
    assert len(digests) == 1
    assert capsys.readouterr() == ("", "")


# Interrupted


def _command(number: int) -> str:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _wait_for_run(process: "subprocess.Popen[str]") -> dict[int, str]:
    """Wait until the command of the container runs; every process below the program at that moment."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        found = {number: _command(number) for number in below(process.pid)}
        if "sleep 601" in found.values():
            return found
        time.sleep(0.05)
    raise AssertionError(f"the run did not start: {process.communicate(timeout=60)}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "engine",
    [pytest.param("embedded", marks=pytest.mark.sandbox), pytest.param("runc", marks=pytest.mark.engine)],
)
def test_an_interrupted_run_leaves_nothing(
    archive: Path, tmp_path: Path, space: Path, engine: str, number: signal.Signals
) -> None:
    sandbox.engine(engine)
    words = ["slim", str(archive), "-t", f"oci-archive:{tmp_path}/slim.tar", "--engine", engine, "--", "sleep", "601"]
    process = subprocess.Popen(  # a shell's background job ignores SIGINT, and tests may run in one
        ["env", "--default-signal", sys.executable, "-m", "mlbloat", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        found = _wait_for_run(process)
        process.send_signal(number)
        said = process.communicate(timeout=300)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert said == ("", "mlbloat: interrupted; its containers, mounts and temporary files are gone\n")
    assert {command for child, command in found.items() if _command(child) == command} <= {""}
    assert str(space) not in Path("/proc/self/mountinfo").read_text()
    assert list(space.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.tar"]


# What verification missed


@pytest.mark.sandbox
def test_a_poor_profile_is_repaired_and_the_report_says_by_how_much(
    request_: Request, tmp_path: Path, archive: Path
) -> None:
    target = f"oci-archive:{tmp_path}/slim.tar"
    poor = replace(request_, keep=Level.TRACED)
    failed = pipeline.slim(poor, target)
    assert "let --repair 3 add what was missed" in failed.failure
    assert failed.report.verdict is not None
    assert "/app/check" in failed.report.verdict.runs[1].missing
    result = pipeline.slim(poor, target, wanted=SlimOptions(repair_rounds=5))
    assert result.failure == ""
    verdict = result.report.verdict
    assert verdict is not None and verdict.repaired is not None
    assert verdict.passed
    assert {"/app/check", "/app/other"} <= set(verdict.repaired.paths)
    assert verdict.repaired.files >= 2
    assert verdict.repaired.size_bytes >= len("another input\n")
    left = _left(archive, tmp_path / "slim.tar", tmp_path)
    assert {"/app/check", "/app/other"} <= left
    assert "/usr/share/unread/data" not in left
    assert "repaired" in table.render(result.report)


COLLECT = """#!/bin/sh
for part in /app/parts/*
do
    test -e "$part" && cat "$part"
done
"""


@pytest.mark.sandbox
@pytest.mark.parametrize("level", [Level.TRACED, Level.LINKED])
def test_a_run_that_lists_what_is_gone_is_repaired_in_one_round(tmp_path: Path, embedded: str, level: Level) -> None:
    """The shell asks for no part: it reads the names that there are."""
    base, application = runnable.layers()
    application |= {"/app/collect": COLLECT, "/app/parts/a": "first\n", "/app/parts/b": "second\n"}
    archive = images.oci_archive(tmp_path / "app.tar", [base, application], config=runnable.CONFIG)
    collect = Run(name="collect", run=("/app/collect",), expect=Expect(same=("stdout",)))
    poor = Request(
        reference=str(archive), workload=Workload(profile=(MAIN,), verify=(collect,)), keep=level, engine=embedded
    )
    failed = pipeline.slim(poor, f"oci-archive:{tmp_path}/slim.tar")
    assert "let --repair 3 add what was missed" in failed.failure
    result = pipeline.slim(poor, f"oci-archive:{tmp_path}/slim.tar", wanted=SlimOptions(repair_rounds=1))
    assert result.failure == ""
    verdict = result.report.verdict
    assert verdict is not None and verdict.repaired is not None
    assert {"/app/collect", "/app/parts/a", "/app/parts/b"} <= set(verdict.repaired.paths)
    assert "/usr/share/unread/data" not in _left(archive, tmp_path / "slim.tar", tmp_path)


@pytest.mark.sandbox
def test_repair_ends_when_nothing_more_is_missed(request_: Request, tmp_path: Path) -> None:
    wrong = Run(name="wrong", run=("/app/main", "you"), expect=Expect(stdout="^never$"))
    asked = replace(request_, workload=replace(request_.workload, verify=(wrong,)))
    result = pipeline.slim(asked, f"oci-archive:{tmp_path}/slim.tar", wanted=SlimOptions(repair_rounds=20))
    assert "verification failed" in result.failure
    assert result.report.verdict is not None and result.report.verdict.repaired is None
    assert not (tmp_path / "slim.tar").exists()


# Beside the image


def test_labels_say_where_an_image_comes_from_and_may_be_left_out(archive: Path, tmp_path: Path) -> None:
    original = load(str(archive), tmp_path / "original")
    found = []
    for name, labels in (("with", True), ("without", False)):
        pipeline.slim(
            Request(reference=str(archive)), f"oci-archive:{tmp_path}/{name}", wanted=SlimOptions(labels=labels)
        )
        image = load(f"oci-archive:{tmp_path}/{name}", tmp_path / f"{name}-read")
        found.append(loads(image.config.document)["config"].get("Labels"))
    assert found == [
        {"mlbloat.version": __version__, "mlbloat.keep": "safe", "mlbloat.original.digest": original.digest},
        None,
    ]


def test_the_way_back_is_published_with_the_slim_image(archive: Path, tmp_path: Path) -> None:
    wanted = SlimOptions(restore=f"oci-archive:{tmp_path}/whole.tar", sbom=True)
    result = pipeline.slim(Request(reference=str(archive)), f"oci-archive:{tmp_path}/slim.tar", wanted=wanted)
    original, whole = (
        squash(load(str(path), tmp_path / f"{path.stem}-read")) for path in (archive, tmp_path / "whole.tar")
    )
    assert _lines(original) == _lines(whole)
    assert loads(result.sbom)["metadata"]["component"]["name"] == f"oci-archive:{tmp_path}/slim.tar"


def test_the_way_back_never_replaces_the_slim_image(archive: Path, tmp_path: Path) -> None:
    for other in (f"oci-archive:{tmp_path}/slim.tar", f"docker-archive:{tmp_path}/x/../slim.tar:name:tag"):
        with pytest.raises(UsageError, match="another image there; name two places"):
            pipeline.slim(
                Request(reference=str(archive)), f"oci-archive:{tmp_path}/slim.tar", wanted=SlimOptions(restore=other)
            )
    assert not (tmp_path / "slim.tar").exists()


def test_a_slim_image_verifies_against_its_original_whatever_was_cut(
    archive: Path, tmp_path: Path, embedded: str
) -> None:
    target = f"oci-archive:{tmp_path}/slim.tar"
    pipeline.slim(Request(reference=str(archive)), target)
    slim = squash(load(target, tmp_path / "slim-read"))
    assert "Package: unread" not in slim.read(slim["/var/lib/dpkg/status"]).decode()
    asked = Request(reference=str(archive), workload=Workload(verify=(MAIN,)), engine=embedded)
    assert pipeline.verify(asked, target).differences == ()


def test_an_image_that_has_everything_back_verifies_against_its_original(
    archive: Path, tmp_path: Path, embedded: str
) -> None:
    whole = f"oci-archive:{tmp_path}/whole.tar"
    wanted = SlimOptions(restore=whole)
    pipeline.slim(Request(reference=str(archive)), f"oci-archive:{tmp_path}/slim.tar", wanted=wanted)
    asked = Request(reference=str(archive), workload=Workload(verify=(MAIN,)), engine=embedded)
    verdict = pipeline.verify(asked, whole)
    assert (verdict.passed, verdict.differences) == (True, ())


def test_the_one_platform_of_several_that_is_slimmed_is_said(tmp_path: Path) -> None:
    manifests: list[dict[str, object]] = []
    files: dict[str, bytes] = {}
    for architecture in ("amd64", "arm64"):
        extra = {"architecture": architecture}
        manifest, blobs = images.oci_manifest(runnable.layers(), config=runnable.CONFIG, extra=extra)
        platform = {"os": "linux", "architecture": architecture}
        manifests.append(images.descriptor(images._MANIFEST_TYPE, manifest, platform=platform))
        files |= blobs
    images.write_dir(tmp_path / "both", images.oci_layout(manifests) | files)
    asked = Request(reference=f"oci-dir:{tmp_path}/both", platform="linux/arm64")
    result = pipeline.slim(asked, f"oci-archive:{tmp_path}/slim.tar")
    assert (
        "the image is there for linux/amd64, linux/arm64; this is about linux/arm64 alone (--platform takes another)"
        in result.report.evidence.flags
    )
    assert result.report.image.platform == "linux/arm64"
