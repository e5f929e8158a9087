"""Imports of a distribution that the importing one does not declare: integrations with what happens to be there.

https://packaging.python.org/en/latest/specifications/core-metadata/#requires-dist-multiple-use

A distribution has to work without what it does not require, so where it imports that inside a function, in a block that
handles its absence, or by a name in a string, this alone is no reason to keep it. It is one where the user asked for
that distribution, or where anything else leads to it. What one of its extras names is required here: nothing records
whether the user asked for the extra. The application itself declares nothing, and its imports count; so do those of one
that the user installed from its own directory or a URL, and what that one requires is what the user wanted.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from mlbloat.model.filetree import Entry
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.use import Reason, Use
from mlbloat.usage.python.finder import Finder, Place
from mlbloat.usage.reach import Offer

_PYTHON = (Manager.PIP, Manager.CONDA)
_SEEDS = frozenset({"pip", "setuptools", "wheel"})
"""Installed with every environment, so that nobody has to ask for them.

https://virtualenv.pypa.io/en/stable/explanation.html#seeders, https://peps.python.org/pep-0453/
"""

_MEMORY = 1 << 16
_MARK = "/REQUESTED"
"""https://peps.python.org/pep-0376/#requested: where none is, "not asked for" is a guess."""
_ORIGIN = "/direct_url.json"
"""Of what was not taken from an index: https://packaging.python.org/en/latest/specifications/direct-url/"""


class Integrations:
    """Which distributions of one tree use which."""

    def __init__(self, inventory: Inventory, finder: Finder) -> None:
        self._owners = inventory.owners
        self._finder = finder
        self._packages = {package.key: package for package in inventory.packages}
        required = {key for package in inventory.packages for key in package.requires}
        marked = {package.location for package in inventory.packages if _has(package, _MARK)}
        applications = [package for package in inventory.packages if self._is_application(package)]
        self._applications = frozenset(package.key for package in applications)
        self._wanted = frozenset(
            package.key
            for package in inventory.packages
            if package.name not in _SEEDS
            and (
                package.requested is not False
                or package.key not in required
                or (package.manager is Manager.PIP and package.location not in marked)
            )
        ).union(key for package in applications for key in (*package.requires, *package.integrates))
        self._required = lru_cache(maxsize=1 << 12)(self._requirements)
        self._optional = lru_cache(maxsize=_MEMORY)(self._keys_unless_wanted)

    def _is_application(self, package: Package) -> bool:
        """Tell whether the user installed it from somewhere; other managers' packages may have such a file as built."""
        origins = [path for path in package.database if path.endswith(_ORIGIN)] if package.requested else []
        return any(all(owner.manager is Manager.PIP for owner in self._owners.get(path, ())) for path in origins)

    def group(self, entry: Entry) -> str:
        """Return the distribution and the top-level module that a file is of; empty for what is no module's."""
        for package in self._owners.get(entry.path, ()):
            if package.manager in _PYTHON and entry.path not in package.metadata:
                return self._group(package, entry.path)
        return ""

    def _group(self, package: Package, path: str) -> str:
        place = self._finder.place(path)
        return f"{package.key} {path[len(place.root) + 1 :].partition('/')[0].partition('.')[0]}"

    def sort(self, place: Place, uses: Iterable[Use]) -> Iterator[Use | Offer]:
        """Turn what only an integration needs into offers."""
        importers = self._distributions(place.path)
        own = any(each.key in self._applications for each in importers)
        if own or (not importers and not place.is_standard):
            yield from uses
            return
        for use in uses:
            group = self._integrated(importers, use.path) if use.reason is Reason.MAY_IMPORT else ""
            yield Offer(use, group) if group else use

    def _integrated(self, importers: tuple[Package, ...], path: str) -> str:
        """Return the group of a file of another distribution that these do not require and nobody asked for."""
        keys = self._optional(path)
        if not keys or any(not self._required(each.key).isdisjoint(keys) for each in importers):
            return ""
        return self._group(self._distributions(path)[0], path)

    def _keys_unless_wanted(self, path: str) -> tuple[str, ...]:
        """Return the keys of the distributions that a file is of; none where somebody asked for one of them."""
        keys = tuple(package.key for package in self._distributions(path))
        return () if any(key in self._wanted for key in keys) else keys

    def _distributions(self, path: str) -> tuple[Package, ...]:
        return tuple(each for each in self._owners.get(path, ()) if each.manager in _PYTHON)

    def _requirements(self, key: str) -> frozenset[str]:
        """Return a distribution and all that it requires, whatever is between them."""
        found, waiting = {key}, [key]
        while waiting:
            package = self._packages.get(waiting.pop())
            for required in (*package.requires, *package.integrates) if package is not None else ():
                if required not in found:
                    found.add(required)
                    waiting.append(required)
        return frozenset(found)


def _has(package: Package, end: str) -> bool:
    return any(path.endswith(end) for path in package.database)
