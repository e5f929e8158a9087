"""What the sources in a zip archive lead to: eggs, zip applications, archives on the search path.

https://docs.python.org/3/library/zipimport.html, https://docs.python.org/3/library/zipapp.html. The archive is one file
and stays whole; what its modules ask for outside of it is what counts, so their facts are taken together.
"""

from typing import BinaryIO

from mlbloat.model.filetree import Entry, FileTree
from mlbloat.usage.learning import Kind
from mlbloat.usage.python import facts
from mlbloat.usage.python.facts import SourceFacts
from mlbloat.usage.python.source import Import, When, decode
from mlbloat.usage.zipped import members

SUFFIXES = (".egg", ".zip", ".pyz", ".pyzw", ".whl")
_MOST_BYTES = 256 << 20
"""A larger archive is data."""


def learn(stream: BinaryIO) -> SourceFacts:
    """Put together what the modules of an archive say of the world outside."""
    known = [facts.learn(decode(content)) for content in members(stream, ".py")]
    imports = (each for one in known for each in one.imports if not each.dots and each.when is not When.NEVER)

    def together(field: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(value for one in known for value in getattr(one, field)))

    return SourceFacts(
        imports=tuple(dict.fromkeys(Import(each.module, each.names, 0, When.CALL) for each in imports)),
        dotted=together("dotted"),
        groups=together("groups"),
        paths=together("paths"),
        called=tuple(name for name in together("called") if not name.startswith(".")),
        started=together("started"),
        code=tuple(dict.fromkeys(each for one in known for each in one.code)),
        libraries=together("libraries"),
        programs=together("programs"),
    )


def _learn_file(tree: FileTree, entry: Entry) -> SourceFacts:
    if entry.size_bytes > _MOST_BYTES:
        return SourceFacts()
    with tree.open(entry) as stream:
        return learn(stream)


ARCHIVE = Kind("python-archive/2", SourceFacts, _learn_file)
