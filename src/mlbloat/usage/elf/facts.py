"""What the character strings and symbols of an ELF file say, whatever the image it is in."""

from collections.abc import Iterator
from itertools import islice

import msgspec

from mlbloat.model.filetree import Entry, FileTree
from mlbloat.usage.candidates import MAX_NAMES, libraries_in, paths_in
from mlbloat.usage.elf.binary import Binary, has_symbol, parse
from mlbloat.usage.learning import Kind

_CHUNK = 1 << 22
_OVERLAP = 1 << 10
"""Longer than any name that is looked for, so that none is lost between two chunks."""
_ICONV = b"iconv_open"
_GCONV = b"__gconv_open"
"""What iconv(1) calls, glibc `iconv/iconv_prog.c`."""
_LOADERS = (b"dlopen", b"g_module_open")
"""dlopen(3) under its own name or behind a prefix (`lt_dlopen`, `uv_dlopen`), and GLib's."""


class ElfFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    libraries: tuple[str, ...] = ()
    """What may be names of shared libraries."""
    strings: tuple[str, ...] = ()
    """Absolute paths that are whole strings of C."""
    paths: tuple[str, ...] = ()
    """Other runs of characters with an absolute path in them, which may have more at their end."""
    converts: bool = False
    """It converts between character sets, iconv(3)."""
    converts_any: bool = False
    """It is the program that converts between any of them."""
    loads: bool = False
    """It loads libraries by names that it has at run time."""


def _learn(tree: FileTree, entry: Entry) -> ElfFacts:
    libraries: dict[bytes, None] = {}
    paths: dict[tuple[bytes, bool], None] = {}
    with tree.open(entry) as stream:
        binary = parse(stream, entry.size_bytes)
        if binary is None:
            return ElfFacts()
        converts, converts_any = has_symbol(stream, binary, _ICONV), has_symbol(stream, binary, _GCONV)
        loads = any(has_symbol(stream, binary, name) for name in _LOADERS)
        for data in _texts(tree, entry, binary):
            libraries.update(dict.fromkeys(libraries_in(data)))
            paths.update(dict.fromkeys(paths_in(data)))
    return ElfFacts(
        libraries=tuple(name.decode("ascii") for name in islice(libraries, MAX_NAMES)),
        strings=tuple(path.decode("ascii") for path, whole in islice(paths, MAX_NAMES) if whole),
        paths=tuple(path.decode("ascii") for path, whole in islice(paths, MAX_NAMES) if not whole),
        converts=converts,
        converts_any=converts_any,
        loads=loads,
    )


ELF = Kind("elf/3", ElfFacts, _learn)


def _texts(tree: FileTree, entry: Entry, binary: Binary) -> Iterator[bytes]:
    """Read the parts of a file that may hold text, in chunks that overlap."""
    with tree.open(entry) as stream:
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
