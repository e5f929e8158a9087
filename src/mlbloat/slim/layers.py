"""Write the layers of the planned image as blobs: those that lose something anew, the others as they were stored."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

from mlbloat.errors import PublishError
from mlbloat.model.digest import Digest
from mlbloat.model.filetree import Entry, Kind
from mlbloat.model.image import Blob, Compression, Image
from mlbloat.model.plan import LayerPlan, Plan
from mlbloat.slim.compress import GZIP, ZSTD, Method, all_cores
from mlbloat.tarstream import encode, end_of_archive, padding

_MAX_THREADS = 4
_CHUNK_BYTES = 1 << 20

OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlimLayer:
    diff_id: Digest
    digest: Digest
    """Of the blob, compressed."""
    tar_bytes: int
    compressed_bytes: int
    compression: Compression
    layer: int
    """Index in the original image."""
    unchanged: bool
    """Same diff ID as in the original: every member is kept."""


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


def write_layers(
    image: Image, plan: Plan, blobs: Path, method: Method | None, on_bytes: OnBytes
) -> tuple[SlimLayer, ...]:
    """Write layers in parallel, the largest first: hashing and compressing leave the interpreter to other threads."""
    stopped = threading.Event()
    threads = min(_MAX_THREADS, os.cpu_count() or 1)
    order = sorted(plan.layers, key=lambda layer: -image.layers[layer.layer].tar_bytes)

    def write_one(layer_plan: LayerPlan) -> SlimLayer:
        return _Writer(image, plan, layer_plan, blobs, cores, on_bytes, stopped).write(method)

    with all_cores() as cores, ThreadPoolExecutor(threads, thread_name_prefix="layer") as pool:
        try:
            written = {layer.layer: layer for layer in pool.map(write_one, order)}
        except BaseException:
            # Ctrl-C reaches this thread only: tell the others, or leaving the pool would wait for whole layers.
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return tuple(written[layer_plan.layer] for layer_plan in plan.layers)


class _StoppedError(Exception):
    """Another thread failed; that error is the one to show."""


@dataclass(frozen=True, slots=True)
class _Writer:
    image: Image
    plan: Plan
    layer_plan: LayerPlan
    blobs: Path
    cores: Executor
    on_bytes: OnBytes
    stopped: threading.Event

    def write(self, method: Method | None) -> SlimLayer:
        layer = self.image.layers[self.layer_plan.layer]
        blob = layer.blob
        if blob is not None and self.layer_plan.untouched and method in (None, _method_of(blob)):
            return self._copy(blob)
        return self._compress(method or _method_of(blob))

    def _copy(self, blob: Blob) -> SlimLayer:
        """Pass a stored blob on byte for byte: registries and engines that have the layer need not take it again."""
        layer = self.image.layers[self.layer_plan.layer]
        stored, compressed_bytes = self._store(blob.chunks())
        expected = blob.digest
        if expected is not None and expected.algorithm == "sha256" and stored != expected:
            raise PublishError(f"cannot copy layer {expected}: its file changed while it was read; run it again")
        self.on_bytes(layer.tar_bytes)
        return SlimLayer(
            diff_id=layer.diff_id,
            digest=stored,
            tar_bytes=layer.tar_bytes,
            compressed_bytes=compressed_bytes,
            compression=blob.compression,
            layer=self.layer_plan.layer,
            unchanged=True,
        )

    def _compress(self, method: Method) -> SlimLayer:
        running, sizes = hashlib.sha256(), [0]
        digest, compressed_bytes = self._store(method.compressed(self._hashed(running, sizes), self.cores))
        diff_id = Digest("sha256:" + running.hexdigest())
        return SlimLayer(
            diff_id=diff_id,
            digest=digest,
            tar_bytes=sizes[0],
            compressed_bytes=compressed_bytes,
            compression=method.compression,
            layer=self.layer_plan.layer,
            unchanged=diff_id == self.image.layers[self.layer_plan.layer].diff_id,
        )

    def _hashed(self, running: _Hash, sizes: list[int]) -> Iterator[bytes]:
        for chunk in self._tar():
            running.update(chunk)
            sizes[0] += len(chunk)
            self.on_bytes(len(chunk))
            yield chunk

    def _store(self, chunks: Iterator[bytes]) -> tuple[Digest, int]:
        """Write a blob under its digest; return that and its size. A failure leaves nothing."""
        part = self.blobs / f"layer-{self.layer_plan.layer}.part"
        running, size_bytes = hashlib.sha256(), 0
        try:
            with part.open("wb") as out:
                for chunk in chunks:
                    if self.stopped.is_set():
                        raise _StoppedError
                    running.update(chunk)
                    size_bytes += out.write(chunk)
            digest = Digest("sha256:" + running.hexdigest())
            part.replace(self.blobs / digest.hex)
        finally:
            part.unlink(missing_ok=True)
        return digest, size_bytes

    def _tar(self) -> Iterator[bytes]:
        """Yield the layer's tar: members as they were, block by block, those that are made anew, and the end."""
        written = 0
        for chunk in self._members():
            written += len(chunk)
            yield chunk
        # An untouched layer ends as the original does, which may be padded to a record: then its diff ID is the same.
        untouched = self.layer_plan.untouched
        yield from end_of_archive(written, self.image.layers[self.layer_plan.layer].tar_bytes if untouched else None)

    def _members(self) -> Iterator[bytes]:
        """Yield members that follow each other in one go: large chunks, whatever the size of the files."""
        source = self.image.layers[self.layer_plan.layer].source
        for anew, entries in groupby(self.layer_plan.members, lambda entry: entry.member < 0):
            if not anew:
                yield from source.members(entries)
                continue
            for entry in entries:
                yield encode(entry)
                if entry.kind is Kind.FILE:
                    yield from self._content(entry)
                    yield padding(entry.size_bytes)

    def _content(self, entry: Entry) -> Iterator[bytes]:
        if entry.inode in self.plan.rewritten:
            yield self.plan.rewritten[entry.inode]
            return
        layer, member = entry.inode
        with self.image.layers[layer].source.open(_at(entry, layer, member)) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk


def _at(entry: Entry, layer: int, member: int) -> Entry:
    return Entry(path=entry.path, kind=entry.kind, size_bytes=entry.size_bytes, layer=layer, member=member)


def _method_of(blob: Blob | None) -> Method:
    return ZSTD if blob is not None and blob.compression == "zstd" else GZIP
