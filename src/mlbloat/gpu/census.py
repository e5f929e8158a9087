"""Code for GPUs in the files of an image, by the headers of its containers."""

import re
from collections.abc import Iterable, Iterator, Sequence

from mlbloat.cache import Cache, Facts
from mlbloat.gpu import elf, fatbin, offload
from mlbloat.gpu.elf import Span
from mlbloat.gpu.window import BrokenError, Window
from mlbloat.model.devicecode import Census, Choice, DeviceCode, Part
from mlbloat.model.filetree import Entry, FileTree
from mlbloat.model.gpuarch import AMD_UNKNOWN, OTHER

KIND = "device/1"
"""With a number that changes with what is found."""
_LEAST_BYTES = 256
_EXTENSIONS = (".cubin", ".fatbin", ".ptx", ".hsaco", ".co")
_START = 1 << 12
_PTX = re.compile(rb"^\.version\s[^\n]*\n\s*\.target\s+sm_([1-9][0-9]{1,2}[af]?)\b", re.MULTILINE)
_DRIVERS = (b".nv_fatbin", b"__nv_relfatbin")
"""Sections whose containers a program hands to the driver."""
_AMD = (b".hip_fatbin",)
_FALSE_HEADERS = 16
"""What a magic number that begins no container counts for: it costs another search."""
_MAX_CHOICES = 1 << 12
_NVIDIA_MACHINE, _AMD_MACHINE = 190, 224
_NEW_FLAGS = 8
"""Version of NVIDIA's ABI from which the second byte of the flags is the GPU; it was the first."""
_CONTAINERS = re.compile(re.escape(fatbin.MAGIC))
_BUNDLES = re.compile(re.escape(offload.MAGIC) + b"|" + re.escape(offload.COMPRESSED_MAGIC))


def census(tree: FileTree, cache: Cache, gpus: tuple[str, ...] = ()) -> Census:
    """Find the code for GPUs in the files of a tree; what was found once is kept in the cache."""
    facts = Facts(cache, KIND, DeviceCode)
    seen: dict[tuple[int, int], DeviceCode] = {}
    for entry in tree.files():
        if entry.inode not in seen and _may_hold(entry):
            seen[entry.inode] = _known(tree, entry, facts)
    facts.save()
    return Census({inode: code for inode, code in seen.items() if code.choices}, gpus)


def code_of(tree: FileTree, entry: Entry, cache: Cache) -> DeviceCode:
    """Find the code for GPUs in one regular file."""
    return _known(tree, entry, Facts(cache, KIND, DeviceCode)) if _may_hold(entry) else DeviceCode()


def _may_hold(entry: Entry) -> bool:
    """Go by what a file is called: thousands would be opened for nothing."""
    return entry.size_bytes >= _LEAST_BYTES and (
        entry.mode & 0o111 != 0 or (".so" in entry.path and ".so" in entry.name) or entry.path.endswith(_EXTENSIONS)
    )


def _known(tree: FileTree, entry: Entry, facts: Facts[DeviceCode]) -> DeviceCode:
    key = tree.content_key(entry)
    known = facts.get(key)
    if known is None:
        with tree.open(entry) as stream:
            known = device_code(Window(stream, entry.size_bytes))
        facts.put(key, known)
    return known


def device_code(file: Window) -> DeviceCode:
    """Find the code for GPUs in a file; raises nothing, whatever the bytes."""
    try:
        start = file.at(0, min(_START, file.size))
        if start.startswith(elf.MAGIC):
            return _in_elf(file, elf.read(file))
        if start.startswith(fatbin.MAGIC):
            return _added(_in_span(file, Span(_DRIVERS[0], 0, file.size)))
        if start.startswith((offload.MAGIC, offload.COMPRESSED_MAGIC)):
            return _added(_in_span(file, Span(_AMD[0], 0, file.size)))
        target = _PTX.search(start)
        if target:
            return DeviceCode((Choice(False, (Part(f"ptx_{target[1].decode()}", file.size, 1),)),))
    except BrokenError:
        pass
    return DeviceCode()


def _in_elf(file: Window, binary: elf.Elf) -> DeviceCode:
    if binary.machine in (_NVIDIA_MACHINE, _AMD_MACHINE):
        return DeviceCode((Choice(False, (Part(_whole(binary), file.size, 1),)),))
    return _added(found for span in binary.spans for found in _in_span(file, span))


def _whole(binary: elf.Elf) -> str:
    """Name what a file holds that is code for a GPU and nothing else; whether for this one only is not told."""
    if binary.machine == _AMD_MACHINE:
        return AMD_UNKNOWN
    number = binary.flags >> 8 & 0xFF if binary.abi >= _NEW_FLAGS else binary.flags & 0xFF
    return fatbin.name("sm", number)


def _in_span(file: Window, span: Span) -> Iterator[tuple[bool, Sequence[Part]]]:
    """Yield the containers of a span, and in a section that has nothing else what is not understood."""
    device, driver = span.name in _DRIVERS + _AMD, span.name in _DRIVERS
    magic, read = (_BUNDLES, offload.read) if span.name in _AMD else (_CONTAINERS, fatbin.read)
    at = known = span.start
    while not file.exhausted:
        found = file.find(magic, at, span.end)
        if found is None:
            break
        container = read(file, found, span.end)
        if container is None:
            file.spend(_FALSE_HEADERS)
            at = found + 1
            continue
        if device:
            yield from _gap(file, known, found)
        at = known = container.end
        yield driver, container.parts
    if device:
        yield from _gap(file, known, span.end)


def _gap(file: Window, start: int, end: int) -> Iterator[tuple[bool, Sequence[Part]]]:
    """Zeros are padding; anything else between containers is code of a kind that is not known."""
    if not file.is_zero(start, end):
        yield False, (Part(OTHER, end - start, 1),)


def _added(found: Iterable[tuple[bool, Sequence[Part]]]) -> DeviceCode:
    """Add up the containers that offer the same."""
    sums: dict[tuple[bool, tuple[str, ...]], dict[str, tuple[int, int]]] = {}
    for driver, parts in found:
        names = tuple(sorted({part.name for part in parts}))
        offers = [(driver, names)] if len(sums) < _MAX_CHOICES else [(driver, (name,)) for name in names]
        for offer in offers:
            held = sums.setdefault(offer, {})
            for part in parts:
                if part.name in offer[1]:
                    size_bytes, entries = held.get(part.name, (0, 0))
                    held[part.name] = (size_bytes + part.size_bytes, entries + part.entries)
    return DeviceCode(
        tuple(
            Choice(driver, tuple(Part(name, *held[name]) for name in names))
            for (driver, names), held in sorted(sums.items())
            if names
        )
    )
