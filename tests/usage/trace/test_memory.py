import contextlib
import ctypes
import mmap
import os
from pathlib import Path

from mlbloat.usage.trace.memory import PATH_MAX, Memory


def _at(buffer: "ctypes.Array[ctypes.c_char]") -> int:
    return ctypes.addressof(buffer)


def test_strings_are_read_to_their_zero_across_pages() -> None:
    text = b"/" + b"x" * 3000
    buffer = ctypes.create_string_buffer(8192)
    for offset in (0, 1, 4000, 4095):
        ctypes.memmove(_at(buffer) + offset, text + b"\0", len(text) + 1)
        memory = Memory()
        assert memory.string(os.getpid(), _at(buffer) + offset) == text
        memory.close()


def test_a_string_that_ends_with_its_page_is_read() -> None:
    page = mmap.mmap(-1, mmap.PAGESIZE)
    try:
        page[-5:] = b"/end\0"
        start = ctypes.addressof(ctypes.c_char.from_buffer(page))
        memory = Memory()
        assert memory.string(os.getpid(), start + mmap.PAGESIZE - 5) == b"/end"
        memory.close()
    finally:
        del start
        with contextlib.suppress(BufferError):  # ctypes still looks at it
            page.close()


def test_what_cannot_be_read_is_nothing() -> None:
    endless = ctypes.create_string_buffer(b"x" * (PATH_MAX + 4096), PATH_MAX + 4096)
    memory = Memory()
    assert memory.string(os.getpid(), 8) is None
    assert memory.string(os.getpid(), 0xFFFF_FFFF_FFFF_F000) is None
    assert memory.string(2**22 + 1, _at(endless)) is None
    assert memory.string(os.getpid(), _at(endless)) is None
    memory.close()


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_stays_open() -> None:
    before = _open_files()
    memory = Memory()
    text = ctypes.create_string_buffer(b"/x")
    memory.string(os.getpid(), _at(text))
    memory.forget(os.getpid())
    memory.string(os.getpid(), _at(text))
    memory.close()
    assert _open_files() == before
