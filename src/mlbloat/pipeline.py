"""The straight line (docs/how-it-works.md): read it from top to bottom.

reference ── load ──▶ Image ── squash ──▶ FileTree ── take_inventory ──▶ Inventory
workload ─── trace ──▶ [RunRecord] ── uses_of ──▶ [Use] ── follow ──▶ [Use] ── mark ──▶ [Mark]
[Mark] ── measure ──▶ Report
[Mark] ── make_plan ──▶ Plan ── write ──▶ image layout ── verify ──▶ Verdict ── publish ──▶ destination
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mlbloat import differ, findings, gpu, metrics, proving, runtime
from mlbloat import slim as slimming
from mlbloat import verify as verification
from mlbloat.cache import Cache, NoCache
from mlbloat.errors import UsageError
from mlbloat.image import Located, checked_beside, find, squash
from mlbloat.known import KnownReport
from mlbloat.model.container import Outcome
from mlbloat.model.difference import Difference
from mlbloat.model.filetree import FileTree
from mlbloat.model.image import Image
from mlbloat.model.mark import Mark
from mlbloat.model.package import Inventory
from mlbloat.model.report import Evidence, Report, Verdict
from mlbloat.model.talk import SILENCE, Silence, Talk
from mlbloat.model.use import RunRecord, Use
from mlbloat.model.workload import Run
from mlbloat.packages import explain as explaining_packages
from mlbloat.packages import known_inventory, take_inventory
from mlbloat.report import json as reports
from mlbloat.request import Request, Slimmed
from mlbloat.usage import entrypoint, flags, marking, static
from mlbloat.usage import explain as explaining
from mlbloat.usage import trace as tracing
from mlbloat.verify import Missed
from mlbloat.workspace import workspace

__all__ = [
    "SILENCE",
    "Request",
    "Silence",
    "Slimmed",
    "Talk",
    "diff",
    "explain",
    "explain_package",
    "scan",
    "slim",
    "trace",
    "verify",
]


@dataclass(frozen=True, slots=True)
class _Subject:
    """One image, opened: what every command starts from."""

    image: Image
    tree: FileTree
    space: Path
    """Scratch directory of this image alone."""
    cache: Cache


@dataclass(frozen=True, slots=True)
class _Asked:
    located: Located
    records: tuple[RunRecord, ...]
    """Of the profiles given."""


@dataclass(frozen=True, slots=True)
class _Analysis:
    subject: _Subject
    inventory: Inventory
    records: tuple[RunRecord, ...]
    marks: tuple[Mark, ...]
    evidence: Evidence
    beside: ExitStack
    """Closing it ends what checks the layers meanwhile."""


def scan(request: Request, talk: Talk = SILENCE) -> Report:
    """Measure an image; with a workload, by what its profile runs touch."""
    with workspace(request) as (space, cache):
        asked = _ask(request, space, cache, talk)
        known = KnownReport(cache, request, asked.located, asked.records)
        report = known.get()
        if report is None:
            report = _measure(request, _analyse(request, asked, cache, talk), talk)
            known.put(report)
        return report


def slim(
    request: Request, destination: str, talk: Talk = SILENCE, *, wanted: slimming.SlimOptions | None = None
) -> Slimmed:
    """Write the image without what the plan removes, verify it, and publish it when it passed."""
    wanted = wanted or slimming.SlimOptions()
    places = [
        slimming.parse_destination(text, source=request.reference) for text in (destination, wanted.restore) if text
    ]
    slimming.check_destinations(places, source=request.reference)
    wanted = replace(wanted, method=wanted.method or slimming.usual_method(places))
    with workspace(request) as (space, cache), ExitStack() as beside:
        asked = _ask(request, space, cache, talk, verified=True)
        analysis = _analyse(request, asked, cache, talk, beside)
        original = analysis.subject
        places = [slimming.settled(place, original.image.reference) for place in places]
        slimming.check_apart(places)  # again: a bare tag may turn out to be the other one
        proving.require_evidence(request, original.image, analysis.records)
        report = _measure(request, analysis, talk)
        prove = partial(_prove, request, wanted, analysis, talk=talk)
        proof = proving.repaired(original.tree, prove(()), prove, wanted.repair_rounds)
        failure = proving.failure(destination, proof.verdict)
        recipe = proving.dockerfile(original.image, original.tree, proof.plan, wanted.dockerfile)
        if not failure:
            layouts = [proof.written.directory]
            layouts += [_restored(request, original, proof, wanted, talk)] if wanted.restore else []
            # The way back first: a slim image never stands without the one that was asked for beside it.
            for place, layout in reversed(list(zip(places, layouts, strict=True))):
                with talk.stage(f"writing {place}"):
                    slimming.publish(layout, place)
        flags = recipe.flags if wanted.dockerfile else ()
        return Slimmed(
            report=proving.with_result(report, proof, str(places[0]), flags),
            failure=failure,
            dockerfile={wanted.dockerfile: recipe.text, **recipe.files} if wanted.dockerfile else {},
            advice=proving.advice(
                original.image, original.tree, analysis.inventory, analysis.marks, proof, report, wanted
            ),
            sbom=_sbom(analysis, proof, str(places[0]), talk) if wanted.sbom and not failure else "",
            prefetch=slimming.prefetch_paths(analysis.records, original.tree),
        )


def _prove(
    request: Request, wanted: slimming.SlimOptions, analysis: _Analysis, missed: tuple[Use, ...], talk: Talk
) -> proving.Proof:
    """Plan, write, read again, compare, run; what is published is what was read again."""
    original, records = analysis.subject, analysis.records
    tree, space = original.tree, original.space.parent
    for used in ("layout", "slim"):  # of a proof before this one, which failed
        if (space / used).exists():
            runtime.remove_tree(space / used)
    with talk.stage("writing the slim image"):
        marks = _marks(request, original, analysis.inventory, records, missed) if missed else analysis.marks
        inventory = analysis.inventory if wanted.cut_metadata else None
        looked = tracing.seen_directories(records, tree)
        plan = slimming.make_plan(
            original.image, tree, marks, request.keep, inventory=inventory, squash=wanted.squash, looked=looked
        )
        labels = proving.labels(original.image, tree, records, request.keep) if wanted.labels else {}
        written = slimming.write(original.image, plan, space / "layout", method=wanted.method, labels=labels)
    analysis.beside.close()  # nothing goes on beside a run
    slimmed = _open(_layout(request, written.directory), space / "slim", NoCache(), talk)
    verdict = _verdict(request, original, slimmed, records, proving.planned(tree, plan, labels), talk)
    return proving.Proof(plan, written, slimmed.tree, verdict)


def _layout(request: Request, directory: Path) -> Request:
    """Ask for an image that was written a moment ago, under the same limits."""
    return replace(request, reference=f"oci-dir:{directory}", platform=None)


def _restored(
    request: Request, original: _Subject, proof: proving.Proof, wanted: slimming.SlimOptions, talk: Talk
) -> Path:
    space = original.space.parent
    with talk.stage("writing the image that brings everything back"):
        layout = proving.restored(original.image, original.tree, proof, wanted.method, space / "restored-layout")
    whole = _open(_layout(request, layout), space / "restored", NoCache(), talk)
    with talk.stage("comparing it with the original"):
        proving.require_whole(original.image, original.tree, whole.image, whole.tree)
    return layout


def _sbom(analysis: _Analysis, proof: proving.Proof, name: str, talk: Talk) -> str:
    subject = analysis.subject
    with talk.stage("listing what is left of the packages"):
        left = take_inventory(proof.tree)
        return slimming.cyclonedx(
            subject.image, subject.tree, proof.written, analysis.inventory, left, proof.plan.kept, name
        )


def trace(request: Request, talk: Talk = SILENCE) -> bytes:
    """Record the profile runs of a workload, after those of the profiles given; returns a profile file."""
    earlier = tuple(record for profile in request.profiles for record in tracing.load_profile(profile))
    if not request.workload.profile and not earlier:
        raise UsageError("cannot trace without a workload; give -w FILE, or a command after --")
    with workspace(request) as (space, cache):
        subject = _open(request, space / "original", cache, talk)
        return tracing.profile_file((*earlier, *_trace(request, subject, talk)))


def verify(request: Request, slim_reference: str, talk: Talk = SILENCE) -> Verdict:
    """Hold two images against each other: entries, configuration, and every run of the workload."""
    if not request.workload.profile and not request.workload.verify:
        raise UsageError("cannot verify without a run; give -w FILE, or a command after --")
    with workspace(request) as (space, cache):
        original = _open(request, space / "original", cache, talk, verified=True)
        slimmed = _open(replace(request, reference=slim_reference), space / "slim", cache, talk, verified=True)
        return _verdict(request, original, slimmed, (), proving.allowed(original.tree, slimmed.tree), talk)


def diff(request: Request, other: str, talk: Talk = SILENCE) -> Difference:
    """Compare two images, or saved reports of them, by package, layer and file."""
    with workspace(request) as (space, cache):
        sides = []
        for name, reference in (("before", request.reference), ("after", other)):
            report = reports.saved(reference)
            if report is not None:
                sides.append(differ.of_report(report))
                continue
            subject = _open(replace(request, reference=reference), space / name, cache, talk)
            sides.append(differ.of_image(subject.image, subject.tree, known_inventory(subject.tree, cache)))
        with talk.stage("comparing"):
            return differ.difference(*sides)


def explain(request: Request, path: str, talk: Talk = SILENCE) -> tuple[str, ...]:
    """Say why a path is kept or not, as sentences from the file to its root."""
    with workspace(request) as (space, cache):
        analysis = _analyse(request, _ask(request, space, cache, talk), cache, talk)
        reasons = explaining.explain(path, analysis.subject.tree, analysis.marks, analysis.inventory)
        return reasons + gpu.explain(path, analysis.subject.tree, cache)


def explain_package(request: Request, name: str, talk: Talk = SILENCE) -> tuple[str, ...]:
    """Say why a package is installed, what needs it, and whether it could go as a whole."""
    with workspace(request) as (space, cache):
        analysis = _analyse(request, _ask(request, space, cache, talk), cache, talk)
        return explaining_packages.explain(name, analysis.inventory, analysis.marks)


def _ask(request: Request, space: Path, cache: Cache, talk: Talk, *, verified: bool = False) -> _Asked:
    """Find the image, once nothing else of the question can be wrong."""
    findings.check(request.workload.ignore)
    records = tuple(record for profile in request.profiles for record in tracing.load_profile(profile))
    return _Asked(_find(request, space / "original", cache, talk, verified=verified), records)


def _find(request: Request, space: Path, cache: Cache, talk: Talk, *, verified: bool = False) -> Located:
    space.mkdir()
    with talk.stage(f"finding {request.reference}"):
        return find(
            request.reference,
            space,
            platform=request.platform,
            progress=talk.progress,
            limits=request.limits,
            cache=cache,
            verified=verified,
            say=talk.say,
        )


def _read(request: Request, located: Located, cache: Cache, talk: Talk) -> _Subject:
    with talk.stage(f"reading {request.reference}"):
        image = located.load()
        return _Subject(image, squash(image, request.limits), located.workspace, cache)


def _open(request: Request, space: Path, cache: Cache, talk: Talk, *, verified: bool = False) -> _Subject:
    return _read(request, _find(request, space, cache, talk, verified=verified), cache, talk)


def _analyse(request: Request, asked: _Asked, cache: Cache, talk: Talk, beside: ExitStack | None = None) -> _Analysis:
    subject, records = _read(request, asked.located, cache, talk), asked.records
    tree, config, workload = subject.tree, subject.image.config, request.workload
    with talk.stage("reading package databases"):
        inventory = known_inventory(tree, cache)
    if not records and workload.profile:
        records = _trace(request, subject, talk)
    if beside:  # nearly all of the layers will be read
        beside.enter_context(checked_beside(subject.image))
    with talk.stage("following what the used files need"):
        marks = _marks(request, subject, inventory, records)
    runs = metrics.run_reports(((record, tracing.uses_of((record,), tree, config)) for record in records), tree)
    evidence = Evidence(
        mode="traced" if records else "static",
        keep=request.keep.label,
        runs=runs,
        flags=(
            *subject.image.notes,
            *flags.platform_flags(subject.image),
            *flags.flags_of(tree, inventory, records, workload, tracing.origin_of(subject.image)),
            *flags.growth(runs),
        ),
    )
    return _Analysis(subject, inventory, records, marks, evidence, beside or ExitStack())


def _marks(
    request: Request,
    subject: _Subject,
    inventory: Inventory,
    records: tuple[RunRecord, ...],
    missed: tuple[Use, ...] = (),
) -> tuple[Mark, ...]:
    """Judge every file by what runs touched, what verification missed, and all that they lead to."""
    tree, config, workload = subject.tree, subject.image.config, request.workload
    touched = (*tracing.uses_of(records, tree, config), *missed, *entrypoint.wanted(inventory, workload))
    uses = static.follow(tree, inventory, config, touched, entrypoint.commands_of(config, workload), subject.cache)
    uses += proving.needed_by(missed, tree, inventory, config)
    return marking.mark(tree, inventory, uses, keep=workload.keep, drop=workload.drop, traced=bool(records))


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
        return replace(record, origin=tracing.origin_of(subject.image))


def _measure(request: Request, analysis: _Analysis, talk: Talk) -> Report:
    subject = analysis.subject
    with talk.stage("adding up"):
        device = gpu.census(subject.tree, subject.cache, request.gpus)
        found = findings.find(subject.image, subject.tree, analysis.inventory, analysis.marks, subject.cache, device)
        heard = findings.silence(found, request.workload.ignore, request.today)
        return metrics.measure(
            image=subject.image,
            tree=subject.tree,
            inventory=analysis.inventory,
            marks=analysis.marks,
            evidence=replace(analysis.evidence, flags=(*analysis.evidence.flags, *heard.flags)),
            findings=heard.findings,
            silenced=heard.silenced,
            device=device,
            with_files=request.with_files,
        )


def _verdict(
    request: Request,
    original: _Subject,
    slimmed: _Subject,
    records: tuple[RunRecord, ...],
    planned: proving.Planned,
    talk: Talk,
) -> Verdict:
    with talk.stage("comparing the two images"):
        differences = proving.compare(original.image, original.tree, slimmed.image, slimmed.tree, planned)
    return verification.verify(
        request.workload,
        original=_executor(request, original, "the original", talk),
        slim=_executor(request, slimmed, "the slim image", talk),
        recorded=records,
        differences=differences,
        missed=_missed(request, original, slimmed, talk),
    )


def _missed(request: Request, original: _Subject, slimmed: _Subject, talk: Talk) -> Callable[[Run], Missed]:
    """A function that runs a failed run again, traced, on both images, and names the removed files that it lacks."""

    def missed(run: Run) -> Missed:
        original_run, slim_run = (partial(_traced, request, side, run, talk) for side in (original, slimmed))
        return proving.missed(run, original.image.config, original.tree, slimmed.tree, original_run, slim_run)

    return missed


def _executor(request: Request, subject: _Subject, side: str, talk: Talk) -> Callable[[Run], Outcome]:
    """A function that runs one run on one image, untraced."""

    def execute(run: Run) -> Outcome:
        engine = runtime.choose(request.engine, tracing=False)
        container = runtime.container_of(subject.image.config, run, subject.tree, engine)
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
