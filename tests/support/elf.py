"""Tiny real ELF files, made without a compiler: what a loader and a string scan read, and no code."""

import struct

MACHINE_X86_64 = 62
MACHINE_AARCH64 = 183
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 10, 14, 15, 29
_SHT_PROGBITS, _SHT_STRTAB, _SHF_ALLOC = 1, 3, 2


class _Strings:
    """A string table under construction."""

    def __init__(self) -> None:
        self.raw = b"\0"

    def add(self, text: str) -> int:
        at = len(self.raw)
        self.raw += text.encode() + b"\0"
        return at


def elf_file(
    *,
    needed: tuple[str, ...] = (),
    soname: str = "",
    rpath: str = "",
    runpath: str = "",
    interpreter: str = "",
    strings: tuple[str, ...] = (),
    constants: bytes = b"",
    symbols: tuple[str, ...] = (),
    machine: int = MACHINE_X86_64,
    bits: int = 64,
    order: str = "<",
    sections: bool = True,
) -> bytes:
    """Build a shared object, or with `interpreter` a dynamic executable; the whole file is one loaded segment."""
    wide = bits == 64
    header_size, program_size, section_size = (64, 56, 64) if wide else (52, 32, 40)
    names, tags = _Strings(), list[tuple[int, int]]()
    for tag, texts in ((_DT_NEEDED, needed), (_DT_SONAME, (soname,)), (_DT_RPATH, (rpath,)), (_DT_RUNPATH, (runpath,))):
        tags += [(tag, names.add(text)) for text in texts if text]
    for symbol in symbols:
        names.add(symbol)
    program_count = 3 if interpreter else 2
    interp = interpreter.encode() + b"\0" if interpreter else b""
    interp_at = header_size + program_count * program_size
    names_at = interp_at + len(interp)
    dynamic_at = -(-(names_at + len(names.raw)) // 8) * 8
    tags += [(_DT_STRTAB, names_at), (_DT_STRSZ, len(names.raw)), (_DT_NULL, 0)]
    dynamic = b"".join(struct.pack(order + ("qQ" if wide else "iI"), *tag) for tag in tags)
    rodata = constants + b"".join(text.encode() + b"\0" for text in strings)
    rodata_at = dynamic_at + len(dynamic)
    section_names = _Strings()
    rodata_name, table_name = section_names.add(".rodata"), section_names.add(".shstrtab")
    table_at = rodata_at + len(rodata)
    sections_at = -(-(table_at + len(section_names.raw)) // 8) * 8
    end = sections_at + 3 * section_size if sections else table_at

    def program(kind: int, at: int, size: int) -> bytes:
        if wide:
            return struct.pack(order + "IIQQQQQQ", kind, 4, at, at, at, size, size, 1)
        return struct.pack(order + "IIIIIIII", kind, at, at, at, size, size, 4, 1)

    def section(name: int, kind: int, flags: int, at: int, size: int) -> bytes:
        return struct.pack(
            order + ("IIQQQQIIQQ" if wide else "IIIIIIIIII"), name, kind, flags, at, at, size, 0, 0, 1, 0
        )

    header = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1, 0]) + bytes(8)
    header += struct.pack(order + "HHI", 3, machine, 1)
    header += struct.pack(order + ("QQQ" if wide else "III"), 0, header_size, sections_at if sections else 0)
    shape = (header_size, program_size, program_count, section_size, 3 if sections else 0, 2 if sections else 0)
    header += struct.pack(order + "IHHHHHH", 0, *shape)
    programs = program(_PT_LOAD, 0, end) + program(_PT_DYNAMIC, dynamic_at, len(dynamic))
    programs += program(_PT_INTERP, interp_at, len(interp)) if interpreter else b""
    body = (header + programs + interp + names.raw).ljust(dynamic_at, b"\0") + dynamic + rodata
    if not sections:
        return body
    table = section(0, 0, 0, 0, 0) + section(rodata_name, _SHT_PROGBITS, _SHF_ALLOC, rodata_at, len(rodata))
    table += section(table_name, _SHT_STRTAB, 0, table_at, len(section_names.raw))
    return (body + section_names.raw).ljust(sections_at, b"\0") + table
