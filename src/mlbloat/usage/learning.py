"""Facts about files: learnt once from a content, kept between runs, and learnt ahead by several processes.

A fact is a pure function of the bytes of one file. What it means in a tree is decided by the reader that asks for it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar, cast

import msgspec

from mlbloat.cache import Cache, Facts, NoCache
from mlbloat.model.filetree import Entry, FileTree
from mlbloat.runtime.workers import Workers

Fact = TypeVar("Fact")
Inode = tuple[int, int]

_NO_CACHE = NoCache()
_LONGEST_TEXT = 1 << 18


@dataclass(frozen=True, slots=True, eq=False)
class Kind(Generic[Fact]):
    """One thing to know about a file."""

    name: str
    """With the number of its format: a change of what is learnt is a new kind."""
    type: type[Fact]
    learn: Callable[[FileTree, Entry], Fact]


class Learning:
    """What is known about the files of one tree; to be closed, because it may start processes."""

    def __init__(self, tree: FileTree, cache: Cache = _NO_CACHE, processes: int | None = None) -> None:
        self._tree = tree
        self._cache = cache
        self._facts: dict[str, Facts[Any]] = {}
        self._workers: Workers[tuple[Kind[Any], Inode], bytes] = Workers(self._answer, processes)

    def of(self, kind: Kind[Fact], entry: Entry) -> Fact:
        """Return a fact: kept, learnt ahead, or learnt now."""
        facts, key = self._of_kind(kind), self._tree.content_key(entry)
        known = facts.get(key)
        if known is not None:
            return known
        value = self._workers.take((kind, entry.inode))
        if value is not None:
            return facts.put_encoded(key, value)
        fact = kind.learn(self._tree, entry)
        facts.put(key, fact)
        return fact

    def text(self, entry: Entry, limit_bytes: int) -> bytes:
        """Return the start of a file that counts for its very words; a short one is kept."""
        if entry.size_bytes > _LONGEST_TEXT:
            return self._tree.read(entry, limit_bytes)
        return self.of(TEXT, entry)[:limit_bytes]

    def ahead(self, kind: Kind[Any], entries: Iterable[Entry]) -> None:
        """Have facts learnt that are asked for soon, by other processes where that is worth it."""
        facts, key_of = self._of_kind(kind), self._tree.content_key
        unknown = [entry for entry in entries if not facts.has(key_of(entry))]
        if unknown:
            self._workers.ask(((kind, entry.inode), entry.size_bytes) for entry in unknown)

    def close(self) -> None:
        self._workers.close()

    def save(self) -> None:
        """Keep what was learnt for other runs."""
        for facts in self._facts.values():
            facts.save()

    def _answer(self, question: tuple[Kind[Any], Inode]) -> bytes:
        kind, inode = question
        return msgspec.msgpack.encode(kind.learn(self._tree, self._by_inode[inode]))

    @cached_property
    def _by_inode(self) -> dict[Inode, Entry]:
        return {entry.inode: entry for entry in self._tree.files()}

    def _of_kind(self, kind: Kind[Fact]) -> Facts[Fact]:
        if kind.name not in self._facts:
            self._facts[kind.name] = Facts(self._cache, kind.name, kind.type)
        return cast(Facts[Fact], self._facts[kind.name])


def _read_text(tree: FileTree, entry: Entry) -> bytes:
    return tree.read(entry, _LONGEST_TEXT)


TEXT = Kind("text/1", bytes, _read_text)
