"""Tables of names that Cython really wrote, and what a hostile file could make of them."""

import bz2
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlbloat.model.use import Level
from mlbloat.usage.python import cython
from mlbloat.usage.python.binary import collect
from tests.support.elf import elf_file
from tests.usage.python.made import LIB, SITE, kept, packages

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MADE = Path(__file__).parents[3] / "fixtures/cython"
PLAIN = (MADE / "names-3.3.1-0.rodata").read_bytes()
OWN = (MADE / "names-3.3.1-90.rodata").read_bytes()
FEW = (MADE / "few-3.3.1-0.rodata").read_bytes()
NAMES = {"names_neighbour", "re", "xml.etree.ElementTree", "json.decoder", "JSONDecodeError", "__main__"}


def table() -> bytes:
    """Return the table of the plain fixture."""
    at = PLAIN.index(b"__main__")
    return PLAIN[PLAIN.rindex(b"\0", 0, at) + 1 : PLAIN.index(b"\0", at)]


@pytest.mark.parametrize("name", sorted(path.name for path in MADE.glob("names-*.rodata")))
def test_the_names_are_found_each_by_itself(name: str) -> None:
    strings = collect((MADE / name).read_bytes())
    assert strings.words >= NAMES
    assert "names_neighbours" not in strings.words
    assert strings.tables == ()


@pytest.mark.parametrize("pack", [bz2.compress, zstd.compress])
def test_a_table_that_another_format_packs_is_cut_by_the_same_lengths(pack: Callable[[bytes], bytes]) -> None:
    strings = collect(PLAIN.replace(table(), bytes(len(table()))), pack(table()))
    assert strings.words >= NAMES
    assert strings.tables == ()


def test_without_the_lengths_the_table_is_whole() -> None:
    (whole,) = collect(FEW).tables
    assert "few_neighbour" in whole
    assert "csv" in whole


def test_what_looks_like_lengths_and_cuts_no_names_is_none() -> None:
    text = b"zebra__main__apple"
    lengths = b"".join(length.to_bytes(4, "little") for length in (5, 8, 5))
    assert cython.read([lengths], [text]) == ((), (text,))


def test_names_out_of_order_are_no_table() -> None:
    words = [f"name{number:02}".encode() for number in range(20)] + [b"__main__"]
    lengths = b"".join(len(word).to_bytes(4, "little") for word in words)
    ordered = b"".join(words)
    assert cython.read([lengths], [ordered]) == (tuple(words), ())
    mixed = b"".join([*reversed(words[:-1]), words[-1]])
    assert cython.read([lengths], [mixed]) == ((), (mixed,))


def test_broken_tables_are_no_error() -> None:
    chance = random.Random(7)
    for number in range(200):
        data = bytearray(OWN[: chance.randrange(len(OWN))] if number % 2 else OWN)
        for _ in range(chance.randrange(20)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        collect(bytes(data), b"\0cython_runtime\0")


def test_unpacking_ends() -> None:
    bomb = b"\x07abc" + b"\0\x7f" * 5 + (b"\0" + b"\0\xff" * 8) * 100_000
    assert cython.read([b"cython_runtime\0" + bomb * 3], []) == ((), ())


@pytest.mark.parametrize(
    ("constants", "neighbour", "standard"), [(OWN, "names_neighbour", "re"), (FEW, "few_neighbour", "csv")]
)
def test_a_module_keeps_what_it_imports_and_nothing_else_of_its_package(
    constants: bytes, neighbour: str, standard: str
) -> None:
    module = elf_file(symbols=("PyInit_fast", "PyImport_ImportModule"), constants=constants)
    files = {
        "/app/main.py": "import p.fast\n",
        f"{LIB}/{standard}.py": "",
        f"{LIB}/sched.py": "",
        **packages({"p/__init__.py": "", f"p/{neighbour}.py": "", "p/other.py": ""}),
        f"{SITE}/p/fast.cpython-311-x86_64-linux-gnu.so": module,
    }
    levels = kept(files, "/app/main.py")
    assert levels[f"{SITE}/p/{neighbour}.py"] is Level.SAFE
    assert levels[f"{LIB}/{standard}.py"] is Level.SAFE
    assert not {f"{SITE}/p/other.py", f"{LIB}/sched.py"} & levels.keys()
