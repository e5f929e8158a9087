"""Contents of small files that package databases are made of, kept with the facts.

They are the one thing that is read whole from every image. Without them a layer that the cache knows would have to be
unpacked again for a few kilobytes.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from mlbloat.cache.facts import Facts
from mlbloat.cache.store import Cache
from mlbloat.model.filetree import Entry, FileTree

KIND = "contents/1"
MOST_BYTES = 4 << 20
"""Of one file; a larger one is read from the image every time."""
MOST_TOGETHER_BYTES = 64 << 20
"""Of one run, all files together."""


@dataclass(slots=True)
class _Contents:
    """Contents protocol that asks the cache first, and remembers what it had to read."""

    tree: FileTree
    known: Facts[bytes]
    left_bytes: int = field(default=MOST_TOGETHER_BYTES)

    def open(self, entry: Entry) -> BinaryIO:
        key = self.tree.content_key(entry)
        if key is None or entry.size_bytes > min(MOST_BYTES, self.left_bytes):
            return self.tree.open(entry)
        content = self.known.get(key)
        if content is None:
            content = self.tree.read(entry)
            self.left_bytes -= len(content)
            self.known.put(key, content)
        return io.BytesIO(content)


@contextmanager
def remembered(tree: FileTree, cache: Cache) -> Iterator[FileTree]:
    """Give the tree as one whose small contents come from the cache, and go there when the block ends well."""
    known = Facts(cache, KIND, bytes)
    yield tree.with_contents(_Contents(tree, known))
    known.save()
