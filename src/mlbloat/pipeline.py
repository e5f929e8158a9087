"""The straight line (docs/how-it-works.md): read it from top to bottom.

reference ── load ──▶ Image ── squash ──▶ FileTree ── take_inventory ──▶ Inventory
workload ─── trace ──▶ [RunRecord] ── uses_of ──▶ [Use] ── follow ──▶ [Use] ── mark ──▶ [Mark]
[Mark] ── measure ──▶ Report
[Mark] ── make_plan ──▶ Plan ── write ──▶ image layout ── verify ──▶ Verdict ── publish ──▶ destination
"""

import datetime
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from mlbloat import __version__, findings, metrics, runtime
from mlbloat import slim as slimming
from mlbloat import verify as verification
from mlbloat.cache import Cache, NoCache, open_store, remembered
from mlbloat.errors import RunError, UsageError
from mlbloat.image import Limits, load, squash
from mlbloat.model.container import Outcome
from mlbloat.model.filetree import FileTree
from mlbloat.model.image import Image, ImageConfig
from mlbloat.model.mark import Mark
from mlbloat.model.package import Inventory
from mlbloat.model.report import Evidence, Report, SlimReport, Verdict
from mlbloat.model.use import Level, Origin, RunRecord
from mlbloat.model.workload import Ignore, Run, Workload
from mlbloat.packages import explain as explaining_packages
from mlbloat.packages import take_inventory
from mlbloat.usage import explain as explaining
from mlbloat.usage import flags, marking, static
from mlbloat.usage import trace as tracing


class Talk(Protocol):
    """What a user sees while the line works; never part of a result."""

    def stage(self, text: str) -> AbstractContextManager[None]:
        """Announce a stage, and that it ended."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Bytes done of a long read."""

    def say(self, text: str) -> None:
        """Mention which way was taken, for those who want to know."""


class Silence:
    """Talk for a program that uses mlbloat as a library."""

    def stage(self, text: str) -> AbstractContextManager[None]:
        return nullcontext()

    def progress(self, what: str, done: int, total: int | None) -> None:
        pass

    def say(self, text: str) -> None:
        pass


