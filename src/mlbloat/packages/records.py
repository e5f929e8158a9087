"""Where the records of Python distributions lie: of those that are installed, and of wheels unpacked in a cache."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from mlbloat.model.filetree import FileTree

EGG = ".egg/EGG-INFO"
"""Record of a distribution that has a directory of its own in a place of installation."""
_RECORDS = (".dist-info", ".egg-info")
_SITES = ("site-packages", "dist-packages")
_INTERRUPTED = "~"
"""First character of what an interrupted pip uninstall leaves behind; pip does not count it as installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Paths of dist-info and egg-info, sorted."""

    installed: tuple[str, ...]
    """What an import system may look at."""
    cached: tuple[str, ...]
    """Of wheels that an installer keeps unpacked, to link them into environments."""


def find(tree: FileTree) -> Records:
    """Tell installations from wheels in a cache; a copy inside a package and a source tree are neither."""
    directories = {path for path in tree.directories() if path.endswith((*_RECORDS, EGG))}
    directories.update(path for path in in_sites(tree) if path.endswith(_RECORDS))
    paths = sorted(path for path in directories if not posixpath.basename(path).startswith(_INTERRUPTED))
    holders = {posixpath.dirname(path) for path in paths if _in_site(path) or f"{path}/RECORD" in tree}
    outside = [path for path in paths if not _in_site(path) and _holds(tree, path, holders)]
    cached = {path for path in outside if any(_is_cache(tree, above) for above in _above(location(path)))}
    installed = {path for path in paths if _in_site(path)}.union(outside) - cached
    return Records(
        installed=tuple(path for path in paths if path in installed and not _in_package_of_conda(tree, path)),
        cached=tuple(sorted(cached)),
    )


def in_sites(tree: FileTree) -> Iterator[str]:
    """Yield what lies directly in places of installation: a record may be a file there."""
    return (path for place in tree.directories() if place.endswith(_SITES) for path in tree.children(place))


def location(path: str) -> str:
    """Return the place of installation that holds a record."""
    return posixpath.dirname(path.removesuffix("/EGG-INFO") if path.endswith(EGG) else path)


def _holds(tree: FileTree, path: str, holders: set[str]) -> bool:
    """Tell what `pip install --target` puts into any directory from what a package in such a directory bundles."""
    return f"{path}/RECORD" in tree and not any(above in holders for above in _above(location(path)))


def _is_cache(tree: FileTree, directory: str) -> bool:
    """Tell a cache by its name, or by its tag (https://bford.info/cachedir/).

    uv puts the tag into environments as well, whose pyvenv.cfg tells them apart.
    """
    tagged = f"{directory}/CACHEDIR.TAG" in tree and f"{directory}/pyvenv.cfg" not in tree
    return tagged or posixpath.basename(directory) == ".cache"


def _in_package_of_conda(tree: FileTree, path: str) -> bool:
    """Tell what lies in a package cache of conda, which is read by its own rules."""
    return any(f"{above}/info/index.json" in tree for above in _above(location(path)))


def _in_site(path: str) -> bool:
    return posixpath.basename(location(path)) in _SITES


def _above(directory: str) -> Iterator[str]:
    while directory != "/":
        directory = posixpath.dirname(directory)
        yield directory
