"""Sums of each package, what needs it, and what could go as a whole."""

from collections.abc import Iterable, Mapping, Sequence

from mlbloat.metrics.contents import Contents, sum_of
from mlbloat.model import graph
from mlbloat.model.filetree import FileTree
from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.package import Inventory, Package
from mlbloat.model.report import PackageReport, RemovableReport


def packages(
    tree: FileTree, inventory: Inventory, contents: Contents, marks: Sequence[Mark]
) -> tuple[PackageReport, ...]:
    used = _used(marks)
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


def _used(marks: Iterable[Mark]) -> set[str]:
    return {mark.path for mark in marks if mark.file_class is FileClass.USED}


def _package(
    tree: FileTree,
    package: Package,
    contents: Contents,
    used: set[str],
    depths: Mapping[str, int],
    required_by: tuple[str, ...],
) -> PackageReport:
    total = sum_of(contents[inode] for inode in {tree[path].inode for path in package.files})
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


def removable(
    tree: FileTree, inventory: Inventory, contents: Contents, marks: Sequence[Mark]
) -> tuple[RemovableReport, ...]:
    """What could go as a whole, most bytes first; a byte goes when all names of its file go."""
    needed = {mark.path for mark in marks if mark.file_class is not FileClass.UNUSED}
    candidates = graph.unneeded(inventory, is_needed=needed.__contains__, is_used=_used(marks).__contains__)
    names: dict[tuple[int, int], int] = {}
    for entry in tree.files():
        names[entry.inode] = names.get(entry.inode, 0) + 1
    by_key = {package.key: package for package in inventory.packages}
    found = []
    for removal in graph.removals(inventory, candidates):
        going = {path for key in (removal.key, *removal.along) for path in by_key[key].files}
        gone: dict[tuple[int, int], int] = {}
        for path in going:
            gone[tree[path].inode] = gone.get(tree[path].inode, 0) + 1
        frees = sum(contents[inode].size_bytes for inode, count in gone.items() if count == names[inode])
        found.append(RemovableReport(package=removal.key, along=removal.along, frees_bytes=frees))
    return tuple(sorted(found, key=lambda each: (-each.frees_bytes, each.package)))
