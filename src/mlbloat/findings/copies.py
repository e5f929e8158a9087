"""The same thing twice, and what a linker wrote for a debugger."""

import hashlib
import posixpath
import re
import shlex
import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from mlbloat.cache import Facts
from mlbloat.findings.scene import MAX_PATHS, Groups, Rule, Scene, largest, without
from mlbloat.model.filetree import Entry
from mlbloat.model.mark import FileClass
from mlbloat.model.report import Finding

MIN_COPY_BYTES = 1 << 20
MIN_SYMBOL_BYTES = 64 << 10
MAX_SECTIONS = 10_000
_BLOCK = 1 << 20
_LIBRARY = re.compile(r"(lib.+?)(?:-[0-9a-f]{8})?(?:-[0-9][0-9.]*)?\.so(?:\.(\d+))?(?:[.-].*)?")
_UNOWNED = "unowned"


def _identical(rule: Rule, scene: Scene) -> Iterator[Finding]:
    """Files of one size are read, and only those that begin alike to their end."""
    by_size: dict[int, dict[tuple[int, int], Entry]] = {}
    for entry in scene.files:
        if entry.size_bytes >= MIN_COPY_BYTES:
            by_size.setdefault(entry.size_bytes, {}).setdefault(entry.inode, entry)
    groups: Groups = {}
    for same_size in by_size.values():
        for alike in _split(scene, same_size.values(), scene.beginnings, 1):
            for same in _split(scene, alike, scene.digests, None):
                first = min(same, key=lambda entry: (entry.path not in scene.touched, entry.path))
                for entry in same:
                    if entry is not first and entry.path not in scene.touched:
                        groups[entry.path] = [entry]
    yield rule.finding(scene, "Files that the image has twice, byte for byte", groups, _linked(scene, groups))


def _split(scene: Scene, entries: Iterable[Entry], known: Facts[bytes], blocks: int | None) -> list[list[Entry]]:
    """Return the groups of two and more that have the same content, up to some blocks."""
    entries = list(entries)
    if len(entries) < 2:
        return []
    found: dict[bytes, list[Entry]] = {}
    for entry in entries:
        key = scene.tree.content_key(entry)
        digest = known.get(key)
        if digest is None:
            with scene.tree.open(entry) as stream:
                digest = _digest(stream, blocks)
            known.put(key, digest)
        found.setdefault(digest, []).append(entry)
    return [group for group in found.values() if len(group) > 1]


def _digest(stream: BinaryIO, blocks: int | None) -> bytes:
    digest = hashlib.blake2b()
    while (blocks is None or blocks > 0) and (block := stream.read(_BLOCK)):
        digest.update(block)
        blocks = None if blocks is None else blocks - 1
    return digest.digest()


def _linked(scene: Scene, groups: Groups) -> str:
    paths = [path for path in largest(scene, groups) if path.isprintable()]
    return (
        f"RUN INSTALL && rdfind -makehardlinks true {shlex.join(sorted({posixpath.dirname(path) for path in paths}))}"
    )


def _libraries(rule: Rule, scene: Scene) -> Iterator[Finding]:
    """A library of one name and major version that two managers brought: most often one of them is never loaded."""
    by_name: dict[tuple[str, str], list[Entry]] = {}
    for entry in scene.files:
        match = _LIBRARY.fullmatch(entry.name) if entry.size_bytes >= MIN_COPY_BYTES and ".so" in entry.path else None
        if match:
            by_name.setdefault((match[1], match[2] or ""), []).append(entry)
    groups: Groups = {}
    for entries in by_name.values():
        if len({_manager(scene, entry) for entry in entries}) < 2 or len({entry.inode for entry in entries}) < 2:
            continue
        kept = min(entries, key=lambda entry: (entry.path not in scene.touched, -entry.size_bytes, entry.path))
        for entry in entries:
            if entry.inode != kept.inode and entry.path not in scene.touched:
                groups[entry.path] = [entry]
    yield rule.finding(scene, "Libraries that two package managers brought", groups, without(scene, groups))


