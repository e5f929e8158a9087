"""Blobs to uncompressed tars, hashed on the way: what the digests say is what is read from here on.

A compressed layer is decompressed once, into a file named by its diff ID; one that is stored uncompressed is read in
place. Media types lie often enough that the content decides.
"""

import bz2
import hashlib
import lzma
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar, cast

from isal import igzip_lib

from mlbloat.errors import BadImageError
from mlbloat.image.meter import Meter
from mlbloat.model.digest import Digest
from mlbloat.model.image import Compression
from mlbloat.tarstream import Limits, TarBytes, Window

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FIRST_BYTES = 8
"""Enough to recognise a compression."""
_READ_BYTES = 256 << 10
_EXPAND_BYTES = 1 << 20
"""Most that one step of a decompressor may return: memory that is used again, where more would be given back and taken
anew each time (malloc(3), M_TRIM_THRESHOLD)."""
_CHUNKS_BEHIND = 3
_XZ_MEMORY_BYTES = 128 << 20
"""Enough for every preset; `xz -9` needs 65 MiB, and a stream may ask for gigabytes."""


class _Decoder(Protocol):
    """The interface that the decompressors of bz2, lzma, zstd and isal share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /, max_length: int = -1) -> bytes: ...


def _gzip() -> _Decoder:
    decoder: _Decoder = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    return decoder


def _xz() -> _Decoder:
    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)


_DECODERS: tuple[tuple[bytes, Callable[[], _Decoder]], ...] = (
    (b"\x1f\x8b", _gzip),
    (b"\x28\xb5\x2f\xfd", zstd.ZstdDecompressor),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\0", _xz),
    *((bytes([0x50 + number]) + b"\x2a\x4d\x18", zstd.ZstdDecompressor) for number in range(16)),
)
"""By magic; zstd data may begin with a skippable frame (RFC 8878, 3.1.2)."""
_ERRORS: tuple[type[Exception], ...] = (
    cast(type[Exception], igzip_lib.error),
    zstd.ZstdError,
    lzma.LZMAError,
    EOFError,
)


Tar = TypeVar("Tar", bound=TarBytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked(Generic[Tar]):
    tar: Tar
    diff_id: Digest
    compressed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """A compressed layer, where it lies."""

    window: TarBytes
    digest: Digest | None
    compression: Compression

    def chunks(self) -> Iterator[bytes]:
        with self.window.open() as stream:
            while chunk := stream.read(_READ_BYTES):
                yield chunk


class _Hashes:
    """The digests of one stream, of each algorithm that somebody will compare."""

    def __init__(self, *expected: Digest | None) -> None:
        self._expected = [digest for digest in expected if digest is not None]
        names = {digest.algorithm for digest in self._expected} | {"sha256"}
        self._hashes = {name: hashlib.new(name) for name in names}

    def update(self, data: bytes) -> None:
        for running in self._hashes.values():
            running.update(data)

    def digest(self, name: str) -> Digest:
        """Return the sha256 digest, once everything expected was met."""
        for expected in self._expected:
            found = f"{expected.algorithm}:{self._hashes[expected.algorithm].hexdigest()}"
            if found != expected:
                raise BadImageError(
                    f"cannot read {name}: its digest is {found} and should be {expected}; pull or save the image again"
                )
        return Digest(f"sha256:{self._hashes['sha256'].hexdigest()}")


def unpack(
    blob: Tar,
    *,
    name: str,
    digest: Digest | None,
    diff_id: Digest | None,
    directory: Path,
    limits: Limits,
    meter: Meter,
) -> Unpacked[Tar | Window]:
    """Check a blob against its digest and its content against the diff ID; decompress it if need be."""
    decoder = decoder_of(blob)
    if decoder is None:
        hashes = _Hashes(digest, diff_id)
        for chunk in _read(blob, meter):
            hashes.update(chunk)
        check_size(meter.expanded(blob.size_bytes), limits, name)
        return Unpacked(tar=blob, diff_id=hashes.digest(name), compressed=False)
    stored, content = _Hashes(digest), _Hashes(diff_id)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=directory, prefix=".part-", delete=False) as out:
        part = Path(out.name)
        try:
            expanded = _expand(_hashed(_read(blob, meter), stored), decoder, blob, name, limits, meter)
            for chunk in _hashed_beside(expanded, content):
                out.write(chunk)
            stored.digest(f"{name}, compressed")
            found = content.digest(name)
            out.close()
            path = part.replace(directory / f"{(diff_id or found).hex}.tar")
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    return Unpacked(tar=Window.whole(path), diff_id=found, compressed=True)


def decoder_of(blob: TarBytes) -> Callable[[], _Decoder] | None:
    """Recognise compressed content by its first bytes; None: it is not compressed."""
    start = blob.first(FIRST_BYTES)
    return next((decoder for magic, decoder in _DECODERS if start.startswith(magic)), None)


def compression_of(blob: TarBytes) -> Compression | None:
    """Name a compression that registries know; None for another, or none."""
    decoder = decoder_of(blob)
    return "gzip" if decoder is _gzip else "zstd" if decoder is zstd.ZstdDecompressor else None


def _read(blob: TarBytes, meter: Meter) -> Iterator[bytes]:
    with blob.open() as stream:
        while chunk := stream.read(_READ_BYTES):
            meter.add(len(chunk))
            yield chunk


def _hashed(chunks: Iterator[bytes], hashes: _Hashes) -> Iterator[bytes]:
    for chunk in chunks:
        hashes.update(chunk)
        yield chunk


def _hashed_beside(chunks: Iterator[bytes], hashes: _Hashes) -> Iterator[bytes]:
    """Hash in a thread of its own, a few chunks behind: the other half of the work on a layer that is read alone."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="hash") as thread:
        waiting: deque[Future[None]] = deque()
        for chunk in chunks:
            waiting.append(thread.submit(hashes.update, chunk))
            yield chunk
            if len(waiting) > _CHUNKS_BEHIND:
                waiting.popleft().result()


