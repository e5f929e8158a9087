"""What is read of an ELF file, with pyelftools as the oracle, and what hostile bytes do: nothing."""

import io

import pytest
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.usage.elf.binary import has_symbol, parse
from tests.support.elf import MACHINE_AARCH64, elf_file

SAMPLE = elf_file(
    needed=("libc.so.6", "libz.so.1"),
    soname="libx.so.1",
    runpath="$ORIGIN/../lib:/opt/lib",
    interpreter="/lib64/ld-linux-x86-64.so.2",
    strings=("libdl.so.2",),
    symbols=("iconv_open",),
)


@pytest.mark.parametrize(("bits", "order"), [(64, "<"), (64, ">"), (32, "<"), (32, ">")])
def test_every_class_and_byte_order_is_read_as_pyelftools_reads_it(bits: int, order: str) -> None:
    raw = elf_file(needed=("liba.so", "libb.so"), soname="libx.so.1", rpath="/r:/s", bits=bits, order=order)
    oracle = ELFFile(io.BytesIO(raw))
    dynamic = next(each for each in oracle.iter_segments() if isinstance(each, DynamicSegment))
    tags = [(tag.entry.d_tag, tag) for tag in dynamic.iter_tags()]
    binary = parse(io.BytesIO(raw), len(raw))
    assert binary is not None
    for tag, name, value in (
        ("DT_NEEDED", "needed", binary.needed),
        ("DT_SONAME", "soname", (binary.soname,)),
        ("DT_RPATH", "rpath", (":".join(binary.rpath),)),
    ):
        assert tuple(getattr(each, name) for kind, each in tags if kind == tag) == value != ()
    rodata = oracle.get_section_by_name(".rodata")
    assert rodata is not None
    assert binary.texts == ((rodata.header.sh_offset, rodata.header.sh_size),)


def test_interpreter_and_runpath_are_read() -> None:
    binary = parse(io.BytesIO(SAMPLE), len(SAMPLE))
    assert binary is not None
    assert binary.interpreter == "/lib64/ld-linux-x86-64.so.2"
    assert binary.runpath == ("$ORIGIN/../lib", "/opt/lib")
    assert binary.rpath == ()


def test_the_machine_tells_two_architectures_apart() -> None:
    kinds = []
    for machine in (62, MACHINE_AARCH64):
        raw = elf_file(machine=machine)
        binary = parse(io.BytesIO(raw), len(raw))
        assert binary is not None
        kinds.append(binary.kind)
    assert kinds[0] != kinds[1]


def test_without_a_section_table_the_whole_file_may_hold_text() -> None:
    raw = elf_file(strings=("x",), sections=False)
    binary = parse(io.BytesIO(raw), len(raw))
    assert binary is not None
    assert binary.texts == ((0, len(raw)),)


def test_symbols_are_found_in_the_dynamic_names() -> None:
    binary = parse(io.BytesIO(SAMPLE), len(SAMPLE))
    assert binary is not None
    assert has_symbol(io.BytesIO(SAMPLE), binary, b"iconv_open")
    assert not has_symbol(io.BytesIO(SAMPLE), binary, b"iconv_close")


@pytest.mark.parametrize("raw", [b"", b"\x7fELF", b"#!/bin/sh\n" * 20, b"\x7fELF" + b"\xff" * 200])
def test_what_is_no_elf_file_is_none(raw: bytes) -> None:
    assert parse(io.BytesIO(raw), len(raw)) is None


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), min_size=1, max_size=12))
def test_mutated_bytes_never_raise_and_never_point_outside(changes: list[tuple[int, int]]) -> None:
    raw = bytearray(SAMPLE)
    for at, value in changes:
        raw[at] = value
    binary = parse(io.BytesIO(bytes(raw)), len(raw))
    if binary is not None:
        for offset, size in (*binary.texts, binary.dynamic_names):
            assert 0 <= offset <= offset + size <= len(raw)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(SAMPLE)))
def test_truncated_files_never_raise(size: int) -> None:
    for claimed in (size, len(SAMPLE)):
        parse(io.BytesIO(SAMPLE[:size]), claimed)
