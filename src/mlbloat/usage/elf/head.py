"""How a file begins: what the kernel and the dynamic loader decide by."""

import re

import msgspec

from mlbloat.model.filetree import Entry, FileTree
from mlbloat.usage.elf.binary import MAGIC, Binary, parse
from mlbloat.usage.learning import Kind

_LINE_BYTES = 256
"""What the kernel reads of the first line (BINPRM_BUF_SIZE), execve(2)."""
_RELAY = re.compile(rb"\A#!/bin/sh\s*\n'''exec'\s+(?:\"([^\"\n]+)\"|(\S+))")
"""How pip and conda start an interpreter whose path is too long for `#!`."""


class Head(msgspec.Struct, frozen=True, array_like=True, gc=False):
    words: tuple[str, ...] = ()
    """Of a first line with `#!`: the interpreter and its arguments. A name in another encoding finds nothing."""
    relay: str = ""
    """The interpreter that the second line starts."""
    is_elf: bool = False
    binary: Binary | None = None
    """None as well where an ELF file contradicts itself."""


def _head_of(tree: FileTree, entry: Entry) -> Head:
    with tree.open(entry) as stream:
        start = stream.read(2 * _LINE_BYTES)
        if start.startswith(MAGIC):
            return Head(is_elf=True, binary=parse(stream, entry.size_bytes))
    if not start.startswith(b"#!"):
        return Head()
    line = start[2:_LINE_BYTES].partition(b"\n")[0]
    relay = _RELAY.match(start)
    return Head(
        words=tuple(line.decode("utf-8", "replace").split()),
        relay=(relay[1] or relay[2]).decode("utf-8", "replace") if relay else "",
    )


HEAD = Kind("head/1", Head, _head_of)
