"""The inventory of an image that was listed before: it depends on the layers alone.

It lies in the cache beside what is known of the image's last layer; who owns what follows from it.
"""

import hashlib
import zlib

import msgspec

from mlbloat.cache import Cache
from mlbloat.model.filetree import FileTree
from mlbloat.model.package import CachedPackage, Inventory, Package, Problem
from mlbloat.packages import ownership

KIND = "inventory/5"
"""With a number that changes with what resolvers find."""


class _Listed(msgspec.Struct, frozen=True, array_like=True):
    packages: tuple[Package, ...]
    cached: tuple[CachedPackage, ...]
    problems: tuple[Problem, ...]


def load(tree: FileTree, cache: Cache) -> Inventory | None:
    """Return the inventory of a tree with these layers; None when it is not known, or damaged."""
    value = cache.load(_kind(tree), tree.layers[-1]).get(0) if tree.layers else None
    if value is None:
        return None
    try:
        listed = msgspec.msgpack.decode(zlib.decompress(value), type=_Listed)
    except (zlib.error, msgspec.DecodeError):
        return None
    claims = ownership.claims(listed.packages)
    return Inventory(
        packages=listed.packages,
        owners=ownership.owners(claims),
        counted_as=ownership.counted_as(tree, claims),
        cached=listed.cached,
        problems=listed.problems,
    )


def save(tree: FileTree, inventory: Inventory, cache: Cache) -> None:
    """Keep an inventory; one with names that are no text is listed anew every time."""
    if not tree.layers:
        return
    listed = _Listed(inventory.packages, inventory.cached, inventory.problems)
    try:
        value = zlib.compress(msgspec.msgpack.encode(listed), 1)
    except UnicodeEncodeError:
        return
    cache.save(_kind(tree), tree.layers[-1], {0: value})


def _kind(tree: FileTree) -> str:
    return f"{KIND}/{hashlib.sha256(repr(tree.layers).encode()).hexdigest()}"
