"""What a slim image will hold."""

from dataclasses import dataclass

from mlbloat.model.filetree import Entry
from mlbloat.model.use import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPlan:
    layer: int
    """Index in the original image."""
    members: tuple[Entry, ...]
    """Entries of the original layer that survive, in its order; an untouched layer keeps all of them."""
    removed: int
    """Entries left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    keep: Level
    layers: tuple[LayerPlan, ...]
    """Layers with nothing left are not in it."""
    kept: frozenset[str]
    """Paths of the tree that survive: files, and every directory and symbolic link."""
    removed: tuple[str, ...]
    """Regular files of the tree that go, sorted."""