SILENCE = Silence()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a user asks for, whatever the command."""

    reference: str
    workload: Workload = field(default_factory=Workload)
    profiles: tuple[Path, ...] = ()
    """Recorded profiles: used instead of running the workload's profile."""
    keep: Level = Level.SAFE
    engine: str = "auto"
    tracer: str = "auto"
    platform: str | None = None
    cache: Path | None = None
    """Directory of what earlier runs learnt about layers; None: learn everything again."""
    limits: Limits = field(default_factory=Limits)
    """What an image may ask of this machine."""
    today: datetime.date = field(default_factory=datetime.date.today)
    """Decides which `ignore:` entries of the workload are over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slimmed:
    report: Report
    failure: str
    """Why the slim image was not published; empty when it was."""
    dockerfile: Mapping[str, str]
    """Files of the slimmed Dockerfile, name to text; empty when none was asked for."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """One image, opened: what every command starts from."""

    image: Image
    tree: FileTree
    space: Path
    """Scratch directory of this image alone."""
    cache: Cache


@dataclass(frozen=True, slots=True)
class _Analysis:
    subject: _Subject
    inventory: Inventory
    records: tuple[RunRecord, ...]
    marks: tuple[Mark, ...]
    evidence: Evidence
    ignores: tuple[Ignore, ...]
    today: datetime.date


def scan(request: Request, talk: Talk = SILENCE) -> Report:
    """Measure an image; with a workload, by what its profile runs touch."""
    with _workspace(request) as (space, cache):
        analysis = _analyse(request, space, cache, talk)
        return _measure(analysis, talk)


def slim(request: Request, destination: str, talk: Talk = SILENCE, *, dockerfile: str = "") -> Slimmed:
    """Write the image without what the plan removes, verify it, and publish it when it passed.

    `dockerfile` is the name of a Dockerfile to make of it as well.
    """
    target = slimming.parse_destination(destination, source=request.reference)
    slimming.check_destination(target, source=request.reference)
    with _workspace(request) as (space, cache):
        analysis = _analyse(request, space, cache, talk, verified=True)
        original = analysis.subject
        if not target.scheme:
            target = slimming.parse_destination(destination, source=original.image.reference)
            slimming.check_destination(target)
        _require_evidence(request, analysis)
        report = _measure(analysis, talk)
        with talk.stage("writing the slim image"):
            plan = slimming.make_plan(original.image, original.tree, analysis.marks, request.keep)
            written = slimming.write(original.image, plan, space / "layout")
        slimmed = _open(
            replace(request, reference=f"oci-dir:{written.directory}", platform=None), space / "slim", NoCache(), talk
        )
        verdict = _verdict(request, original, slimmed, analysis.records, plan.removed, talk)
        failure = "" if verdict.passed else _failure(destination, verdict)
        recipe = _dockerfile(original, plan, dockerfile)
        flags = recipe.flags if dockerfile else ()
        if not verdict.runs:
            flags = (
                *flags,
                "the slim image was compared with the original, and no run of it was verified: give -w FILE",
            )
        if not failure:
            with talk.stage(f"writing {target}"):
                slimming.publish(written.directory, target)
        evidence = replace(report.evidence, flags=(*report.evidence.flags, *flags))
        outcome = _slim_report(original.image, slimmed, written, str(target), len(plan.removed))
        return Slimmed(
            report=replace(report, evidence=evidence, slim=outcome, verdict=verdict),
            failure=failure,
            dockerfile={dockerfile: recipe.text, **recipe.files} if dockerfile else {},
        )


def trace(request: Request, talk: Talk = SILENCE) -> bytes:
    """Record the profile runs of a workload, after those of the profiles given; returns a profile file."""
    earlier = tuple(record for profile in request.profiles for record in tracing.load_profile(profile))
    if not request.workload.profile and not earlier:
        raise UsageError("cannot trace without a workload; give -w FILE, or a command after --")
    with _workspace(request) as (space, cache):
        subject = _open(request, space / "original", cache, talk)
        return tracing.profile_file((*earlier, *_trace(request, subject, talk)))


def verify(request: Request, slim_reference: str, talk: Talk = SILENCE) -> Verdict:
    """Hold two images against each other: entries, configuration, and every run of the workload."""
    if not request.workload.profile and not request.workload.verify:
        raise UsageError("cannot verify without a run; give -w FILE, or a command after --")
    with _workspace(request) as (space, cache):
        original = _open(request, space / "original", cache, talk, verified=True)
        slimmed = _open(replace(request, reference=slim_reference), space / "slim", cache, talk, verified=True)
        removed = tuple(entry.path for entry in original.tree.files() if entry.path not in slimmed.tree)
        return _verdict(request, original, slimmed, (), removed, talk)


def explain(request: Request, path: str, talk: Talk = SILENCE) -> tuple[str, ...]:
    """Say why a path is kept or not, as sentences from the file to its root."""
    with _workspace(request) as (space, cache):
        analysis = _analyse(request, space, cache, talk)
        return explaining.explain(path, analysis.subject.tree, analysis.marks, analysis.inventory)


def explain_package(request: Request, name: str, talk: Talk = SILENCE) -> tuple[str, ...]:
    """Say why a package is installed, what needs it, and whether it could go as a whole."""
    with _workspace(request) as (space, cache):
        analysis = _analyse(request, space, cache, talk)
        return explaining_packages.explain(name, analysis.inventory, analysis.marks)


def _open(request: Request, space: Path, cache: Cache, talk: Talk, *, verified: bool = False) -> _Subject:
    space.mkdir()
    with talk.stage(f"reading {request.reference}"):
        image = load(
            request.reference,
            space,
            platform=request.platform,
            progress=talk.progress,
            limits=request.limits,
            cache=cache,
            verified=verified,
            say=talk.say,
        )
        return _Subject(image, squash(image, request.limits), space, cache)


def _analyse(request: Request, space: Path, cache: Cache, talk: Talk, *, verified: bool = False) -> _Analysis:
    findings.check(request.workload.ignore)
    records = tuple(record for profile in request.profiles for record in tracing.load_profile(profile))
    subject = _open(request, space / "original", cache, talk, verified=verified)
    tree, config, workload = subject.tree, subject.image.config, request.workload
    with talk.stage("reading package databases"), remembered(tree, cache) as readable:
        inventory = take_inventory(readable)
    if not records and workload.profile:
        records = _trace(request, subject, talk)
    with talk.stage("following what the used files need"):
        touched = tracing.uses_of(records, tree, config)
        uses = static.follow(tree, inventory, config, touched, _commands(config, workload), subject.cache)
        marks = marking.mark(tree, inventory, uses, keep=workload.keep, drop=workload.drop, traced=bool(records))
    runs = metrics.run_reports(((record, tracing.uses_of((record,), tree, config)) for record in records), tree)
    evidence = Evidence(
        mode="traced" if records else "static",
        keep=request.keep.label,
        runs=runs,
        flags=(
            *subject.image.notes,
            *flags.flags_of(tree, records, workload, _origin(subject.image)),
            *flags.growth(runs),
        ),
    )
    return _Analysis(subject, inventory, records, marks, evidence, workload.ignore, request.today)


def _origin(image: Image) -> Origin:
    return Origin(id=str(image.id), diff_ids=tuple(str(layer.diff_id) for layer in image.layers))


def _require_evidence(request: Request, analysis: _Analysis) -> None:
    """Refuse to remove files when nothing says which are needed."""
    if analysis.records:
        return
    if request.keep is Level.TRACED:
        raise UsageError("cannot slim at --keep traced without a run; give -w FILE, or a command after --")
    if not _commands(analysis.subject.image.config, request.workload):
        raise UsageError(
            f"cannot slim {request.reference}: the image has no command, so nothing says what it needs; "
            f"give -w FILE, or a command after --"
        )


def _commands(config: ImageConfig, workload: Workload) -> tuple[tuple[str, ...], ...]:
    """The command lines of the profile, or the image's own; an image without one has no roots but its application."""
    if workload.profile:
        executed = (command.run for run in workload.profile if run.service for command in run.service.exec)
        return (*(runtime.command_line(config, run) for run in workload.profile), *executed)
    return tuple(words for words in (config.entrypoint + config.command,) if words)


