"""Edges from ELF files to what they load, and to what their character strings name."""

from collections.abc import Iterator

from mlbloat.model.filetree import Entry, FileTree
from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.elf.binary import Binary
from mlbloat.usage.elf.loader import Loader
from mlbloat.usage.names import Names

_CHUNK = 1 << 22
_OVERLAP = 1 << 10
"""Longer than any name that is looked for, so that none is lost between two chunks."""


class ElfReader:
    """Reads every ELF file: the loader's needs at `linked`, names in its data at `safe`."""

    def __init__(self, tree: FileTree, config: ImageConfig) -> None:
        self._tree = tree
        self._loader = Loader(tree, config)
        self._names = Names(tree, config)

    def read(self, entry: Entry) -> Iterator[Use]:
        binary = self._loader.binary(entry)
        if binary is None:
            return
        yield from self._linked(entry.path, binary)
        yield from self._named(entry, binary)

    def _linked(self, path: str, binary: Binary) -> Iterator[Use]:
        if binary.interpreter:
            yield Use(binary.interpreter, Level.LINKED, Reason.INTERPRETER, path)
        preloaded = self._loader.preloaded if binary.interpreter else ()
        for name in (*binary.needed, *preloaded):
            for library in self._loader.find(name, path, binary) if name else ():
                yield Use(library, Level.LINKED, Reason.NEEDED, path)

    def _named(self, entry: Entry, binary: Binary) -> Iterator[Use]:
        path, seen = entry.path, set[tuple[str, Reason]]()
        for data in self._texts(entry, binary):
            for uses in (self._names.library_uses(data, path), self._names.path_uses(data, path, glued=True)):
                for use in uses:
                    if (use.path, use.reason) not in seen:
                        seen.add((use.path, use.reason))
                        yield use

    def _texts(self, entry: Entry, binary: Binary) -> Iterator[bytes]:
        """Read the parts of a file that may hold text, in chunks that overlap."""
        with self._tree.open(entry) as stream:
            for offset, size in binary.texts:
                stream.seek(offset)
                left, before = size, b""
                while left > 0:
                    data = stream.read(min(_CHUNK, left))
                    if not data:
                        break
                    left -= len(data)
                    yield before + data
                    before = data[-_OVERLAP:]
