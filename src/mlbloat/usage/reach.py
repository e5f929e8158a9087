"""Follow evidence from file to file until nothing new appears.

Each reader knows one kind of content and answers one question: if this file is used, what else is? Its answers are
`Use` values whose level says how strong the link is by itself (LINKED: the file cannot load without it; SAFE: it may be
asked for on another input). A file's level is the best, over all chains that lead to it, of the weakest link of the
chain; so levels are nested by construction.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.use import Level, Reason, Use


class Reader(Protocol):
    """One kind of content. A reader may keep indexes of the tree, never of what was reached before."""

    def read(self, entry: Entry) -> Iterable[Use]:
        """Yield what a regular file leads to; `by` is the file's path, `path` may still pass symbolic links."""


def reach(tree: FileTree, readers: Sequence[Reader], seeds: Iterable[Use]) -> tuple[Use, ...]:
    """Return the seeds and everything that they lead to, in order of discovery, each use once."""
    found: dict[tuple[str, Reason, str], Use] = {}
    levels: dict[str, Level] = {}
    waiting: dict[Level, deque[Use]] = {level: deque() for level in Level}
    for seed in seeds:
        waiting[seed.level].append(seed)
    for level in Level:
        # Weaker links found on the way wait for their own round, so a file's first level is its best one.
        while waiting[level]:
            use = waiting[level].popleft()
            for step in _with_links(tree, use):
                key = (step.path, step.reason, step.by)
                if key not in found:
                    found[key] = step
                if step.path in levels:
                    continue
                levels[step.path] = level
                entry = tree[step.path]
                if entry.kind is not Kind.FILE:
                    continue
                for reader in readers:
                    for edge in reader.read(entry):
                        weakest = max(level, edge.level)
                        waiting[weakest].append(edge if edge.level == weakest else replace(edge, level=weakest))
    return tuple(found.values())


def _with_links(tree: FileTree, use: Use) -> Iterable[Use]:
    """Turn a named path into uses of what is there and of the symbolic links on the way; nothing when it is missing."""
    there = tree.find(use.path)
    for link in there.links:
        yield replace(use, path=link)
    if there.entry is not None:
        yield replace(use, path=there.path)
