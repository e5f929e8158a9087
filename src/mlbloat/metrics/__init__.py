"""Marks to figures, by the formulas of docs/measures.md. Pure arithmetic on exact bytes.

Content is counted by inode: the names of a hard-linked file weigh once. Symbolic links and directories weigh nothing.
`used + reachable + unused = size` holds for the image and for every layer, manager and package.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from mlbloat.metrics.contents import UNOWNED, Content, Sum, contents_of, sum_of
from mlbloat.metrics.device_code import device_code
from mlbloat.metrics.directories import MAX_ORPHANS, directories, orphans
from mlbloat.metrics.files import files
from mlbloat.metrics.groups import grouping, unowned_homes
from mlbloat.metrics.kinds import kinds
from mlbloat.metrics.packages import packages, removable
from mlbloat.metrics.phases import files_by_phase
from mlbloat.metrics.removed import removed
from mlbloat.metrics.safeonly import safe_only
from mlbloat.model.chain import next_steps
from mlbloat.model.devicecode import NO_DEVICE_CODE, Census
from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.image import Image
from mlbloat.model.mark import Mark
from mlbloat.model.package import Inventory, Manager
from mlbloat.model.report import (
    Evidence,
    Finding,
    ImageReport,
    LayerReport,
    LevelReport,
    ManagerReport,
    Report,
    RunReport,
    SilencedReport,
    Totals,
)
from mlbloat.model.step import reports_of
from mlbloat.model.use import Level, RunRecord, Use

__all__ = [
    "MAX_ORPHANS",
    "UNOWNED",
    "count",
    "measure",
    "run_reports",
    "size_bytes",
]


def measure(
    *,
    image: Image,
    tree: FileTree,
    inventory: Inventory,
    marks: Sequence[Mark],
    evidence: Evidence,
    findings: tuple[Finding, ...] = (),
    silenced: tuple[SilencedReport, ...] = (),
    with_files: bool = False,
    device: Census = NO_DEVICE_CODE,
) -> Report:
    """Add everything up; raises nothing, any tree has a report. With `with_files` it has a row for each file."""
    contents = contents_of(tree, inventory, marks)
    shadowed = _shadowed(image, contents)
    measured = packages(tree, inventory, contents, marks)
    steps = next_steps(marks)
    home = unowned_homes(inventory)
    return Report(
        image=_image(image, contents.values(), shadowed),
        evidence=evidence,
        totals=_totals(sum_of(contents.values()), sum(shadowed)),
        levels={level.label: _level(contents.values(), level) for level in Level},
        managers=_managers(contents.values(), inventory),
        packages=measured,
        gpu=device_code(contents, device),
        kinds=kinds(contents, device),
        directories=directories(tree, contents),
        orphans=orphans(tree, home, contents),
        removable=removable(tree, inventory, contents, marks),
        safe_only=safe_only(contents.values(), grouping(inventory, home), steps),
        removed=removed(contents.values(), measured, evidence),
        findings=findings,
        silenced=silenced,
        problems=tuple(map(str, inventory.problems)),
        files=files(tree, inventory, contents, marks, steps) if with_files else None,
    )


def run_reports(runs: Iterable[tuple[RunRecord, Iterable[Use]]], tree: FileTree) -> tuple[RunReport, ...]:
    """One line of the report for each run: the regular files that it touched, and those that no run before it did."""
    seen: set[tuple[int, int]] = set()
    reports = []
    for record, touched in runs:
        entries = (tree[use.path] for use in touched if use.level is Level.TRACED)
        sizes = {entry.inode: entry.size_bytes for entry in entries if entry.kind is Kind.FILE}
        reports.append(replace(_run_report(record, sizes, seen), phases=files_by_phase(record, tree)))
        seen |= sizes.keys()
    return tuple(reports)


def _run_report(record: RunRecord, sizes: dict[tuple[int, int], int], seen: set[tuple[int, int]]) -> RunReport:
    new = sizes.keys() - seen
    return RunReport(
        name=record.name,
        engine=record.engine,
        tracer=record.tracer,
        seconds=round(record.seconds, 3),
        exit=record.exit,
        files=len(sizes),
        new_files=len(new),
        new_bytes=sum(sizes[inode] for inode in new),
        steps=reports_of(record.steps),
    )


def size_bytes(tree: FileTree) -> int:
    """Content of the regular files of a tree, each inode once."""
    return sum({entry.inode: entry.size_bytes for entry in tree.files()}.values())


def count(tree: FileTree, paths: Iterable[str]) -> tuple[int, int]:
    """Return how many regular files some paths name, each inode once, and the bytes in them."""
    entries = (tree[path] for path in paths)
    sizes = {entry.inode: entry.size_bytes for entry in entries if entry.kind is Kind.FILE}
    return len(sizes), sum(sizes.values())


def _shadowed(image: Image, live: Mapping[tuple[int, int], object]) -> tuple[int, ...]:
    return tuple(
        sum(
            entry.size_bytes
            for entry in layer.entries
            if entry.kind is Kind.FILE and (number, entry.member) not in live
        )
        for number, layer in enumerate(image.layers)
    )


def _image(image: Image, contents: Iterable[Content], shadowed: Sequence[int]) -> ImageReport:
    by_layer: list[list[Content]] = [[] for _ in image.layers]
    for content in contents:
        by_layer[content.layer].append(content)
    layers = []
    for layer, held, hidden in zip(image.layers, by_layer, shadowed, strict=True):
        total = sum_of(held)
        layers.append(
            LayerReport(
                diff_id=str(layer.diff_id),
                created_by=layer.created_by,
                size_bytes=total.size_bytes,
                used_bytes=total.used_bytes,
                reachable_bytes=total.reachable_bytes,
                unused_bytes=total.unused_bytes,
                shadowed_bytes=hidden,
            )
        )
    document = json.loads(image.config.document or b"{}")
    return ImageReport(
        reference=image.reference,
        id=str(image.id),
        digest=None if image.digest is None else str(image.digest),
        platform=str(image.platform),
        size_bytes=sum(layer.size_bytes for layer in layers),
        compressed_bytes=image.compressed_bytes,
        config=document.get("config") or {},
        layers=tuple(layers),
    )


def _totals(total: Sum, shadowed_bytes: int) -> Totals:
    return Totals(
        files=total.files,
        size_bytes=total.size_bytes,
        used_bytes=total.used_bytes,
        reachable_bytes=total.reachable_bytes,
        unused_bytes=total.unused_bytes,
        shadowed_bytes=shadowed_bytes,
        bloat_ratio=total.bloat_ratio,
        removable_ratio=total.removable_ratio,
    )


def _level(contents: Iterable[Content], level: Level) -> LevelReport:
    held = [content for content in contents if content.kept_at(level)]
    return LevelReport(files=len(held), size_bytes=sum(content.size_bytes for content in held))


def _managers(contents: Iterable[Content], inventory: Inventory) -> dict[str, ManagerReport]:
    by_manager: dict[str, list[Content]] = {name: [] for name in (*map(str, Manager), UNOWNED)}
    for content in contents:
        by_manager[content.manager].append(content)
    reports = {}
    for name, held in by_manager.items():
        total = sum_of(held)
        reports[name] = ManagerReport(
            packages=sum(package.manager == name for package in inventory.packages),
            files=total.files,
            size_bytes=total.size_bytes,
            used_bytes=total.used_bytes,
            reachable_bytes=total.reachable_bytes,
            unused_bytes=total.unused_bytes,
            bloat_ratio=total.bloat_ratio,
            removable_ratio=total.removable_ratio,
        )
    return reports
