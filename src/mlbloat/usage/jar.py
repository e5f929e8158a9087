"""Edges from Java archives to the programs and libraries that their classes name, and to the archives they need.

A class that starts processes has the name of `ProcessBuilder` or `Runtime` among its constants, and most names of
programs among its strings; one that loads libraries has the name of `System.loadLibrary`. As in every other language a
name counts only when a program or library of that name exists. A manifest's class path is opened when a class is looked
for, so a run need not have touched all of it.

https://docs.oracle.com/javase/specs/jvms/se21/html/jvms-4.html#jvms-4.4 (the constant pool)
https://docs.oracle.com/en/java/javase/21/docs/specs/jar/jar.html
"""

import posixpath
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import BinaryIO

import msgspec

from mlbloat.model.filetree import Entry, FileTree
from mlbloat.model.filetree import Kind as FileKind
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.ground import Ground
from mlbloat.usage.learning import Kind
from mlbloat.usage.zipped import members

_MAGIC = b"\xca\xfe\xba\xbe"
_STARTS_PROCESSES = (b"java/lang/ProcessBuilder", b"\x01\x00\x04exec")
"""Among the constants: a class, or the name of a method as of `java.lang.Runtime`."""
_LOADS_LIBRARIES = b"\x01\x00\x0bloadLibrary"
_LIBRARY = re.compile(rb"[A-Za-z0-9_][\w.+-]{0,100}")
_CLASS_PATH = re.compile(rb"(?mi)^Class-Path:[ ]*(.*?)\r?$")
_COMMAND = re.compile(rb"/?[A-Za-z0-9_][\w.+/-]{0,100}")

_UTF8, _STRING, _LONG, _DOUBLE = 1, 8, 5, 6
_SIZES = {3: 4, 4: 4, _LONG: 8, _DOUBLE: 8, 7: 2, _STRING: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4}
_SIZES |= {19: 2, 20: 2}
"""Of the constants by their tag; only Utf8 says its own length."""


class JarFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    commands: tuple[str, ...] = ()
    """First words of strings in classes that start processes."""
    libraries: tuple[str, ...] = ()
    """Strings in classes that load libraries."""
    class_path: tuple[str, ...] = ()
    """What the manifest names, relative to the archive."""


def learn(stream: BinaryIO) -> JarFacts:
    """Read an archive of classes; one that is damaged has the facts of what could be read."""
    commands: dict[str, None] = {}
    libraries: dict[str, None] = {}
    for content in members(stream, ".class"):
        if any(name in content for name in _STARTS_PROCESSES):
            commands.update(dict.fromkeys(_commands(content)))
        if _LOADS_LIBRARIES in content:
            names = (text.decode("ascii") for text in strings(content) if _LIBRARY.fullmatch(text))
            libraries.update(dict.fromkeys(names))
    manifests = (content for content in members(stream, "META-INF/MANIFEST.MF"))
    return JarFacts(tuple(commands), tuple(libraries), tuple(dict.fromkeys(chain(*map(_class_path, manifests)))))


def _class_path(manifest: bytes) -> Iterator[str]:
    whole = re.sub(rb"\r?\n ", b"", manifest)  # a line of more than 72 bytes goes on in the next one
    for match in _CLASS_PATH.finditer(whole):
        yield from match[1].decode("utf-8", "replace").split()


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


JAR = Kind("jar/3", JarFacts, _learn_file)


class JarReader:
    """Reads Java archives by their suffix."""

    def __init__(self, ground: Ground) -> None:
        self._tree = ground.tree
        self._learning = ground.learning
        self._names = ground.names

    def prepare(self, entries: Sequence[Entry]) -> None:
        self._learning.ahead(JAR, (entry for entry in entries if entry.name.endswith(".jar")))

    def read(self, entry: Entry) -> Iterator[Use]:
        if not entry.name.endswith(".jar"):
            return
        facts = self._learning.of(JAR, entry)
        for name in facts.commands:
            program = self._names.program(name)
            if program is not None:
                yield Use(program, Level.SAFE, Reason.MAY_RUN, entry.path)
        yield from self._names.library_uses((f"lib{name}.so" for name in facts.libraries), entry.path)
        for name in facts.class_path:
            there = self._tree.find(posixpath.join(posixpath.dirname(entry.path), name))
            if there.entry is not None and there.entry.kind is FileKind.FILE:
                yield Use(there.path, Level.SAFE, Reason.MAY_LOAD, entry.path)
