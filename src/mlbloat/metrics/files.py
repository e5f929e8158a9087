"""One row for each regular file: what the sums are made of."""

from collections.abc import Iterable, Mapping

from mlbloat.metrics.contents import Contents
from mlbloat.model.filekind import kind_of
from mlbloat.model.filetree import FileTree
from mlbloat.model.mark import Mark
from mlbloat.model.package import Inventory
from mlbloat.model.report import FileReport
from mlbloat.model.use import Use


def files(
    tree: FileTree, inventory: Inventory, contents: Contents, marks: Iterable[Mark], steps: Mapping[str, Use]
) -> tuple[FileReport, ...]:
    """Report every name in order of path; further names of a hard-linked file weigh nothing."""
    rows = []
    for mark in marks:
        entry = tree[mark.path]
        step = steps.get(mark.path) or next(iter(mark.uses), None)
        pin = next((use for use in mark.uses if use.pinned), None)
        counted = contents[entry.inode].path
        rows.append(
            FileReport(
                path=mark.path,
                size_bytes=entry.size_bytes if counted == mark.path else 0,
                same_as="" if counted == mark.path else counted,
                layer=entry.layer,
                owners=tuple(package.key for package in inventory.owners.get(mark.path, ())),
                kind=str(kind_of(mark.path, entry.mode)),
                file_class=mark.file_class.value,
                level=None if mark.level is None else mark.level.label,
                pinned_by="" if pin is None else f"{pin.reason} {pin.by}",
                reason="" if step is None else str(step.reason),
                by="" if step is None else step.by,
                dropped_by=mark.dropped_by,
            )
        )
    return tuple(rows)
