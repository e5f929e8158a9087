"""Names in a piece of data that could mean a file in some image: absolute paths and shared libraries.

Pure functions of the data. Which of them exist is for `names` to say, so they hold for every image; they are bounded,
because data may be hostile.
"""

import re
from collections.abc import Iterator
from itertools import islice

MAX_NAMES = 100_000
"""Names taken from one piece of data; real ones hold a few thousand, hostile ones as many as fit."""
_RUN = re.compile(rb"/[A-Za-z0-9_.+@%~*?-]{0,255}+/[A-Za-z0-9_.+@%~/*?-]{1,4096}+")
_NAME_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.+@/~-"
_MAX_LIBRARY_NAME = 255
_VERSION = re.compile(rb"(?:\.[0-9]+)*")


def paths_in(data: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yield the runs of characters that may hold an absolute path below the root's directories.

    True marks one that is a string of C: zero bytes are before and after it.
    """
    for match in islice(_RUN.finditer(data), MAX_NAMES):
        begin, end = match.span()
        yield match[0], begin > 0 and data[begin - 1] == 0 and end < len(data) and data[end] == 0


def libraries_in(data: bytes) -> Iterator[bytes]:
    """Yield what may be names of shared libraries: what a program may hand to dlopen(3)."""
    return islice(_library_names(data), MAX_NAMES)


def _library_names(data: bytes) -> Iterator[bytes]:
    at = data.find(b".so")
    while at >= 0:
        before = data[max(0, at - _MAX_LIBRARY_NAME) : at]
        version = _VERSION.match(data, at + 3)
        end = version.end() if version else at + 3
        yield data[at - len(before) + len(before.rstrip(_NAME_CHARACTERS)) : end]
        at = data.find(b".so", end)
