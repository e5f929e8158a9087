"""Files by whom they belong to: a package, or the highest directory in which no file has an owner."""

import posixpath
from collections.abc import Callable, Iterator

from mlbloat.metrics.contents import Content
from mlbloat.model.package import Inventory

Group = str
"""Key of a package, or a directory."""


def grouping(inventory: Inventory) -> Callable[[str], Group]:
    """A function from paths to groups."""
    home = unowned_homes(inventory)

    def group(path: str) -> Group:
        owners = inventory.owners.get(path)
        return owners[0].key if owners else home(path)

    return group


def unowned_homes(inventory: Inventory) -> Callable[[str], str]:
    """A function from the path of an unowned file to the highest directory in which nothing has an owner."""
    owned: set[str] = set()
    for directory in {posixpath.dirname(path) for path in inventory.owners}:
        owned.update((directory, *above(directory)))

    def home(path: str) -> str:
        directories = [directory for directory in above(path) if directory not in owned]
        return directories[-1] if directories else posixpath.dirname(path)

    return home


def above(path: str) -> Iterator[str]:
    """Directories of a path, the nearest first; never the root."""
    path = posixpath.dirname(path)
    while path != "/":
        yield path
        path = posixpath.dirname(path)


def largest_first(content: Content) -> tuple[int, str]:
    return -content.size_bytes, content.path