def _trace(request: Request, subject: _Subject, talk: Talk) -> tuple[RunRecord, ...]:
    records = []
    for run in request.workload.profile:
        record = _traced(request, subject, run, talk)
        verification.require_expectations(run, record)
        records.append(record)
    return tuple(records)


def _traced(request: Request, subject: _Subject, run: Run, talk: Talk) -> RunRecord:
    engine = runtime.choose(request.engine, tracing=True)
    rootfs = _rootfs(subject, talk)
    with talk.stage(f"running '{run.name}' under {engine.name}, traced"):
        record = tracing.trace(run, subject.image.config, subject.tree, rootfs, subject.space, engine, request.tracer)
        return replace(record, origin=_origin(subject.image))


def _measure(analysis: _Analysis, talk: Talk) -> Report:
    subject = analysis.subject
    with talk.stage("adding up"):
        found = findings.find(subject.image, subject.tree, analysis.inventory, analysis.marks, subject.cache)
        heard = findings.silence(found, analysis.ignores, analysis.today)
        evidence = analysis.evidence
        return metrics.measure(
            image=subject.image,
            tree=subject.tree,
            inventory=analysis.inventory,
            marks=analysis.marks,
            evidence=replace(evidence, flags=(*evidence.flags, *heard.flags)),
            findings=heard.findings,
            silenced=heard.silenced,
        )


