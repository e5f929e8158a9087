"""Marks to figures, by the formulas of docs/measures.md. Pure arithmetic on exact bytes.

Content is counted by inode: the names of a hard-linked file weigh once. Symbolic links and directories weigh nothing.
`used + reachable + unused = size` holds for the image and for every layer, manager and package.
"""

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.image import Image
from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.report import (
    Evidence,
    Finding,
    ImageReport,
    LayerReport,
    LevelReport,
    ManagerReport,
    PackageReport,
    Report,
    RunReport,
    Totals,
)
from mlbloat.model.use import Level, RunRecord, Use

UNOWNED = "unowned"


@dataclass(frozen=True, slots=True)
class _Content:
    """One inode: its names share one class, one level and one weight."""

    size_bytes: int
    layer: int
    file_class: FileClass
    level: Level | None
    pinned: bool
    manager: str


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
        findings=findings,
        problems=tuple(map(str, inventory.problems)),
    )


def run_report(record: RunRecord, touched: Iterable[Use], tree: FileTree) -> RunReport:
    """One line of the report for a run, with the regular files of the image that it alone touched."""
    entries = (tree[use.path] for use in touched if use.level is Level.TRACED)
    return RunReport(
        name=record.name,
        engine=record.engine,
        tracer=record.tracer,
        seconds=round(record.seconds, 3),
        exit=record.exit,
        files=len({entry.inode for entry in entries if entry.kind is Kind.FILE}),
    )


def size_bytes(tree: FileTree) -> int:
    """Content of the regular files of a tree, each inode once."""
    return sum({entry.inode: entry.size_bytes for entry in tree.files()}.values())


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
                entry.size_bytes, entry.inode[0], mark.file_class, mark.level, mark.pinned, manager
            )
        elif known.manager == UNOWNED and manager != UNOWNED:
            # A cache's second name for an installed file: the byte belongs to whoever owns any of its names.
            contents[entry.inode] = _Content(
                known.size_bytes, known.layer, known.file_class, known.level, known.pinned, manager
            )
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
    depths = _depths(inventory.packages, direct)
    required_by: dict[str, list[str]] = {}
    for package in inventory.packages:
        for key in package.requires:
            required_by.setdefault(key, []).append(package.key)
    return tuple(
        _package(tree, package, contents, used, depths, tuple(sorted(required_by.get(package.key, ()))))
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
    )


def _depths(packages: Iterable[Package], direct: set[str]) -> dict[str, int]:
    """Breadth-first level of each package from the workload; directly accessed ones are at 1."""
    requires = {package.key: package.requires for package in packages}
    depths = dict.fromkeys(sorted(direct), 1)
    waiting = deque(depths)
    while waiting:
        key = waiting.popleft()
        for needed in requires.get(key, ()):
            if needed not in depths:
                depths[needed] = depths[key] + 1
                waiting.append(needed)
    return depths
