"""Files by whom they belong to: a package, or the highest directory in which no file has an owner."""

from collections.abc import Callable, Iterator

from mlbloat.metrics.contents import Content
from mlbloat.model.package import Inventory

Group = str
"""Key of a package, or a directory."""


def grouping(inventory: Inventory, home: Callable[[str], str]) -> Callable[[str], Group]:
    """A function from paths to groups; `home` is what `unowned_homes` made."""

    def group(path: str) -> Group:
        owners = inventory.owners.get(path)
        return owners[0].key if owners else home(path)

    return group


def unowned_homes(inventory: Inventory) -> Callable[[str], str]:
    """A function from the path of an unowned file to the highest directory in which nothing has an owner."""
    owned: set[str] = set()
    for start in {parent_of(path) for path in inventory.owners}:
        directory = start
        while directory not in owned:  # what is above one that was seen was seen, too
            owned.add(directory)
            directory = parent_of(directory)
    homes: dict[str, str] = {}
    """By the directory of a file: its neighbours have the same."""

    def home(path: str) -> str:
        parent = parent_of(path)
        found = homes.get(parent)
        if found is None:
            directories = [directory for directory in above(path) if directory not in owned]
            found = homes[parent] = directories[-1] if directories else parent
        return found

    return home


def parent_of(path: str) -> str:
    """Return the directory of an absolute path; the root's is the root."""
    return path.rpartition("/")[0] or "/"


def above(path: str) -> Iterator[str]:
    """Directories of a path, the nearest first; never the root."""
    path = parent_of(path)
    while path != "/":
        yield path
        path = parent_of(path)


def largest_first(content: Content) -> tuple[int, str]:
    return -content.size_bytes, content.path
