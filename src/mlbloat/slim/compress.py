"""Compress layers: gzip by libdeflate, in blocks on all cores, or zstd.

A gzip stream may have many members (https://www.rfc-editor.org/rfc/rfc1952#page-5), so a tar is cut into blocks that
know nothing of each other. Where they are cut depends on nothing but the tar: one core and many write the same bytes.

Measured on layers of Python images, against `gzip -6`: level 6 comes out 0.3 % smaller on shared libraries and 0.7 %
larger on source text, in less than half the time; level 5 0.5 % and 2.2 % larger, in four fifths of that. So 6 is the
default, and means what users know as 6. Larger blocks save 0.3 % at most.
"""

import os
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass

import deflate

from mlbloat.errors import UsageError
from mlbloat.model.image import Compression

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LEVELS: dict[str, tuple[int, int, int]] = {"gzip": (1, 6, 12), "zstd": (1, 3, 19)}
"""Lowest, default, highest."""
_BLOCK_BYTES = 1 << 20
"""Of the tar, in one gzip member."""
_BLOCKS_AHEAD = 2
"""Per core, so that none waits for the one that writes."""
MEDIA_TYPES: dict[Compression, str] = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
}
"""https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md"""


@dataclass(frozen=True, slots=True)
class Method:
    """How to compress layers that change."""

    compression: Compression
    level: int

    def compressed(self, chunks: Iterable[bytes], cores: Executor) -> Iterator[bytes]:
        """Compress chunks; the result depends on nothing but what they are together."""
        if self.compression == "zstd":
            return self._zstd(chunks)
        return self._gzip(_blocks(chunks), cores)

    def _zstd(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        compressor = zstd.ZstdCompressor(level=self.level)
        for chunk in chunks:
            yield compressor.compress(chunk)
        yield compressor.flush()

    def _gzip(self, blocks: Iterable[bytes], cores: Executor) -> Iterator[bytes]:
        """Compress several blocks at once: the library leaves the interpreter to other threads."""
        waiting: deque[Future[bytes]] = deque()
        most = _BLOCKS_AHEAD * (os.cpu_count() or 1)
        for block in blocks:
            waiting.append(cores.submit(_member, block, self.level))
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


GZIP = Method("gzip", _LEVELS["gzip"][1])
ZSTD = Method("zstd", _LEVELS["zstd"][1])


def all_cores() -> ThreadPoolExecutor:
    """Return the threads that compress for all layers. The caller ends them."""
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="compress")


def parse_method(text: str) -> Method | None:
    """Read `gzip`, `zstd`, or either with `:LEVEL`; empty text is None: every layer as it was compressed before."""
    if not text:
        return None
    match = re.fullmatch(r"(gzip|zstd)(?::([0-9]{1,2}))?", text)
    if match is None:
        raise UsageError(f"cannot compress with {text!r}: write gzip or zstd, or one with a level, such as zstd:9")
    compression: Compression = "gzip" if match[1] == "gzip" else "zstd"
    lowest, usual, highest = _LEVELS[compression]
    level = int(match[2]) if match[2] else usual
    if not lowest <= level <= highest:
        raise UsageError(f"cannot compress with {text!r}: levels of {compression} are {lowest} to {highest}")
    return Method(compression, level)


def _member(block: bytes, level: int) -> bytes:
    return bytes(deflate.gzip_compress(block, level))


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in blocks of one size, the last one shorter; an empty one when there are none."""
    waiting: list[bytes] = []
    waiting_bytes, block = 0, None
    for chunk in chunks:
        begin = 0
        while waiting_bytes + len(chunk) - begin >= _BLOCK_BYTES:
            end = begin + _BLOCK_BYTES - waiting_bytes
            yield (block := b"".join((*waiting, chunk[begin:end])))
            waiting, waiting_bytes, begin = [], 0, end
        if begin < len(chunk):
            waiting.append(chunk[begin:])
            waiting_bytes += len(chunk) - begin
    if waiting or block is None:
        yield b"".join(waiting)
