"""A stored image to an Image: every layer indexed, which the cache spares for a layer that was read before."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace

from mlbloat.errors import BadImageError, ImageNotFoundError
from mlbloat.image import indexes
from mlbloat.image.blob import BlobLayer
from mlbloat.image.documents import decode_config, digest_of
from mlbloat.image.squash import resolve
from mlbloat.image.stored import Question, Stored, StoredLayer, same_platform
from mlbloat.image.unpack import StoredBlob, check_size, compression_of
from mlbloat.model.digest import Digest
from mlbloat.model.image import Image, Layer
from mlbloat.tarstream import account, index

_MAX_THREADS = 4


@dataclass(frozen=True, slots=True)
class _Job:
    number: int
    stored: StoredLayer
    diff_id: Digest
    created_by: str
    name: str


def assemble(stored: Stored, question: Question) -> Image:
    """Read all layers, several at once."""
    name = f"the configuration of {question.reference}"
    document = decode_config(stored.config, name)
    platform = document.value()
    if question.platform is not None and not same_platform(platform, question.platform):
        raise ImageNotFoundError(f"cannot find {question.platform} in {question.reference}: the image is {platform}")
    diff_ids = [digest_of(text, name) for text in (document.rootfs.diff_ids if document.rootfs else None) or ()]
    question.check_layers(len(stored.layers))
    if len(diff_ids) != len(stored.layers):
        raise BadImageError(
            f"cannot read {question.reference}: it has {len(stored.layers)} layers and its configuration names "
            f"{len(diff_ids)}; pull or save the image again"
        )
    created = document.created_by(len(diff_ids))
    jobs = [
        _Job(number, layer, diff_id, line, f"layer {number} of {question.reference}")
        for number, (layer, diff_id, line) in enumerate(zip(stored.layers, diff_ids, created, strict=True))
    ]
    question.meter.begin("reading layers", sum(layer.blob.size_bytes for layer in stored.layers))
    layers = _read_all(jobs, question)
    return Image(
        reference=question.reference,
        id=Digest.of(stored.config),
        digest=stored.digest,
        platform=platform,
        config=document.image_config(stored.config),
        layers=layers,
        notes=stored.notes,
        platforms=stored.platforms,
    )


def _read_all(jobs: Sequence[_Job], question: Question) -> tuple[Layer, ...]:
    """Read layers in threads, as hashing and decompression let others run; an error stops the rest."""
    threads = min(_MAX_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="layer") as pool:
        # The largest first: begun last, it would be read alone.
        order = sorted(jobs, key=lambda job: (-job.stored.blob.size_bytes, job.number))
        futures = {job.number: pool.submit(_read, job, question) for job in order}
        try:
            # The first to fail is the one to show: the others may have failed because they were stopped.
            for future in as_completed(futures.values()):
                future.result()
        except BaseException:
            # Ctrl-C reaches this thread only: tell the others, or leaving the pool would wait for whole layers.
            question.meter.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return tuple(futures[job.number].result() for job in jobs)


def _read(job: _Job, question: Question) -> Layer:
    blob = BlobLayer(
        blob=job.stored.blob,
        digest=job.stored.digest,
        diff_id=job.diff_id,
        trusted=job.stored.written or job.stored.unverified,
        name=job.name,
        directory=question.workspace / "layers",
        limits=question.limits,
        meter=question.meter.part(f"layer {job.number}", job.stored.blob.size_bytes),
    )
    key = job.stored.key(job.diff_id)
    found = indexes.load(question.cache, key, job.number)
    if found is None:
        found = _index(blob, job, question)
        if not job.stored.written:
            indexes.save(question.cache, key, found)
    else:
        check_size(blob.meter.expanded(found.tar_bytes), question.limits, job.name)
        account(found.entries, name=job.name, budget=question.budget)
        blob.meter.add(job.stored.blob.size_bytes)
        blob = replace(blob, meter=question.meter.later(f"layer {job.number}", job.stored.blob.size_bytes))
    return Layer(
        diff_id=job.diff_id,
        created_by=job.created_by,
        tar_bytes=found.tar_bytes,
        compressed_bytes=job.stored.blob.size_bytes if blob.compressed() else None,
        entries=found.entries,
        source=blob,
        verified=not job.stored.unverified,
        storage=job.stored.storage,
        through_links=found.through_links,
        blob=None if job.stored.written else _as_stored(job.stored),
    )


def _as_stored(stored: StoredLayer) -> StoredBlob | None:
    compression = compression_of(stored.blob)
    return compression and StoredBlob(window=stored.blob, digest=stored.digest, compression=compression)


def _index(blob: BlobLayer, job: _Job, question: Question) -> indexes.Index:
    if blob.trusted:
        check_size(blob.meter.expanded(blob.blob.size_bytes), question.limits, job.name)
    tar = blob.unpacked().tar
    with tar.open() as stream:
        entries = index(stream, name=job.name, layer=job.number, limits=question.limits, budget=question.budget)
    resolved = resolve(entries, job.name, question.limits)
    through_links = any(now.path != then.path for now, then in zip(resolved, entries, strict=True))
    return indexes.Index(tar_bytes=tar.size_bytes, entries=resolved, through_links=through_links)
