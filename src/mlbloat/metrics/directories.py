"""Where the bytes are: by directory, and where those are that no package owns."""

from collections.abc import Callable

from mlbloat.metrics.contents import Content, Contents, Sum, sum_of, total
from mlbloat.metrics.groups import above, parent_of
from mlbloat.model.filetree import FileTree
from mlbloat.model.report import DirectoryReport

MAX_ORPHANS = 50
"""Directories without an owner in the report, most bytes first."""
DIRECTORY_SHARE = 0.01
"""Of the image's bytes: directories with less are left out of the report."""
MAX_DIRECTORIES = 500
"""A hundred of that share on each of a few levels; more only where content has many names."""


def directories(tree: FileTree, contents: Contents) -> tuple[DirectoryReport, ...]:
    """Sum what lies below each directory, at any depth, in order of path; the root's sum is the image's.

    Content with several names counts once in every directory that has one of them.
    """
    places: dict[tuple[int, int], tuple[str, ...]] = {}
    alone: dict[str, tuple[str, ...]] = {}
    for entry in tree.files():
        parent = parent_of(entry.path)
        before = places.get(entry.inode)
        if before is None:
            places[entry.inode] = alone.setdefault(parent, (parent,))
        elif parent not in before:
            places[entry.inode] = (*before, parent)
    held: dict[tuple[str, ...], list[Content]] = {}
    for inode, found in places.items():
        held.setdefault(found, []).append(contents[inode])
    parts: dict[str, list[Sum]] = {}
    for parents, below in held.items():
        part = sum_of(below)
        for directory in {"/", *parents, *(higher for parent in parents for higher in above(parent))}:
            parts.setdefault(directory, []).append(part)
    sizes = {directory: sum(part.size_bytes for part in each) for directory, each in parts.items()}
    least = max(sizes.get("/", 0) * DIRECTORY_SHARE, 1)
    largest = sorted(sizes, key=lambda directory: (-sizes[directory], directory))[:MAX_DIRECTORIES]
    return tuple(_report(each, total(parts[each])) for each in sorted(largest) if sizes[each] >= least)


def orphans(tree: FileTree, home: Callable[[str], str], contents: Contents) -> tuple[DirectoryReport, ...]:
    """Sum the files without an owner by the highest directory in which nothing has one (`unowned_homes`)."""
    held: dict[str, dict[tuple[int, int], Content]] = {}
    for entry in tree.files():
        content = contents[entry.inode]
        if content.owner is None:
            held.setdefault(home(entry.path), {})[entry.inode] = content
    reports = (_report(directory, sum_of(below.values())) for directory, below in held.items())
    ranked = sorted(reports, key=lambda each: (-each.size_bytes, each.path))
    return tuple(each for each in ranked[:MAX_ORPHANS] if each.size_bytes)


def _report(directory: str, found: Sum) -> DirectoryReport:
    return DirectoryReport(
        path=directory,
        files=found.files,
        size_bytes=found.size_bytes,
        used_bytes=found.used_bytes,
        reachable_bytes=found.reachable_bytes,
        unused_bytes=found.unused_bytes,
    )
