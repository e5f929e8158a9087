"""What a slim image will hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlbloat.model.filetree import Entry
from mlbloat.model.use import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlan:
    layer: int
    """Index in the original image; of a layer that joins several the highest."""
    members: tuple[Entry, ...]
    """Entries of the original layer that survive, in its order; an untouched layer keeps all of them. One without a
    member gets a header of its own, and the content of its inode."""
    removed: int
    """Entries left out."""
    untouched: bool = False
    """Every byte of the original layer stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    keep: Level
    layers: tuple[LayerPlan, ...]
    """Layers with nothing left are not in it."""
    kept: frozenset[str]
    """Paths of the tree that survive: files, and every other directory and every symbolic link."""
    removed: tuple[str, ...]
    """Regular files of the tree that go, sorted."""
    removed_directories: tuple[str, ...] = ()
    """Directories that are records of packages that are gone; nothing else is lost with them."""
    rewritten: Mapping[tuple[int, int], bytes] = field(default_factory=dict)
    """New contents by inode: package databases that are cut to what is left."""
    cut: tuple[str, ...] = ()
    """Paths of the files that are rewritten, sorted."""
    flags: tuple[str, ...] = ()
    """What the plan could not make true, as sentences."""
