"""Write the planned image as an OCI image layout.

https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isal import isal_zlib

from mlbloat.errors import PublishError
from mlbloat.model.digest import Digest
from mlbloat.model.image import Image, Layer
from mlbloat.model.plan import LayerPlan, Plan
from mlbloat.tarstream import encode, end_of_archive

COMPRESSION_LEVEL = 2
"""isal's levels are 0 to 3; 3 takes twice the time of 2 for about one per cent."""

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"

_THREADS = 2
_GZIP = 16 + 15
"""zlib's wbits for a gzip header; isal puts no time and no name into it."""
_REGISTRY_SCHEMES = ("docker", "podman", "containerd", "registry")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlimLayer:
    diff_id: Digest
    digest: Digest
    """Of the blob, compressed."""
    tar_bytes: int
    compressed_bytes: int
    layer: int
    """Index in the original image."""
    unchanged: bool
    """Same diff ID as in the original: every member is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlimImage:
    directory: Path
    """The layout."""
    id: Digest
    """Digest of the configuration."""
    digest: Digest
    """Digest of the manifest."""
    layers: tuple[SlimLayer, ...]

    @property
    def compressed_bytes(self) -> int:
        return sum(layer.compressed_bytes for layer in self.layers)

    @property
    def tar_bytes(self) -> int:
        return sum(layer.tar_bytes for layer in self.layers)


def write(
    image: Image,
    plan: Plan,
    directory: Path,
    *,
    compression_level: int = COMPRESSION_LEVEL,
    on_bytes: Callable[[int], None] | None = None,
) -> SlimImage:
    """Write an OCI layout into a directory; on failure the blobs that were begun are gone.

    The same image and plan give the same bytes. `on_bytes` hears of uncompressed bytes as they are written, from
    several threads.
    """
    try:
        blobs = directory / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        layers = _write_layers(image, plan, blobs, compression_level, on_bytes or (lambda _: None))
        config = slim_config(image, plan, tuple(layer.diff_id for layer in layers))
        manifest = _manifest(image, config, layers)
        for content in (config, manifest):
            (blobs / Digest.of(content).hex).write_bytes(content)
        (directory / "index.json").write_bytes(_index(image, manifest))
        (directory / "oci-layout").write_bytes(LAYOUT)
    except OSError as error:
        raise PublishError(
            f"cannot write the slim image to {directory}: {error.strerror or error}; "
            "free some space there, or set TMPDIR to a directory that has it"
        ) from error
    return SlimImage(directory=directory, id=Digest.of(config), digest=Digest.of(manifest), layers=layers)


def slim_config(image: Image, plan: Plan, diff_ids: tuple[Digest, ...]) -> bytes:
    """Return the original configuration with the layers that are left; nothing else changes.

    The history line of a layer that went becomes one without a layer.
    """
    if diff_ids == tuple(layer.diff_id for layer in image.layers):
        return image.config.document
    document = json.loads(image.config.document)
    document["rootfs"]["diff_ids"] = list(diff_ids)
    history = document.get("history")
    if history and sum(not line.get("empty_layer") for line in history) == len(image.layers):
        document["history"] = _history(history, {layer.layer for layer in plan.layers})
    return _json(document)


def _history(lines: list[dict[str, Any]], left: set[int]) -> list[dict[str, Any]]:
    result, number = [], 0
    for line in lines:
        if line.get("empty_layer"):
            result.append(line)
            continue
        result.append(line if number in left else {**line, "empty_layer": True})
        number += 1
    return result


def _manifest(image: Image, config: bytes, layers: tuple[SlimLayer, ...]) -> bytes:
    annotations = {}
    if image.digest is not None:
        annotations["org.opencontainers.image.base.digest"] = str(image.digest)
    scheme, _, name = image.reference.partition(":")
    if scheme in _REGISTRY_SCHEMES and name:
        annotations["org.opencontainers.image.base.name"] = name.removeprefix("//")
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": Digest.of(config), "size": len(config)},
        "layers": [
            {"mediaType": LAYER_TYPE, "digest": layer.digest, "size": layer.compressed_bytes} for layer in layers
        ],
    }
    return _json({**manifest, "annotations": annotations} if annotations else manifest)


def _index(image: Image, manifest: bytes) -> bytes:
    platform = {"architecture": image.platform.architecture, "os": image.platform.os}
    if image.platform.variant:
        platform["variant"] = image.platform.variant
    descriptor = {
        "mediaType": MANIFEST_TYPE,
        "digest": Digest.of(manifest),
        "size": len(manifest),
        "platform": platform,
    }
    return _json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [descriptor]})


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _write_layers(
    image: Image, plan: Plan, blobs: Path, compression_level: int, on_bytes: Callable[[int], None]
) -> tuple[SlimLayer, ...]:
    """Write layers in parallel: hashing and compressing leave the interpreter to the other threads."""
    stopped = threading.Event()

    def write_one(layer_plan: LayerPlan) -> SlimLayer:
        chunks = _until(stopped, _tar(image.layers[layer_plan.layer], layer_plan))
        return _write_layer(image.layers[layer_plan.layer], layer_plan, chunks, blobs, compression_level, on_bytes)

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="layer") as pool:
        try:
            return tuple(pool.map(write_one, plan.layers))
        except BaseException:
            # Ctrl-C reaches this thread only: tell the others, or leaving the pool would wait for whole layers.
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _StoppedError(Exception):
    """Another thread failed; that error is the one to show."""


def _until(stopped: threading.Event, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if stopped.is_set():
            raise _StoppedError
        yield chunk


def _tar(layer: Layer, plan: LayerPlan) -> Iterator[bytes]:
    """Yield the layer's tar: the members that stay, block by block as they were, and the end of an archive."""
    written = 0
    for entry in plan.members:
        for chunk in layer.source.member(entry) if entry.member >= 0 else (encode(entry),):
            written += len(chunk)
            yield chunk
    # An untouched layer ends as the original does, which may be padded to a record: then its diff ID is the same.
    yield from end_of_archive(written, layer.tar_bytes if plan.removed == 0 else None)


def _write_layer(
    layer: Layer,
    plan: LayerPlan,
    chunks: Iterator[bytes],
    blobs: Path,
    compression_level: int,
    on_bytes: Callable[[int], None],
) -> SlimLayer:
    part = blobs / f"layer-{plan.layer}.part"
    tar_hash, blob_hash = hashlib.sha256(), hashlib.sha256()
    tar_bytes = blob_bytes = 0
    compressor = isal_zlib.compressobj(level=compression_level, wbits=_GZIP)
    try:
        with part.open("wb") as out:
            for chunk in chunks:
                tar_hash.update(chunk)
                tar_bytes += len(chunk)
                on_bytes(len(chunk))
                blob_bytes += _put(out.write, blob_hash.update, compressor.compress(chunk))
            blob_bytes += _put(out.write, blob_hash.update, compressor.flush())
        digest = Digest("sha256:" + blob_hash.hexdigest())
        part.replace(blobs / digest.hex)
    finally:
        part.unlink(missing_ok=True)
    diff_id = Digest("sha256:" + tar_hash.hexdigest())
    return SlimLayer(
        diff_id=diff_id,
        digest=digest,
        tar_bytes=tar_bytes,
        compressed_bytes=blob_bytes,
        layer=plan.layer,
        unchanged=diff_id == layer.diff_id,
    )


def _put(write: Callable[[bytes], int], update: Callable[[bytes], None], content: bytes) -> int:
    update(content)
    return write(content)
