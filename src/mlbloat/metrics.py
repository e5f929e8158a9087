"""Marks to figures, by the formulas of docs/measures.md. Pure arithmetic on exact bytes.

Content is counted by inode: the names of a hard-linked file weigh once. Symbolic links and directories weigh nothing.
`used + reachable + unused = size` holds for the image and for every layer, manager and package.
"""

import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mlbloat.model import graph
from mlbloat.model.filekind import FileKind, kind_of
from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.image import Image
from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.report import (
    DirectoryReport,
    Evidence,
    Finding,
    ImageReport,
    KindReport,
    LayerReport,
    LevelReport,
    ManagerReport,
    PackageReport,
    RemovableReport,
    Report,
    RunReport,
    SilencedReport,
    Totals,
)
from mlbloat.model.step import reports_of
from mlbloat.model.use import Level, RunRecord, Use

UNOWNED = "unowned"
MAX_ORPHANS = 50
"""Directories without an owner in the report, most bytes first."""


@dataclass(frozen=True, slots=True)
class _Content:
    """One inode: its names share one class, one level and one weight."""

    size_bytes: int
    layer: int
    file_class: FileClass
    level: Level | None
    pinned: bool
    manager: str
    kind: FileKind


@dataclass(frozen=True, slots=True)
class _Sum:
    files: int
    size_bytes: int
    used_bytes: int
    reachable_bytes: int
    unused_bytes: int

    @property
    def bloat_ratio(self) -> float | None:
        return _ratio(self.size_bytes - self.used_bytes, self.size_bytes)

    @property
    def removable_ratio(self) -> float | None:
        return _ratio(self.unused_bytes, self.size_bytes)


def measure(
    *,
    image: Image,
    tree: FileTree,
    inventory: Inventory,
    marks: Sequence[Mark],
    evidence: Evidence,
    findings: tuple[Finding, ...] = (),
    silenced: tuple[SilencedReport, ...] = (),
) -> Report:
    """Add everything up; raises nothing, any tree has a report."""
    contents = _contents(tree, inventory, marks)
    shadowed = _shadowed(image, contents)
    return Report(
        image=_image(image, contents.values(), shadowed),
        evidence=evidence,
        totals=_totals(_sum(contents.values()), sum(shadowed)),
        levels={level.label: _level(contents.values(), level) for level in Level},
        managers=_managers(contents.values(), inventory),
        packages=_packages(tree, inventory, contents, marks),
        kinds=_kinds(contents.values()),
        orphans=_orphans(tree, inventory, contents),
        removable=_removable(tree, inventory, contents, marks),
        findings=findings,
        silenced=silenced,
        problems=tuple(map(str, inventory.problems)),
    )


def run_reports(runs: Iterable[tuple[RunRecord, Iterable[Use]]], tree: FileTree) -> tuple[RunReport, ...]:
    """One line of the report for each run: the regular files that it touched, and those that no run before it did."""
    seen: set[tuple[int, int]] = set()
    reports = []
    for record, touched in runs:
        entries = (tree[use.path] for use in touched if use.level is Level.TRACED)
        sizes = {entry.inode: entry.size_bytes for entry in entries if entry.kind is Kind.FILE}
        reports.append(_run_report(record, sizes, seen))
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


def content_bytes(image: Image) -> int:
    """Content of the regular files in all layers: the size of the tree and what is shadowed below it."""
    return sum(entry.size_bytes for layer in image.layers for entry in layer.entries if entry.kind is Kind.FILE)


def _contents(tree: FileTree, inventory: Inventory, marks: Sequence[Mark]) -> dict[tuple[int, int], _Content]:
    contents: dict[tuple[int, int], _Content] = {}
    for mark in marks:
        entry = tree[mark.path]
        owners = inventory.owners.get(mark.path, ())
        manager = str(owners[0].manager) if owners else UNOWNED
        known = contents.get(entry.inode)
        if known is None:
            contents[entry.inode] = _Content(
                entry.size_bytes,
                entry.inode[0],
                mark.file_class,
                mark.level,
                mark.pinned,
                manager,
                kind_of(mark.path, entry.mode),
            )
        elif known.manager == UNOWNED and manager != UNOWNED:
            # A cache's second name for an installed file: the byte belongs to whoever owns any of its names.
            contents[entry.inode] = replace(known, manager=manager, kind=kind_of(mark.path, entry.mode))
    return contents


def _sum(contents: Iterable[_Content]) -> _Sum:
    sizes = dict.fromkeys(FileClass, 0)
    files = 0
    for content in contents:
        files += 1
        sizes[content.file_class] += content.size_bytes
    return _Sum(files, sum(sizes.values()), sizes[FileClass.USED], sizes[FileClass.REACHABLE], sizes[FileClass.UNUSED])


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _shadowed(image: Image, live: Mapping[tuple[int, int], object]) -> tuple[int, ...]:
    return tuple(
        sum(
            entry.size_bytes
            for entry in layer.entries
            if entry.kind is Kind.FILE and (number, entry.member) not in live
        )
        for number, layer in enumerate(image.layers)
    )


def _image(image: Image, contents: Iterable[_Content], shadowed: Sequence[int]) -> ImageReport:
    by_layer: list[list[_Content]] = [[] for _ in image.layers]
    for content in contents:
        by_layer[content.layer].append(content)
    layers = []
    for layer, held, hidden in zip(image.layers, by_layer, shadowed, strict=True):
        total = _sum(held)
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


def _totals(total: _Sum, shadowed_bytes: int) -> Totals:
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


