"""Directories that go with their files: where Python looks for modules, an empty directory is a package.

`import name` then finds a namespace package without anything in it, and a program that asks whether `name` is installed
hears yes (https://docs.python.org/3/reference/import.html#namespace-packages). Everywhere else directories stay: they
weigh nothing, and programs write into them.
"""

import re
from collections.abc import Iterable, Iterator, Set

from mlbloat.model.filetree import FileTree, Kind

_SEARCHED = re.compile(r"(?:.*/)?(?:site-packages|dist-packages|(?:python|pypy)\d(?:\.\d+)?)/")
"""Installed modules (the module `site`), and the standard library."""


def emptied(tree: FileTree, kept: Set[str], looked: Iterable[str]) -> frozenset[str]:
    """Return the directories of modules that lose all they hold; `looked` are those that a run looked at."""
    stay = set(_with_parents(looked))
    held = set[str]()
    for path, entry in tree.items():
        if not _SEARCHED.match(path):
            continue
        if entry.kind is not Kind.DIRECTORY:
            _add_parents(stay if path in kept else held, path)
        elif not tree.children(path) or _SEARCHED.fullmatch(f"{path}/"):
            stay.update(_with_parents((path,)))  # empty in the original, too, or a place to look in
    return frozenset(path for path in held - stay if _SEARCHED.match(path))


def _add_parents(paths: set[str], path: str) -> None:
    """Add the directories above a path to a set that has those above each directory in it."""
    for parent in _parents(path):
        if parent in paths:
            break  # and so are those above it
        paths.add(parent)


def _with_parents(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        yield path
        yield from _parents(path)


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path
