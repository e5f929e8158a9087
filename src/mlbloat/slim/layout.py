"""Write the planned image as an OCI image layout.

https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbloat.errors import PublishError
from mlbloat.model.digest import Digest
from mlbloat.model.image import Image
from mlbloat.model.plan import Plan
from mlbloat.slim.compress import MEDIA_TYPES, Method
from mlbloat.slim.layers import SlimLayer, write_layers

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_REGISTRY_SCHEMES = ("docker", "podman", "containerd", "registry")


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
    method: Method | None = None,
    labels: Mapping[str, str] | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> SlimImage:
    """Write an OCI layout into a directory; on failure the blobs that were begun are gone.

    Without a method, layers that change are compressed as they were before, gzip where they were not. `labels` go
    into the configuration. The same arguments give the same bytes. `on_bytes` hears of uncompressed bytes as they are
    written, from several threads.
    """
    try:
        blobs = directory / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        layers = write_layers(image, plan, blobs, method, on_bytes or (lambda _: None))
        config = slim_config(image, plan, tuple(layer.diff_id for layer in layers), labels or {})
        return write_documents(image, directory, config, layers)
    except OSError as error:
        raise PublishError(
            f"cannot write the slim image to {directory}: {error.strerror or error}; "
            "free some space there, or set TMPDIR to a directory that has it"
        ) from error


def write_documents(image: Image, directory: Path, config: bytes, layers: tuple[SlimLayer, ...]) -> SlimImage:
    """Write the documents of a layout whose layers are there; the index last, as it makes the others known."""
    manifest = _manifest(image, config, layers)
    for content in (config, manifest):
        (directory / "blobs/sha256" / Digest.of(content).hex).write_bytes(content)
    (directory / "oci-layout").write_bytes(LAYOUT)
    (directory / "index.json").write_bytes(_index(image, manifest))
    return SlimImage(directory=directory, id=Digest.of(config), digest=Digest.of(manifest), layers=layers)


def slim_config(image: Image, plan: Plan, diff_ids: tuple[Digest, ...], labels: Mapping[str, str]) -> bytes:
    """Return the original configuration with the layers that are left, and labels; nothing else changes.

    The history line of a layer that went becomes one without a layer.
    """
    if diff_ids == tuple(layer.diff_id for layer in image.layers) and not labels:
        return image.config.document
    document = json.loads(image.config.document)
    document["rootfs"]["diff_ids"] = list(diff_ids)
    history = document.get("history")
    if history and sum(not line.get("empty_layer") for line in history) == len(image.layers):
        document["history"] = _history(history, {layer.layer for layer in plan.layers})
    if labels:
        config = document.get("config") or {}
        document["config"] = {**config, "Labels": {**(config.get("Labels") or {}), **labels}}
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
            {
                "mediaType": MEDIA_TYPES[layer.compression],
                "digest": layer.digest,
                "size": layer.compressed_bytes,
            }
            for layer in layers
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
