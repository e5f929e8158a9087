"""What may differ between an image and its slim image, whether it does, and what to do when it may not.

The pipeline writes and runs; this is what it knows about the result.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import structs

import mlbloat
from mlbloat import metrics, runtime, verify
from mlbloat import slim as slimming
from mlbloat.errors import RunError, UsageError, VerificationError
from mlbloat.model import label
from mlbloat.model.digest import Digest
from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.image import Image, ImageConfig
from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.package import Inventory
from mlbloat.model.report import Repair, Report, SlimReport, Verdict
from mlbloat.model.use import Level, Reason, RunRecord, Use
from mlbloat.model.workload import Run
from mlbloat.packages import take_inventory
from mlbloat.request import Request
from mlbloat.usage import entrypoint, static
from mlbloat.usage import trace as tracing


@dataclass(frozen=True, slots=True)
class Planned:
    """What may differ."""

    removed: tuple[str, ...]
    rewritten: Mapping[str, bytes]
    labels: Mapping[str, str] | None
    """None: mlbloat's own, whatever they say."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A slim image as it was written and read again, and what became of verifying it."""

    plan: slimming.Plan
    written: slimming.SlimImage
    tree: FileTree
    verdict: Verdict


def require_evidence(request: Request, image: Image, records: tuple[RunRecord, ...]) -> None:
    """Refuse to remove files when nothing says which are needed."""
    if records:
        return
    if request.keep is Level.TRACED:
        raise UsageError("cannot slim at --keep traced without a run; give -w FILE, or a command after --")
    if not entrypoint.commands_of(image.config, request.workload):
        raise UsageError(
            f"cannot slim {request.reference}: the image has no command, so nothing says what it needs; "
            f"give -w FILE, or a command after --"
        )


def planned(tree: FileTree, plan: slimming.Plan, labels: Mapping[str, str]) -> Planned:
    rewritten = {path: plan.rewritten[tree[path].inode] for path in plan.cut}
    return Planned((*plan.removed, *plan.removed_directories), rewritten, labels)


def allowed(original: FileTree, slim: FileTree) -> Planned:
    """What any slim image of an original may differ in: files that are gone, and databases that say so."""
    there = frozenset(slim)
    cut = slimming.cut_databases(original, take_inventory(original), there, frozenset(_left_alone(original, slim)))
    directories = cut.directories | slimming.emptied(original, there, ())
    gone = tuple(path for path in original if path not in there and _may_go(original, directories, path))
    same_size = {path: new for path, new in cut.rewritten.items() if path in slim and slim[path].size_bytes == len(new)}
    return Planned(gone, same_size, None)


def _left_alone(original: FileTree, slim: FileTree) -> Iterator[str]:
    """Yield what a run may have read: of packages that the slim image records, configuration, and records unchanged."""
    for package in take_inventory(slim).packages:
        for path in package.files:
            if path.startswith("/etc/") or (path in package.database and _is_same(original, slim, path)):
                yield path


def _is_same(original: FileTree, slim: FileTree, path: str) -> bool:
    before, after = original.get(path), slim.get(path)
    if before is None or after is None or not before.kind is after.kind is Kind.FILE:
        return False
    return before.size_bytes == after.size_bytes and original.read(before) == slim.read(after)


def _may_go(original: FileTree, directories: frozenset[str], path: str) -> bool:
    return original[path].kind is Kind.FILE or path in directories


def compare(original: Image, tree: FileTree, slim: Image, slim_tree: FileTree, what: Planned) -> tuple[str, ...]:
    return verify.compare(
        tree,
        slim_tree,
        original.config.document,
        slim.config.document,
        what.removed,
        rewritten=what.rewritten,
        labels=what.labels,
    )


def labels(image: Image, tree: FileTree, records: tuple[RunRecord, ...], keep: Level) -> dict[str, str]:
    """Say where a slim image comes from; nothing of it depends on the clock, or on the order in a run."""
    touched = sorted({use.path for use in tracing.uses_of(records, tree, image.config)})
    profile = Digest.of("".join(f"{path}\n" for path in touched).encode("utf-8", "surrogateescape"))
    return {
        label.VERSION: mlbloat.__version__,
        label.KEEP: keep.label,
        **({label.PROFILE: str(profile)} if records else {}),
        label.ORIGINAL: str(image.digest or image.id),
    }


def repaired(tree: FileTree, first: Proof, again: Callable[[tuple[Use, ...]], Proof], rounds: int) -> Proof:
    """Add what failed runs lack, and what that needs, and prove the image again, as long as that helps."""
    proof, added = first, dict[str, Use]()
    for number in range(1, rounds + 1):
        missing = {path: run.name for run in proof.verdict.runs if not run.passed for path in run.missing}
        if proof.verdict.passed or not missing.keys() - added.keys():
            break
        for path, run in missing.items():
            added[path] = Use(path, Level.SAFE, Reason.REPAIRED, f"run '{run}'", pinned=True)
        proof = again(tuple(added.values()))
        back = proof.plan.kept - first.plan.kept
        files, size_bytes = metrics.count(tree, back)
        repair = Repair(rounds=number, paths=tuple(sorted(added)), files=files, size_bytes=size_bytes)
        proof = replace(proof, verdict=replace(proof.verdict, repaired=repair))
    return proof


