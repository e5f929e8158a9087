"""Edges from Java archives to the programs that their classes start.

A class that starts processes has the name of `ProcessBuilder` or `Runtime` among its constants, and most names of
programs among its strings. As in every other language a name counts only when a program of that name exists.

https://docs.oracle.com/javase/specs/jvms/se21/html/jvms-4.html#jvms-4.4 (the constant pool)
https://docs.oracle.com/en/java/javase/21/docs/specs/jar/jar.html
"""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import msgspec

from mlbloat.model.filetree import Entry, FileTree
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.ground import Ground
from mlbloat.usage.learning import Kind

_MAGIC = b"\xca\xfe\xba\xbe"
_STARTS_PROCESSES = (b"java/lang/ProcessBuilder", b"\x01\x00\x04exec")
"""Among the constants: a class, or the name of a method as of `java.lang.Runtime`."""
_COMMAND = re.compile(rb"/?[A-Za-z0-9_][\w.+/-]{0,100}")
_MOST_CLASS_BYTES = 1 << 20
_MOST_BYTES = 2 << 30
"""All classes of one archive, uncompressed."""
_MOST_CLASSES = 200_000
_MOST_DIRECTORY_BYTES = 16 << 20
_END_BYTES = 22 + (1 << 16)
"""The record at the end and the longest comment after it."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    OSError,
)
"""What zipfile raises about archives that are damaged, encrypted or made to mislead."""

_UTF8, _STRING, _LONG, _DOUBLE = 1, 8, 5, 6
_SIZES = {3: 4, 4: 4, _LONG: 8, _DOUBLE: 8, 7: 2, _STRING: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4}
_SIZES |= {19: 2, 20: 2}
"""Of the constants by their tag; only Utf8 says its own length."""


class JarFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    commands: tuple[str, ...] = ()
    """First words of strings in classes that start processes."""


def learn(stream: BinaryIO) -> JarFacts:
    """Read an archive of classes; one that is damaged has the facts of what could be read."""
    found: dict[str, None] = {}
    try:
        if _directory_bytes(stream) <= _MOST_DIRECTORY_BYTES:
            with zipfile.ZipFile(stream) as archive:
                for content in _classes(archive):
                    if any(name in content for name in _STARTS_PROCESSES):
                        found.update(dict.fromkeys(_commands(content)))
    except _ERRORS:
        pass  # Java could not read on either
    return JarFacts(tuple(found))


def _directory_bytes(stream: BinaryIO) -> int:
    """Return the size of the central directory, all of which a reader keeps in memory (APPNOTE.TXT, 4.3.16)."""
    stream.seek(max(0, stream.seek(0, 2) - _END_BYTES))
    end = stream.read()
    at = end.rfind(b"PK\5\6")
    return int.from_bytes(end[at + 12 : at + 16], "little") if at >= 0 else 0


def _classes(archive: zipfile.ZipFile) -> Iterator[bytes]:
    left = _MOST_BYTES
    for member in archive.infolist()[:_MOST_CLASSES]:
        is_class = member.filename.endswith(".class") and member.compress_type in _METHODS
        if is_class and member.file_size <= min(_MOST_CLASS_BYTES, left):
            left -= member.file_size
            with archive.open(member) as stream:
                yield stream.read(member.file_size)


def _commands(content: bytes) -> Iterator[str]:
    for text in strings(content):
        words = text.split(None, 1)
        if words and _COMMAND.fullmatch(words[0]):
            yield words[0].decode("ascii")


def strings(content: bytes) -> Iterator[bytes]:
    """Yield the string constants of a class file; nothing of what is none, or is damaged."""
    if content[:4] != _MAGIC or len(content) < 10:
        return
    texts: dict[int, bytes] = {}
    wanted: list[int] = []
    at, number, count = 10, 1, int.from_bytes(content[8:10], "big")
    while number < count and at + 3 <= len(content):
        tag, operand = content[at], int.from_bytes(content[at + 1 : at + 3], "big")
        if tag == _UTF8:
            texts[number] = content[at + 3 : at + 3 + operand]
            at += 3 + operand
        elif tag in _SIZES:
            if tag == _STRING:
                wanted.append(operand)
            at += 1 + _SIZES[tag]
        else:
            return
        number += 2 if tag in (_LONG, _DOUBLE) else 1  # these take two numbers
    yield from (texts[each] for each in wanted if each in texts)


def _learn_file(tree: FileTree, entry: Entry) -> JarFacts:
    with tree.open(entry) as stream:
        return learn(stream)


JAR = Kind("jar/2", JarFacts, _learn_file)


class JarReader:
    """Reads Java archives by their suffix."""

    def __init__(self, ground: Ground) -> None:
        self._learning = ground.learning
        self._names = ground.names

    def prepare(self, entries: Sequence[Entry]) -> None:
        self._learning.ahead(JAR, (entry for entry in entries if entry.name.endswith(".jar")))

    def read(self, entry: Entry) -> Iterator[Use]:
        if not entry.name.endswith(".jar"):
            return
        for name in self._learning.of(JAR, entry).commands:
            program = self._names.program(name)
            if program is not None:
                yield Use(program, Level.SAFE, Reason.MAY_RUN, entry.path)
