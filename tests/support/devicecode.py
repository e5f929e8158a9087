"""Containers of code for GPUs and ELF files that hold them, made from their descriptions."""

import struct
from collections.abc import Mapping

KINDS = {"ptx": 1, "sm": 2, "lto": 8}
SUFFIXES = {"": 0, "a": 0x100000, "f": 0x200000}
ALLOC, EXEC = 2, 4


def entry(name: str, payload: int = 64, *, header: int = 64, kind: int | None = None) -> bytes:
    """One entry of a container: `sm_90a`, with so many bytes of code."""
    form, _, arch = name.partition("_")
    number, suffix = int(arch.rstrip("af")), arch.lstrip("0123456789")
    fields = struct.pack("<HHIQII", KINDS[form] if kind is None else kind, 0x0101, header, payload, payload - 3, 0)
    fields += struct.pack("<HHIIIQQQ", 8, 1, number, 0, 0, SUFFIXES[suffix] | 0x8011, 0, 4 * payload)
    return fields.ljust(header, b"\0") + b"\x99" * payload


def fatbin(*entries: bytes | str) -> bytes:
    """A container; a name alone is an entry of 128 bytes."""
    body = b"".join(each if isinstance(each, bytes) else entry(each) for each in entries)
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def bundle(codes: Mapping[str, bytes]) -> bytes:
    """Clang's bundle of code for AMD's GPUs, by target."""
    names = [target.encode() for target in codes]
    at = 32 + sum(24 + len(name) for name in names)
    table, body = b"", b""
    for name, code in zip(names, codes.values(), strict=True):
        table += struct.pack("<QQQ", at + len(body), len(code), len(name)) + name
        body += code
    return b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<Q", len(codes)) + table + body


def compressed_bundle(size: int, version: int = 2) -> bytes:
    head = b"CCOB" + struct.pack("<HH", version, 1) + struct.pack("<I" if version < 3 else "<Q", size)
    return head.ljust(size, b"\x77")


def library(
    sections: Mapping[str, bytes],
    *,
    machine: int = 62,
    flags: int = 0,
    abi: int = 0,
    executable: tuple[str, ...] = (),
    section_table: bool = True,
) -> bytes:
    """A 64-bit ELF file with one loaded segment and these sections."""
    names, body, rows = b"\0", b"", [bytes(64)]
    for name, content in sections.items():
        at = 120 + len(body)
        kind = ALLOC | (EXEC if name in executable else 0)
        rows.append(struct.pack("<IIQQQQIIQQ", len(names), 1, kind, at, at, len(content), 0, 0, 1, 0))
        names += name.encode() + b"\0"
        body += content
    end = 120 + len(body)
    rows.append(struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, end, len(names), 0, 0, 1, 0))
    table = end + len(names)
    ident = b"\x7fELF" + bytes([2, 1, 1, 0x41 if machine == 190 else 0, abi]) + bytes(7)
    count = len(rows) if section_table else 0
    header = ident + struct.pack("<HHIQQQ", 3, machine, 1, 0, 64, table if section_table else 0)
    header += struct.pack("<IHHHHHH", flags, 64, 56, 1, 64, count, max(0, count - 1))
    segment = struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, end, end, 8)
    return header + segment + body + (names + b"".join(rows) if section_table else b"")
