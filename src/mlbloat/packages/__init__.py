"""FileTree to Inventory: which packages are installed and who owns which file.

All from the files in the tree: nothing of the image runs, so distroless and foreign-architecture images work too. A
database that cannot be read becomes one of `Inventory.problems`, and everything else is still reported.
"""

from collections.abc import Iterable
from typing import Protocol

from mlbloat.cache import Cache, remembered
from mlbloat.model.filetree import FileTree
from mlbloat.model.package import Inventory, Package
from mlbloat.packages import apk, apt, bytecode, conda, generated, kept, npm, ownership, pip, rpm
from mlbloat.packages.installed import Installed


class Resolver(Protocol):
    """One package manager: a module that reads its databases wherever they are in the tree."""

    def find(self, tree: FileTree) -> Installed:
        """Return the packages that are installed and what could not be read."""


RESOLVERS: tuple[Resolver, ...] = (apt, apk, rpm, conda, pip, npm)


def known_inventory(tree: FileTree, cache: Cache) -> Inventory:
    """Return the inventory that is kept of an image with these layers, or take it and keep it."""
    with remembered(tree, cache) as readable:
        known = kept.load(tree, cache)
        if known is None:
            known = take_inventory(readable)
            kept.save(tree, known, cache)
    return known


def take_inventory(tree: FileTree) -> Inventory:
    """List the packages of a tree, and who owns each file; raises nothing about what the databases say."""
    answers = [resolver.find(tree) for resolver in RESOLVERS]
    listed = (package for answer in answers for package in answer.packages)
    packages = _sorted(generated.adopt(tree, bytecode.adopt(tree, listed)))
    claims = ownership.claims(packages)
    return Inventory(
        packages=packages,
        owners=ownership.owners(claims),
        counted_as=ownership.counted_as(tree, claims),
        cached=tuple(cached for answer in answers for cached in answer.cached),
        problems=tuple(problem for answer in answers for problem in answer.problems),
    )


def _sorted(packages: Iterable[Package]) -> tuple[Package, ...]:
    return tuple(sorted(packages, key=lambda package: (package.manager, package.name, package.location)))
