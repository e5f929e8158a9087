"""Metadata of installed distributions that code asks for by name, whether or not it imports anything of them.

https://docs.python.org/3/library/importlib.metadata.html; names are compared as
https://packaging.python.org/en/latest/specifications/name-normalization/ says.
"""

import re
from collections.abc import Iterable, Iterator

from mlbloat.model.package import Inventory, Manager

_SEPARATORS = re.compile(r"[-_.]+")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_DIRECTORIES = (".dist-info/", ".egg-info")
_LISTS = ("/RECORD", "/installed-files.txt")
"""What slimming cuts to the files that are left."""


class Distributions:
    """The distributions of one tree, by their names."""

    def __init__(self, inventory: Inventory) -> None:
        self._metadata: dict[str, tuple[str, ...]] = {}
        for package in inventory.packages:
            if package.manager in (Manager.PIP, Manager.CONDA):
                name = _normal(package.name)
                files = (path for path in package.metadata if _describes(path))
                self._metadata[name] = (*self._metadata.get(name, ()), *sorted(files))

    def named(self, literals: Iterable[str]) -> Iterator[str]:
        """Yield the metadata files of the distributions that literals name, such as `name` or `name>=1`."""
        for literal in literals:
            name = _NAME.match(literal)
            if name is not None:
                yield from self._metadata.get(_normal(name[0]), ())


def _describes(path: str) -> bool:
    return any(each in path for each in _DIRECTORIES) and not path.endswith(_LISTS)


def _normal(name: str) -> str:
    return _SEPARATORS.sub("-", name.rstrip("-_.")).lower()
