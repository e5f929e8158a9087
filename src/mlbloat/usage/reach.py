"""Follow evidence from file to file until nothing new appears.

Each reader knows one kind of content and answers one question: if this file is used, what else is? Its answers are
`Use` values whose level says how strong the link is by itself (LINKED: the file cannot load without it; SAFE: it may be
asked for on another input). A file's level is the best, over all chains that lead to it, of the weakest link of the
chain; so levels are nested by construction.

An offer is a use that counts only where another chain leads to something of the same group of files: it never brings a
group in. What such a use leads to may bring one in, so offers are looked through again until none is taken up.

Files are followed in rounds. What a file leads to is said to all readers at once, long before its turn, so that they
can have it read ahead.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.use import Level, Reason, Use

_MOST_UNSAID = 64
"""Paths that wait to be said to the readers: so many at once cost each reader one look."""


class Offer(msgspec.Struct, frozen=True, gc=False):
    """A use that counts where its group is reached without it, and below `safe` in any case."""

    use: Use
    group: str


class Reader(Protocol):
    """One kind of content. A reader may keep indexes of the tree, never of what was reached before."""

    def read(self, entry: Entry) -> Iterable[Use | Offer]:
        """Yield what a regular file leads to; `by` is the file's path, `path` may still pass symbolic links."""

    def prepare(self, entries: Sequence[Entry]) -> None:
        """Hear of regular files that are read sooner or later."""


def reach(
    tree: FileTree, readers: Sequence[Reader], seeds: Iterable[Use], group_of: Callable[[Entry], str]
) -> tuple[Use, ...]:
    """Return the seeds and everything that they lead to, in order of discovery, each use once.

    `group_of` names the group of files that a reached one belongs to; empty for none.
    """
    return _Reach(tree, readers, group_of).follow(seeds)


class _Reach:
    def __init__(self, tree: FileTree, readers: Sequence[Reader], group_of: Callable[[Entry], str]) -> None:
        self._tree = tree
        self._readers = readers
        self._group_of = group_of
        self._offers: list[Offer] = []
        self._groups: set[str] = set()
        """Those that something of was reached."""
        self._found: dict[tuple[str, Reason, str], Use] = {}
        self._levels: dict[str, Level] = {}
        self._waiting: dict[Level, list[Use]] = {level: [] for level in Level}
        self._steps: dict[str, tuple[str, ...]] = {}
        """Path as named to the canonical paths that it uses."""
        self._foreseen: set[str] = set()
        """Files that readers have heard of."""

    def follow(self, seeds: Iterable[Use]) -> tuple[Use, ...]:
        for seed in seeds:
            self._waiting[seed.level].append(seed)
        self._foresee([seed.path for waiting in self._waiting.values() for seed in waiting])
        for level in Level:
            # Weaker links found on the way wait for their own round, so a file's first level is its best one.
            self._finish(level)
        while taken := self._take_up():
            self._waiting[Level.SAFE] += taken
            self._foresee([use.path for use in taken])
            self._finish(Level.SAFE)
        return tuple(self._found.values())

    def _finish(self, level: Level) -> None:
        while self._waiting[level]:
            uses, self._waiting[level] = self._waiting[level], []
            self._read(level, self._enter(level, uses))

    def _take_up(self) -> list[Use]:
        """Take the offers out whose group was reached."""
        offers, self._offers = self._offers, []
        taken = []
        for offer in offers:
            if offer.group in self._groups:
                taken.append(_at_safe(offer.use))
            else:
                self._offers.append(offer)
        return taken

    def _enter(self, level: Level, uses: Iterable[Use]) -> list[Entry]:
        """Note the uses of a round; returns the files that no earlier round had."""
        found, levels, known = self._found, self._levels, self._steps
        new: list[Entry] = []
        for use in uses:
            for path in known[use.path]:
                key = (path, use.reason, use.by)
                if key not in found:
                    found[key] = use if path == use.path else Use(path, use.level, use.reason, use.by, use.pinned)
                if path not in levels:
                    levels[path] = level
                    entry = self._tree[path]
                    if entry.kind is Kind.FILE:
                        self._groups.add(self._group_of(entry))
                        new.append(entry)
        return new

    def _resolve(self, path: str) -> tuple[str, ...]:
        """Turn a named path into what is there and the symbolic links on the way; only these when it is missing."""
        there = self._tree.find(path)
        return there.links if there.entry is None else (*there.links, there.path)

    def _foresee(self, paths: Iterable[str]) -> None:
        """Look up paths that were named for the first time, and tell the readers which files they are."""
        new: list[Entry] = []
        for named in paths:
            if named in self._steps:
                continue
            steps = self._steps[named] = self._resolve(named)
            for path in steps:
                entry = self._tree[path]
                if entry.kind is Kind.FILE and path not in self._foreseen:
                    self._foreseen.add(path)
                    new.append(entry)
        for reader in self._readers if new else ():
            reader.prepare(new)

    def _read(self, level: Level, entries: Sequence[Entry]) -> None:
        waiting, known = self._waiting, self._steps
        unknown: list[str] = []
        for entry in entries:
            for reader in self._readers:
                for found in reader.read(entry):
                    if isinstance(found, Offer):
                        if max(level, found.use.level) > Level.LINKED:
                            self._offers.append(found)
                            continue
                        edge = found.use
                    else:
                        edge = found
                    if edge.path not in known:
                        unknown.append(edge.path)
                    if edge.level >= level:
                        waiting[edge.level].append(edge)
                    else:
                        waiting[level].append(Use(edge.path, level, edge.reason, edge.by, edge.pinned))
            if len(unknown) > _MOST_UNSAID:
                self._foresee(unknown)
                unknown = []
        self._foresee(unknown)


def _at_safe(use: Use) -> Use:
    return Use(use.path, Level.SAFE, Reason.MAY_IMPORT, use.by, use.pinned)
