"""Edges from ELF files to what they load, and to what their character strings name."""

from collections.abc import Iterator, Sequence

from mlbloat.model.filetree import Entry
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.belongings import Belongings
from mlbloat.usage.elf.binary import Binary
from mlbloat.usage.elf.facts import ELF
from mlbloat.usage.elf.loader import Loader
from mlbloat.usage.ground import Ground

_ON_REQUEST = {"libc.so.6": "libidn2.so"}
"""Libraries that a program has to ask another one to load, and how their names begin: AI_IDN of getaddrinfo(3), glibc
`inet/idna.c`. Names in ASCII are looked up without it, and Python encodes the others itself."""
_CUSTOMARY = frozenset({"libc.so.6"})
"""Libraries of which conventions say what they open in the directories that they name: converters, locales."""


class ElfReader:
    """Reads every ELF file: the loader's needs at `linked`, names in its data at `safe`."""

    def __init__(self, ground: Ground, belongings: Belongings) -> None:
        self._learning = ground.learning
        self._names = ground.names
        self._loader = Loader(ground)
        self._belongings = belongings

    def prepare(self, entries: Sequence[Entry]) -> None:
        self._learning.ahead(ELF, (entry for entry in entries if self._loader.binary(entry) is not None))

    def read(self, entry: Entry) -> Iterator[Use]:
        binary = self._loader.binary(entry)
        if binary is None:
            return
        yield from self._linked(entry.path, binary)
        facts, path = self._learning.of(ELF, entry), entry.path
        unasked = _ON_REQUEST.get(binary.soname)
        libraries = (name for name in facts.libraries if not (unasked and name.startswith(unasked)))
        uses: dict[tuple[str, Reason], Use] = {}
        for found in (
            self._names.library_uses(libraries, path),
            self._names.path_uses(facts.strings, path, glued=True, whole=True),
            self._names.path_uses(facts.paths, path, glued=True),
            self._belongings.uses(facts.strings, path) if facts.loads and binary.soname not in _CUSTOMARY else (),
        ):
            for use in found:
                uses.setdefault((use.path, use.reason), use)
        yield from uses.values()

    def _linked(self, path: str, binary: Binary) -> Iterator[Use]:
        if binary.interpreter:
            yield Use(binary.interpreter, Level.LINKED, Reason.INTERPRETER, path)
        preloaded = self._loader.preloaded if binary.interpreter else ()
        for name in (*binary.needed, *preloaded):
            for library in self._loader.find(name, path, binary) if name else ():
                yield Use(library, Level.LINKED, Reason.NEEDED, path)
