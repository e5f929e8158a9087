"""Compression: the same bytes from one core and many, read by everyone who reads gzip."""

import gzip
import hashlib
import os
import subprocess
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlbloat.slim.compress import GZIP, ZSTD, Method

MIB = 1 << 20
NOISE = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(3 * MIB // 32))
"""Three blocks that compress to no less."""


def compressed(content: bytes, method: Method = GZIP, *, step: int = 70_001, cores: int = 2) -> bytes:
    chunks = (content[begin : begin + step] for begin in range(0, len(content), step))
    with ThreadPoolExecutor(cores) as pool:
        return b"".join(method.compressed(chunks, pool))


@pytest.mark.parametrize("level", range(1, 13))
def test_every_gzip_level_is_read_back(level: int) -> None:
    content = b"some text that repeats itself, " * 50_000
    blob = compressed(content, Method("gzip", level))
    assert gzip.decompress(blob) == content
    assert len(blob) < len(content) / 50


@pytest.mark.parametrize("length", [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB - 1])
@pytest.mark.parametrize("step", [511, MIB, 2 * MIB + 3])
def test_blocks_are_cut_by_the_content_alone(length: int, step: int) -> None:
    content = NOISE[:length]
    blob = compressed(content, step=step)
    assert gzip.decompress(blob) == content
    assert blob == compressed(content)


@pytest.mark.parametrize("method", [GZIP, ZSTD])
def test_one_core_and_many_write_the_same_bytes(method: Method) -> None:
    content = NOISE + bytes(5 * MIB) + NOISE[::-1]
    assert len({compressed(content, method, cores=cores) for cores in (1, 2, 7)}) == 1


def test_a_member_holds_one_block_and_says_no_time() -> None:
    decoder = zlib.decompressobj(31)
    blob = compressed(NOISE)
    assert decoder.decompress(blob) == NOISE[:MIB]
    assert decoder.unused_data[:4] == blob[:4] == b"\x1f\x8b\x08\0"
    assert blob[4:8] == bytes(4)


def test_gzip_itself_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "blob.gz"
    path.write_bytes(compressed(NOISE))
    assert subprocess.run(["gzip", "-dc", path], capture_output=True, check=True).stdout == NOISE


def test_source_text_comes_out_as_small_as_gzip_makes_it() -> None:
    content = b"".join(path.read_bytes() for path in sorted(Path(os.__file__).parent.glob("*.py")))
    assert len(compressed(content)) <= 1.03 * len(gzip.compress(content, 6))
