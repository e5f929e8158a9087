"""The table of names of a module that Cython compiled: its Python strings, one after the other without marks between.

Cython 3.2 and later, `generate_pystring_constants` in
https://github.com/cython/cython/blob/3.3.1/Cython/Compiler/Code.py: those that are not interned, then the names, in
order, and after them the byte strings. The lengths are an array of their own, of 32-bit numbers; compilers turn a short
one (some 60 strings) into instructions. The table is plain, or packed by zlib, bz2, zstd, or a format of Cython's own
(3.3), which has neither a head nor a length: `__pyx_lzss_decompress` in
https://github.com/cython/cython/blob/3.3.1/Cython/Utility/StringTools.c.

Neither the table nor the lengths say where they begin. Every such module has the name `__main__`, and most have
`__test__` (`Cython/Compiler/ModuleNode.py`): the lengths are those where one of eight follows on as many bytes as come
before such a name, and that cut the table into names in order.
"""

import itertools
import re
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

MARKS = frozenset({"__main__", "__test__"})
_MARK = re.compile(rb"__(?:main|test)__")
_MARK_BYTES = 8
_NUMBER_BYTES = 4
_LONGEST_STRING = 1 << 20
_MOST_STRINGS = 1 << 18
_LEAST_NAMES = 8
_NAME = re.compile(rb"[A-Za-z_]\w*+")
_MOST_MARKS = 4
"""Texts that have the name inside of others, before it comes by itself."""
_MOST_STEPS = 1 << 21
"""Of unpacking, for one module; a real one takes some ten thousand."""
_MOST_UNPACKED = 1 << 22
_NOTHING = bytes(17)
"""Eight steps that would repeat the three bytes before; one says that more shortly, so they are beyond the end."""
_TEXT = rb"[\t\n\r\x20-\x7e\x80-\xff]"
_NEAR = rb"[\x00-\x5f]"
"""In the first eight steps nothing is far, and nothing is long."""
_START = re.compile(
    b"(?=%s)"
    % b"|".join(
        re.escape(bytes([flags])) + b"".join(_TEXT if flags >> bit & 1 else _NEAR + _NEAR for bit in range(8))
        # Nothing can be repeated before there are three bytes.
        for flags in range(7, 256, 8)
    )
)


def read(sections: Sequence[bytes], tables: Sequence[bytes]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return the strings of the table, each by itself; where the lengths are not found, the table instead, whole.

    `sections` are those with constant data, `tables` what was found in them packed by a known format.
    """
    numbers = [_numbers(section) for section in sections]
    whole: list[bytes] = []
    for text in (*tables, *_plain(sections), *_unpacked(sections)):
        if _MARK.search(text):
            found = _split(text, numbers)
            if found:
                return found, tuple(table for table in tables if table is not text)
            whole.append(text)
    return (), (*(table for table in tables if not _MARK.search(table)), *whole[:1])


def _numbers(section: bytes) -> Sequence[int]:
    numbers = array("I")
    numbers.frombytes(section[: len(section) // _NUMBER_BYTES * _NUMBER_BYTES])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _plain(sections: Iterable[bytes]) -> Iterator[bytes]:
    for section in sections:
        for match in itertools.islice(_MARK.finditer(section), _MOST_MARKS):
            start = section.rfind(b"\0", 0, match.start()) + 1
            end = section.find(b"\0", match.end())
            if end - start > _MARK_BYTES:
                yield section[start:end]


def _split(text: bytes, sections: Iterable[Sequence[int]]) -> tuple[bytes, ...]:
    marks = [match.start() for match in itertools.islice(_MARK.finditer(text), _MOST_MARKS)]
    for numbers in sections if marks else ():
        for start, mark in _indexes(numbers, frozenset(marks)):
            found = _cut(text, numbers, start, mark)
            if found:
                return found
    return ()


def _indexes(numbers: Sequence[int], marks: frozenset[int]) -> Iterator[tuple[int, int]]:
    """Yield from where to where numbers are the lengths of what comes before the mark."""
    total = 0
    starts = {0: 0}
    for at, number in enumerate(numbers):
        if number == _MARK_BYTES:
            for mark in marks:
                start = starts.get(total - mark)
                if start is not None:
                    yield start, at
        if number > _LONGEST_STRING or len(starts) > _MOST_STRINGS:
            total = 0
            starts = {0: at + 1}
            continue
        total += number
        starts[total] = at + 1


def _cut(text: bytes, numbers: Sequence[int], start: int, mark: int) -> tuple[bytes, ...]:
    """Cut a text up to where the names are out of order; none when that is before the mark."""
    found: list[bytes] = []
    orders = [_Order(), _Order()]
    position = 0
    for length in numbers[start : start + _MOST_STRINGS]:
        string = text[position : position + length]
        position += length
        if len(string) < length:
            break
        if _NAME.fullmatch(string):
            # By the names of their variables up to Cython 3.2, which have no underscores around; by themselves after.
            orders = [orders[0].then(string), orders[1].then(string.strip(b"_"))]
            if not any(order.holds for order in orders):
                break
        found.append(string)
    known = len(found) > mark - start and any(order.rises >= _LEAST_NAMES for order in orders)
    return tuple(found) if known else ()


@dataclass(frozen=True, slots=True)
class _Order:
    last: bytes = b""
    rises: int = 0
    falls: int = 0

    def then(self, name: bytes) -> "_Order":
        return _Order(name, self.rises + (name > self.last), self.falls + (name < self.last))

    @property
    def holds(self) -> bool:
        """Whether it is broken only where the interned ones begin, and by a variable with a number here and there."""
        return self.falls <= 1 + self.rises // 8


def _unpacked(sections: Iterable[bytes]) -> Iterator[bytes]:
    left = _MOST_STEPS
    for section in sections:
        for match in _START.finditer(section):
            text, steps = _unpack(section, match.start(), left)
            left -= steps
            if left <= 0:
                return
            if _MARK.search(text):
                yield text


def _unpack(data: bytes, position: int, most: int) -> tuple[bytes, int]:
    """Unpack up to what cannot be packed text; return also how many steps that took."""
    text = bytearray()
    steps = 0
    try:
        while steps < most and len(text) < _MOST_UNPACKED and not data.startswith(_NOTHING, position):
            flags = data[position]
            position += 1
            steps += 8
            for bit in range(8):
                first = data[position]
                if flags >> bit & 1:
                    text.append(first)
                    position += 1
                    continue
                second = data[position + 1]
                position += 2
                if first < 0x80:
                    back, length = first, second
                elif second < 0x80:
                    back, length = 0x80 + ((second & 0x60) << 2 | first & 0x7F), second & 0x1F
                else:
                    back, length = 0x80 + ((second & 0x7F) << 7 | first & 0x7F), data[position]
                    position += 1
                start = len(text) - back - length - 3
                if start < 0:
                    return bytes(text), steps
                text += text[start : start + length + 3]
    except IndexError:
        pass
    return bytes(text), steps