def _verdict(
    request: Request,
    original: _Subject,
    slimmed: _Subject,
    records: tuple[RunRecord, ...],
    removed: tuple[str, ...],
    talk: Talk,
) -> Verdict:
    with talk.stage("comparing the two images"):
        differences = verification.compare(
            original.tree, slimmed.tree, original.image.config.document, slimmed.image.config.document, removed
        )
    return verification.verify(
        request.workload,
        original=_executor(request, original, "the original", talk),
        slim=_executor(request, slimmed, "the slim image", talk),
        recorded=records,
        differences=differences,
        missed=_missed(request, original, slimmed, talk),
    )


def _missed(
    request: Request, original: _Subject, slimmed: _Subject, talk: Talk
) -> Callable[[Run, RunRecord | Outcome], tuple[str, ...]]:
    """A function that runs a failed run again, traced, and names the removed files that it looked for."""

    def missed(run: Run, failed: RunRecord | Outcome) -> tuple[str, ...]:
        try:
            record = _traced(request, slimmed, run, talk)
        except RunError:
            return ()  # it did not start, or did not end: that is said already
        return verification.missing_files(record.accesses, original.tree, slimmed.tree)

    return missed


def _executor(request: Request, subject: _Subject, side: str, talk: Talk) -> Callable[[Run], Outcome]:
    """A function that runs one run on one image, untraced."""

    def execute(run: Run) -> Outcome:
        engine = runtime.choose(request.engine, tracing=False)
        container = runtime.container_of(subject.image.config, run, subject.tree)
        rootfs = _rootfs(subject, talk)
        with talk.stage(f"running '{run.name}' on {side}"):
            return engine.run(container, rootfs, subject.space)

    return execute


def _rootfs(subject: _Subject, talk: Talk) -> Path:
    """The image's tree as a directory, made when the first run asks for it."""
    directory = subject.space / "rootfs"
    if not directory.exists():
        with talk.stage(f"unpacking {subject.image.reference}"):
            runtime.unpack(subject.tree, directory)
    return directory


def _slim_report(
    image: Image, slimmed: _Subject, written: slimming.SlimImage, reference: str, removed_files: int
) -> SlimReport:
    before, after = metrics.content_bytes(image), metrics.content_bytes(slimmed.image)
    compressed = image.compressed_bytes
    return SlimReport(
        reference=reference,
        id=str(written.id),
        digest=str(written.digest),
        size_bytes=metrics.size_bytes(slimmed.tree),
        compressed_bytes=written.compressed_bytes,
        reduction_ratio=(before - after) / before if before else None,
        compressed_reduction_ratio=(compressed - written.compressed_bytes) / compressed if compressed else None,
        removed_files=removed_files,
    )


def _dockerfile(original: _Subject, plan: slimming.Plan, name: str) -> slimming.DockerfileResult:
    scheme, _, place = original.image.reference.partition(":")
    return slimming.slimmed_dockerfile(
        original.image,
        original.tree,
        plan,
        base=place if scheme in ("docker", "podman", "registry") else "",
        list_name=f"{name}.removed",
    )


def _failure(destination: str, verdict: Verdict) -> str:
    failed = [run.name for run in verdict.runs if not run.passed]
    what = f"run '{failed[0]}' differs" if failed else "it differs from the original in more than deletions"
    more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
    return (
        f"cannot publish {destination}: verification failed: {what}{more}; "
        f"keep more (--keep package, or `keep:` rules), or add what is missing to the profile"
    )


@contextmanager
def _workspace(request: Request) -> Iterator[tuple[Path, Cache]]:
    """A directory for one command, gone afterwards, whatever happened; and the cache, which stays."""
    with open_store(request.cache, __version__) as cache:
        space = Path(tempfile.mkdtemp(prefix="mlbloat-"))
        try:
            yield space, cache
        finally:
            runtime.remove_tree(space)