def _expand(
    chunks: Iterator[bytes], new: Callable[[], _Decoder], blob: TarBytes, name: str, limits: Limits, meter: Meter
) -> Iterator[bytes]:
    """Decompress within the limits; several gzip members or zstd frames in a row are one content."""
    expanded = 0
    try:
        for content in _frames(chunks, new):
            expanded += len(content)
            if expanded > limits.ratio_from_bytes and expanded > limits.ratio * blob.size_bytes:
                raise BadImageError(
                    f"cannot read {name}: it grows to more than {limits.ratio} times its compressed size; "
                    f"{limits.advice('ratio')}"
                )
            check_size(meter.expanded(len(content)), limits, name)
            yield content
    except _ERRORS as error:
        raise BadImageError(f"cannot read {name}: {error}; pull or save the image again") from None


def _frames(chunks: Iterator[bytes], new: Callable[[], _Decoder]) -> Iterator[bytes]:
    decoder = new()
    waiting = b""
    while True:
        if decoder.eof:
            waiting = decoder.unused_data or next(chunks, b"")
            if not waiting:
                return
            decoder = new()
        elif decoder.needs_input:
            waiting = next(chunks, b"")
            if not waiting:
                raise EOFError("its compressed data is cut off")
        try:
            content = decoder.decompress(waiting, max_length=_EXPAND_BYTES)
        except OSError as error:  # bzip2's way to say that data is damaged
            raise EOFError(str(error)) from None
        waiting = b""
        if content:
            yield content


def check_size(expanded_bytes: int, limits: Limits, name: str) -> None:
    """Refuse an image that is larger than its user allows, all layers together."""
    if expanded_bytes > limits.image_bytes:
        raise BadImageError(
            f"cannot read {name}: the image has more than {limits.image_bytes} bytes uncompressed; "
            f"{limits.advice('image_bytes')}"
        )