def needed_by(missed: tuple[Use, ...], tree: FileTree, inventory: Inventory, config: ImageConfig) -> tuple[Use, ...]:
    """Return what missed files cannot load without, kept at every level: else each round would find one file more."""
    if not missed:
        return ()
    roots = tuple(structs.replace(use, level=Level.TRACED) for use in missed)
    uses = static.follow(tree, inventory, config, roots, ())
    return tuple(structs.replace(use, level=Level.SAFE, pinned=True) for use in uses if use.level <= Level.LINKED)


def missed(
    run: Run,
    config: ImageConfig,
    tree: FileTree,
    slim: FileTree,
    on_original: Callable[[], RunRecord],
    on_slim: Callable[[], RunRecord],
) -> verify.Missed:
    """Name the removed files that a failed run lacks: those that it asks for, and those that the original gives it.

    The second is more: a program that lists a directory asks for no name that is not there, and one that stops at the
    first file asks for no second.
    """
    try:
        asked = verify.missing_files((access.path for access in on_slim().accesses), tree, slim)
    except RunError:
        asked = missed_at_start(config, tree, slim, run)
    try:
        record = on_original()
    except RunError:  # it takes longer when it is traced
        return verify.Missed(asked=asked)
    uses = tracing.uses_of((record,), tree, config)
    used = verify.missing_files((use.path for use in uses if use.level is Level.TRACED or use.pinned), tree, slim)
    if asked or used:
        return verify.Missed(asked=asked, used=used)
    return verify.Missed(listed=verify.missing_files(tracing.listed_by(record, tree), tree, slim))


def restored(original: Image, tree: FileTree, proof: Proof, method: slimming.Method | None, directory: Path) -> Path:
    """Write the image that has everything back; returns its layout."""
    return slimming.write_restored(original, tree, proof.plan, proof.written, directory, method=method).directory


def require_whole(original: Image, tree: FileTree, whole: Image, whole_tree: FileTree) -> None:
    """Hold the image that has everything back against the original."""
    differences = compare(original, tree, whole, whole_tree, Planned((), {}, None))
    if differences:
        raise VerificationError(
            f"cannot restore {original.reference}: {differences[0]}; report this, and leave out --restore"
        )


def missed_at_start(config: ImageConfig, tree: FileTree, slim: FileTree, run: Run) -> tuple[str, ...]:
    """Name the removed files that a command cannot start without: nothing traced it, so by static reach."""
    uses = static.follow(tree, take_inventory(tree), config, (), (runtime.command_line(config, run),))
    needed = {use.path for use in uses if use.level <= Level.LINKED and not use.pinned}
    return tuple(sorted(path for path in needed if path in tree and path not in slim))


def dockerfile(image: Image, tree: FileTree, plan: slimming.Plan, name: str) -> slimming.DockerfileResult:
    """Build the slimmed Dockerfile."""
    return slimming.slimmed_dockerfile(image, tree, plan, base=_base(image), list_name=f"{name}.removed")


def advice(
    image: Image,
    tree: FileTree,
    inventory: Inventory,
    marks: Iterable[Mark],
    proof: Proof,
    report: Report,
    wanted: slimming.SlimOptions,
) -> str:
    """Say what could be left out as a whole when what the slim image holds is needed; empty when nobody asked."""
    if not wanted.advice:
        return ""
    kept, marks = proof.plan.kept, tuple(marks)
    used = frozenset(mark.path for mark in marks if mark.file_class is FileClass.USED)
    asked = frozenset(use.path for mark in marks for use in mark.uses if use.reason is Reason.ASKED) & kept
    return slimming.lean_dockerfile(
        image, tree, inventory, kept, report.findings, used=used, asked=asked, base=_base(image)
    )


def _base(image: Image) -> str:
    """Return what FROM takes: only an image of an engine or a registry has such a name."""
    scheme, _, place = image.reference.partition(":")
    return place if scheme in ("docker", "podman", "registry") else ""


def slim_flags(proof: Proof) -> tuple[str, ...]:
    if proof.verdict.runs:
        return proof.plan.flags
    unproved = "the slim image was compared with the original, and no run of it was verified: give -w FILE"
    return (*proof.plan.flags, unproved)


def slim_report(report: Report, proof: Proof, reference: str) -> SlimReport:
    before, after = report.totals.size_bytes, metrics.size_bytes(proof.tree)
    compressed, written = report.image.compressed_bytes, proof.written
    return SlimReport(
        reference=reference,
        id=str(written.id),
        digest=str(written.digest),
        size_bytes=after,
        compressed_bytes=written.compressed_bytes,
        reduction_ratio=(before - after) / before if before else None,
        compressed_reduction_ratio=(compressed - written.compressed_bytes) / compressed if compressed else None,
        removed_files=len(proof.plan.removed),
    )


def with_result(report: Report, proof: Proof, reference: str, more_flags: tuple[str, ...]) -> Report:
    """The report of the original, and what came of slimming it."""
    flags = (*report.evidence.flags, *slim_flags(proof), *more_flags)
    return replace(
        report,
        evidence=replace(report.evidence, flags=flags),
        slim=slim_report(report, proof, reference),
        verdict=proof.verdict,
    )


def failure(destination: str, verdict: Verdict) -> str:
    """Say why nothing is published; empty when it is."""
    if verdict.passed:
        return ""
    failed = [run.name for run in verdict.runs if not run.passed]
    what = f"run '{failed[0]}' differs" if failed else "it differs from the original in more than deletions"
    more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
    remedy = "keep more (--keep package, or `keep:` rules), add what is missing to the profile"
    if not verdict.repaired and any(run.missing for run in verdict.runs):
        remedy += ", or let --repair 3 add what was missed"
    return f"cannot publish {destination}: verification failed: {what}{more}; {remedy}"
