"""Python distributions: RECORD and installed-files.txt lose the files that are gone, a distribution that is gone all.

https://packaging.python.org/specifications/recording-installed-packages/
"""

import csv
import posixpath
from collections.abc import Iterator, Mapping

from mlbloat.model.filetree import Kind
from mlbloat.model.package import Manager, Package
from mlbloat.slim.databases.left import Cut, Left, coded

MANAGER = Manager.PIP


def cut(packages: tuple[Package, ...], stay: frozenset[str], left: Left, changed: Mapping[str, bytes]) -> Cut:
    """Cut the records of distributions."""
    removed: set[str] = set()
    directories: set[str] = set()
    rewritten: dict[str, bytes] = {}
    for package in packages:
        if package.key not in stay:
            removed.update(_record_files(package, left))
            directories.update(_emptied(package, left, removed))
            continue
        for path in filter(left.free, package.database):
            name = posixpath.basename(path)
            if name == "RECORD":
                rewritten[path] = _record(left.read(path), package.location, left)
            elif name == "installed-files.txt":
                rewritten[path] = _installed_files(left.read(path), posixpath.dirname(path), left)
    return Cut(removed=frozenset(removed), directories=frozenset(directories), rewritten=rewritten)


def _record_files(package: Package, left: Left) -> set[str]:
    """Return what is left of the directories, or the one file, that make a distribution installed."""
    directories = tuple(directory + "/" for directory in _record_directories(package))
    below = {path for path in package.files if directories and path.startswith(directories)}
    return (below | set(package.database)) & left.kept


def _record_directories(package: Package) -> set[str]:
    return {
        posixpath.join(package.location, path[len(package.location) :].lstrip("/").split("/")[0])
        for path in package.database
        if path.startswith(package.location) and (".dist-info/" in path or ".egg-info/" in path)
    }


def _emptied(package: Package, left: Left, removed: set[str]) -> Iterator[str]:
    """Yield record directories with nothing left in them: Python takes an empty one for a package without a name."""
    for directory in _record_directories(package):
        entries = tuple(left.tree.below(directory))
        folders = {entry.path for entry in entries if entry.kind is Kind.DIRECTORY}
        if all(entry.path in folders or entry.path in removed or entry.path not in left.kept for entry in entries):
            yield from (directory, *folders)


def _record(text: str, location: str, left: Left) -> bytes:
    """Leave rows out; the others stay as they were written."""
    rows = text.splitlines(keepends=True)
    if '"' in text and any(row.count('"') % 2 for row in rows):
        return coded(text)  # a quoted name with a line break
    return coded("".join(row for row in rows if not left.lost(_absolute(location, _first(row)))))


def _first(row: str) -> str:
    try:
        fields = next(csv.reader([row]), [])
    except csv.Error:
        return ""  # no path of any tree
    return fields[0] if fields else ""


def _installed_files(text: str, directory: str, left: Left) -> bytes:
    lines = text.splitlines(keepends=True)
    return coded("".join(line for line in lines if not left.lost(_absolute(directory, line.strip()))))


def _absolute(directory: str, path: str) -> str:
    return "/" + posixpath.normpath(posixpath.join(directory, path)).lstrip("/")
