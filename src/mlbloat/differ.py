"""Two images or reports to their difference."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlbloat.model.difference import Difference, FileChange, LayerChange, PackageChange, Part, Side
from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.image import Image
from mlbloat.model.package import Inventory
from mlbloat.model.report import Report

_CHUNK_BYTES = 1 << 20
_Key = tuple[str, str, str]
"""Manager, name, location."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One of the two, as far as comparing goes."""

    side: Side
    packages: Mapping[_Key, Part]
    layers: tuple[tuple[str, str, int], ...]
    """Diff ID, history line, bytes."""
    tree: FileTree | None
    diff_ids: tuple[str, ...] = ()


def of_image(image: Image, tree: FileTree, inventory: Inventory) -> Subject:
    sizes = {entry.inode: entry.size_bytes for entry in tree.files()}
    by_layer = [0] * len(image.layers)
    for (layer, _), size_bytes in sizes.items():
        by_layer[layer] += size_bytes
    return Subject(
        side=Side(
            reference=image.reference,
            id=str(image.id),
            size_bytes=sum(sizes.values()),
            files=len(sizes),
            compressed_bytes=image.compressed_bytes,
        ),
        packages={
            (str(package.manager), package.name, package.location): _part(package.version, package.files, tree)
            for package in inventory.packages
        },
        layers=tuple(
            (str(layer.diff_id), layer.created_by, size_bytes)
            for layer, size_bytes in zip(image.layers, by_layer, strict=True)
        ),
        tree=tree,
        diff_ids=tuple(str(layer.diff_id) for layer in image.layers),
    )


def of_report(report: Report) -> Subject:
    image = report.image
    return Subject(
        side=Side(
            reference=image.reference,
            id=image.id,
            size_bytes=image.size_bytes,
            files=report.totals.files,
            compressed_bytes=image.compressed_bytes,
        ),
        packages={
            (each.manager, each.name, each.location): Part(
                version=each.version, size_bytes=each.size_bytes, files=each.files
            )
            for each in report.packages
        },
        layers=tuple((layer.diff_id, layer.created_by, layer.size_bytes) for layer in image.layers),
        tree=None,
    )


def difference(before: Subject, after: Subject) -> Difference:
    """Compare; what is equal in both is not in it, but for layers."""
    return Difference(
        before=before.side,
        after=after.side,
        packages=tuple(sorted(_packages(before, after), key=_by_growth)),
        layers=tuple(_layers(before, after)),
        files=None if before.tree is None or after.tree is None else tuple(_files(before, after)),
    )


def _part(version: str, paths: tuple[str, ...], tree: FileTree) -> Part:
    sizes = {tree[path].inode: tree[path].size_bytes for path in paths}
    return Part(version=version, size_bytes=sum(sizes.values()), files=len(sizes))


def _by_growth(change: PackageChange) -> tuple[int, str, str, str]:
    return -abs(change.grown_bytes), change.manager, change.name, change.location


def _packages(before: Subject, after: Subject) -> Iterator[PackageChange]:
    for key in before.packages.keys() | after.packages.keys():
        was, now = before.packages.get(key), after.packages.get(key)
        if was != now:
            manager, name, location = key
            yield PackageChange(manager=manager, name=name, location=location, before=was, after=now)


def _layers(before: Subject, after: Subject) -> Iterator[LayerChange]:
    was, now = ({diff_id for diff_id, _, _ in side.layers} for side in (before, after))
    for diff_id, created_by, size_bytes in before.layers:
        yield LayerChange(
            diff_id=diff_id,
            created_by=created_by,
            held_by="both" if diff_id in now else "before",
            size_bytes=size_bytes,
        )
    for diff_id, created_by, size_bytes in after.layers:
        if diff_id not in was:
            yield LayerChange(diff_id=diff_id, created_by=created_by, held_by="after", size_bytes=size_bytes)


def _files(before: Subject, after: Subject) -> Iterator[FileChange]:
    was: Mapping[str, Entry] = before.tree or {}
    now: Mapping[str, Entry] = after.tree or {}
    for path in sorted(was.keys() | now.keys()):
        old, new = was.get(path), now.get(path)
        what = tuple(_what(before, old, after, new))
        if what:
            kind = (new or was[path]).kind
            yield FileChange(path=path, kind=kind, before_bytes=_bytes(old), after_bytes=_bytes(new), what=what)


def _bytes(entry: Entry | None) -> int | None:
    if entry is None:
        return None
    return entry.size_bytes if entry.kind is Kind.FILE else 0


def _what(before: Subject, old: Entry | None, after: Subject, new: Entry | None) -> Iterator[str]:
    if old is None or new is None:
        yield "added" if old is None else "removed"
        return
    if old.kind is not new.kind:
        yield "kind"
        return
    if old.kind is Kind.FILE and not _same_content(before, old, after, new):
        yield "content"
    for name, was, now in (
        ("mode", old.mode, new.mode),
        ("owner", (old.uid, old.gid), (new.uid, new.gid)),
        ("link", (old.target, old.device), (new.target, new.device)),
        ("attributes", old.xattrs, new.xattrs),
        ("time", old.mtime, new.mtime),
    ):
        if was != now:
            yield name


def _same_content(before: Subject, old: Entry, after: Subject, new: Entry) -> bool:
    """Compare by place first: what stands at one place of one layer is equal, and most of two siblings is."""
    if old.size_bytes != new.size_bytes:
        return False
    if before.diff_ids[old.inode[0]] == after.diff_ids[new.inode[0]] and old.inode[1] == new.inode[1]:
        return True
    if before.tree is None or after.tree is None:
        return True
    with before.tree.open(old) as left, after.tree.open(new) as right:
        while chunk := left.read(_CHUNK_BYTES):
            if chunk != right.read(_CHUNK_BYTES):
                return False
    return True