def _manager(scene: Scene, entry: Entry) -> str:
    owners = scene.inventory.owners.get(entry.path, ())
    return str(owners[0].manager) if owners else _UNOWNED


def _symbols(rule: Rule, scene: Scene) -> Iterator[Finding]:
    groups: Groups = {}
    sizes: dict[str, int] = {}
    seen: set[tuple[int, int]] = set()
    entries = scene.tree.entries
    for mark in scene.marks:
        entry = entries[mark.path]
        wanted = mark.file_class is not FileClass.UNUSED and entry.size_bytes >= MIN_SYMBOL_BYTES
        if wanted and entry.inode not in seen and (".so" in entry.name or entry.mode & 0o111):
            seen.add(entry.inode)
            key = scene.tree.content_key(entry)
            found = scene.symbols.get(key)
            if found is None:
                found = _symbol_bytes(scene, entry)
                scene.symbols.put(key, found)
            if found >= MIN_SYMBOL_BYTES:
                groups[entry.path], sizes[entry.path] = [entry], found
    paths = sorted(groups, key=lambda path: (-sizes[path], path))[:MAX_PATHS]
    printable = [path for path in paths if path.isprintable()]
    yield Finding(
        rule=rule.name,
        severity=rule.severity,
        title="Symbols for debuggers in programs and libraries that are kept",
        bytes=sum(sizes.values()),
        paths=tuple(paths),
        advice=f"RUN INSTALL && strip --strip-unneeded {shlex.join(printable)}",
    )


_ELF64_LITTLE = b"\x7fELF\x02\x01"
_SYMBOLS = 2
_ALLOCATED = 2
_SECTION = struct.Struct("<IIQQQQIIQQ")


def _symbol_bytes(scene: Scene, entry: Entry) -> int:
    """Return the bytes of the symbol table, its names and debugging sections of a 64-bit ELF file (elf(5))."""
    with scene.tree.open(entry) as stream:
        head = stream.read(64)
        if len(head) < 64 or not head.startswith(_ELF64_LITTLE):
            return 0
        offset = int.from_bytes(head[40:48], "little")
        size, count, names = struct.unpack_from("<HHH", head, 58)
        if size != _SECTION.size or count > MAX_SECTIONS or offset + size * count > entry.size_bytes:
            return 0
        stream.seek(offset)
        table = stream.read(size * count)
        sections = list(_SECTION.iter_unpack(table)) if len(table) == size * count else []
        if names >= len(sections):
            return 0
        stream.seek(min(sections[names][4], entry.size_bytes))
        texts = stream.read(min(sections[names][5], 1 << 20))
    linked = {section[6] for section in sections if section[1] == _SYMBOLS}
    total = sum(
        section[5]
        for number, section in enumerate(sections)
        if not section[2] & _ALLOCATED
        and (section[1] == _SYMBOLS or (number in linked) or texts.startswith((b".debug_", b".zdebug_"), section[0]))
    )
    return int(min(total, entry.size_bytes))


RULES = (
    Rule(
        name="duplicate-files",
        severity="note",
        finds="files of 1 MiB and more that the image has twice, byte for byte, and that are no hard links",
        example="COPY model.bin /app/a/, and COPY model.bin /app/b/",
        remedy="RUN INSTALL && rdfind -makehardlinks true DIRECTORIES",
        find=_identical,
    ),
    Rule(
        name="duplicate-libraries",
        severity="warning",
        finds="a library of one name and major version, 1 MiB and more, from two package managers (or from one and from"
        " none); what a run touched, or else the largest, is taken to be the one that is needed",
        example="FROM an image with a toolkit, and RUN pip install a package that brings the toolkit again",
        remedy="RUN INSTALL && rm -rf FILES",
        find=_libraries,
    ),
    Rule(
        name="unstripped-symbols",
        severity="note",
        finds="symbol tables and debugging sections, 64 KiB and more in a file, of programs and libraries that are used"
        " or reachable",
        example="RUN make && make install",
        remedy="RUN INSTALL && strip --strip-unneeded FILES",
        find=_symbols,
    ),
)