def _level(contents: Iterable[_Content], level: Level) -> LevelReport:
    held = [content for content in contents if content.pinned or (content.level is not None and content.level <= level)]
    return LevelReport(files=len(held), size_bytes=sum(content.size_bytes for content in held))


def _managers(contents: Iterable[_Content], inventory: Inventory) -> dict[str, ManagerReport]:
    by_manager: dict[str, list[_Content]] = {name: [] for name in (*map(str, Manager), UNOWNED)}
    for content in contents:
        by_manager[content.manager].append(content)
    reports = {}
    for name, held in by_manager.items():
        total = _sum(held)
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


def _packages(
    tree: FileTree,
    inventory: Inventory,
    contents: Mapping[tuple[int, int], _Content],
    marks: Sequence[Mark],
) -> tuple[PackageReport, ...]:
    used = {mark.path for mark in marks if mark.file_class is FileClass.USED}
    direct = {
        package.key
        for package in inventory.packages
        if any(path in used and path not in package.metadata for path in package.files)
    }
    depths = graph.depths(inventory.packages, direct)
    required_by = graph.required_by(inventory.packages)
    return tuple(
        _package(tree, package, contents, used, depths, required_by.get(package.key, ()))
        for package in inventory.packages
    )


def _package(
    tree: FileTree,
    package: Package,
    contents: Mapping[tuple[int, int], _Content],
    used: set[str],
    depths: Mapping[str, int],
    required_by: tuple[str, ...],
) -> PackageReport:
    total = _sum(contents[inode] for inode in sorted({tree[path].inode for path in package.files}))
    payload_bytes = sum(tree[path].size_bytes for path in package.files if path not in package.metadata)
    depth = depths.get(package.key)
    return PackageReport(
        manager=package.manager,
        name=package.name,
        version=package.version,
        location=package.location,
        size_bytes=total.size_bytes,
        used_bytes=total.used_bytes,
        reachable_bytes=total.reachable_bytes,
        unused_bytes=total.unused_bytes,
        bloat_ratio=total.bloat_ratio if payload_bytes else None,
        files=len(package.files),
        used_files=sum(path in used for path in package.files),
        requested=package.requested,
        direct=depth == 1,
        required=depth is not None,
        depth=depth,
        requires=package.requires,
        required_by=required_by,
        recommends=package.recommends,
    )


def _kinds(contents: Iterable[_Content]) -> dict[str, KindReport]:
    by_kind: dict[FileKind, list[_Content]] = {kind: [] for kind in FileKind}
    for content in contents:
        by_kind[content.kind].append(content)
    sums = {kind: _sum(held) for kind, held in by_kind.items() if held}
    return {
        str(kind): KindReport(
            files=total.files,
            size_bytes=total.size_bytes,
            used_bytes=total.used_bytes,
            reachable_bytes=total.reachable_bytes,
            unused_bytes=total.unused_bytes,
        )
        for kind, total in sums.items()
    }


def _orphans(
    tree: FileTree, inventory: Inventory, contents: Mapping[tuple[int, int], _Content]
) -> tuple[DirectoryReport, ...]:
    """Sum the files without an owner by the highest directory in which nothing has one."""
    owned: set[str] = set()
    for directory in {posixpath.dirname(path) for path in inventory.owners}:
        owned.update((directory, *_above(directory)))
    by_directory: dict[str, dict[tuple[int, int], _Content]] = {}
    for entry in tree.files():
        if contents[entry.inode].manager == UNOWNED:
            directories = [directory for directory in _above(entry.path) if directory not in owned]
            top = directories[-1] if directories else posixpath.dirname(entry.path)
            by_directory.setdefault(top, {})[entry.inode] = contents[entry.inode]
    sums = {directory: _sum(held.values()) for directory, held in by_directory.items()}
    ranked = sorted(sums, key=lambda directory: (-sums[directory].size_bytes, directory))
    return tuple(
        DirectoryReport(
            path=directory,
            files=sums[directory].files,
            size_bytes=sums[directory].size_bytes,
            unused_bytes=sums[directory].unused_bytes,
        )
        for directory in ranked[:MAX_ORPHANS]
        if sums[directory].size_bytes
    )


def _above(path: str) -> Iterator[str]:
    """Directories of a path, the nearest first; never the root."""
    path = posixpath.dirname(path)
    while path != "/":
        yield path
        path = posixpath.dirname(path)


def _removable(
    tree: FileTree, inventory: Inventory, contents: Mapping[tuple[int, int], _Content], marks: Iterable[Mark]
) -> tuple[RemovableReport, ...]:
    """What could go as a whole, most bytes first; a byte goes when all names of its file go."""
    needed = {mark.path for mark in marks if mark.file_class is not FileClass.UNUSED}
    names: dict[tuple[int, int], int] = {}
    for entry in tree.files():
        names[entry.inode] = names.get(entry.inode, 0) + 1
    packages = {package.key: package for package in inventory.packages}
    found = []
    for removal in graph.removals(inventory, graph.unneeded(inventory, needed.__contains__)):
        going = {path for key in (removal.key, *removal.along) for path in packages[key].files}
        gone: dict[tuple[int, int], int] = {}
        for path in going:
            gone[tree[path].inode] = gone.get(tree[path].inode, 0) + 1
        frees = sum(contents[inode].size_bytes for inode, count in gone.items() if count == names[inode])
        found.append(RemovableReport(package=removal.key, along=removal.along, frees_bytes=frees))
    return tuple(sorted(found, key=lambda each: (-each.frees_bytes, each.package)))
