"""`registry:[HOST[:PORT]/]NAME[:TAG][@DIGEST]`: an image of a registry, downloaded into an OCI layout and read as one.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pull
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlbloat.errors import BadImageError, ImageNotFoundError, UsageError
from mlbloat.image import oci_layout
from mlbloat.image.documents import ConfigDocument, Descriptor, Manifest, decode, digest_of
from mlbloat.image.indexes import known
from mlbloat.image.ondemand import RemoteBlob, told
from mlbloat.image.store import blob_name, find_blob
from mlbloat.image.stored import Question, Stored, same_platform
from mlbloat.image.unpack import FIRST_BYTES
from mlbloat.model.digest import Digest
from mlbloat.tarstream import Window

if TYPE_CHECKING:
    from mlbloat.registry import Reference, Registry

SCHEME = "registry"
_THREADS = 4
_MAX_LAYERS = 1000


def find(question: Question) -> Stored:
    from mlbloat.registry import open_registry

    reference = _reference(question)
    with told(question.reference), open_registry(reference) as registry:
        mirror = _Mirror(registry, question)
        top = registry.manifest(reference.selector, question.limits.document_bytes)
        mirror.put(blob_name(top.digest), top.content)
        mirror.put("index.json", _index(top.digest, len(top.content), top.media_type, top.content))
        chosen, platforms = oci_layout.choose(mirror, "", question)
        return replace(oci_layout.stored(_download(mirror, chosen), chosen, question), platforms=platforms)


def _reference(question: Question) -> "Reference":
    from mlbloat.registry import parse_reference

    try:
        return parse_reference(question.rest)
    except ValueError as error:
        raise UsageError(
            f"cannot read {question.reference}: {error}; write registry:host/name:tag, or …@sha256:… for a digest"
        ) from None


@dataclass(frozen=True, slots=True)
class _Mirror:
    """A layout of what was downloaded; a manifest that somebody looks for is downloaded when it is looked for."""

    registry: "Registry"
    question: Question

    @property
    def directory(self) -> Path:
        return self.question.workspace / "registry"

    @property
    def name(self) -> str:
        return self.question.reference

    def find(self, name: str) -> Window | None:
        path = self.directory / name
        if not path.is_file():
            digest = Digest(name.removeprefix("blobs/").replace("/", ":", 1))
            self.put(name, self.registry.manifest(digest, self.question.limits.document_bytes).content)
        return Window.whole(path)

    def put(self, name: str, content: bytes) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _index(digest: Digest, size_bytes: int, media_type: str, content: bytes) -> bytes:
    """Make the index of a layout that holds what the tag names; the document says what it is, or the header does."""
    document = decode(content, Manifest, f"manifest {digest}")
    kind = document.media_type or media_type
    if document.manifests is not None:
        kind = "application/vnd.oci.image.index.v1+json"
    return json.dumps({"manifests": [{"digest": digest, "size": size_bytes, "mediaType": kind}]}).encode()


@dataclass(frozen=True, slots=True)
class _Fetched:
    """The layout when all that is needed now was downloaded."""

    mirror: _Mirror
    later: Mapping[str, RemoteBlob]

    @property
    def name(self) -> str:
        return self.mirror.name

    def find(self, name: str) -> Window | None:
        return self.later.get(name) or Window.whole(self.mirror.directory / name)


def _download(mirror: _Mirror, chosen: Descriptor) -> _Fetched:
    """Fetch the configuration, then the layers that the cache does not know."""
    question, name = mirror.question, f"{chosen.digest} in {mirror.name}"
    _, window = find_blob(mirror, chosen)
    with window.open() as stream:
        manifest = decode(stream.read(), Manifest, name)
    config, sizes = _blobs(manifest, name, question)
    question.meter.begin(f"downloading from {mirror.registry.name}", sum(sizes.values()))
    _fetch(mirror, config, sizes.pop(config))
    document = _configuration(mirror, config, question)
    cached = _cached(manifest, document, question)
    later = {
        blob_name(digest): _remote(mirror, digest, sizes.pop(digest)) for digest in tuple(sizes) if digest in cached
    }
    _fetch_all(mirror, sizes)
    return _Fetched(mirror, later)


def _cached(manifest: Manifest, document: ConfigDocument, question: Question) -> set[str]:
    """Return the digests of layers whose index is in the cache."""
    diff_ids = (document.rootfs.diff_ids if document.rootfs else None) or ()
    pairs = zip(manifest.layers or (), diff_ids, strict=False)  # assemble refuses when there are not as many
    name = f"the configuration of {question.reference}"
    return {layer.digest for layer, diff_id in pairs if known(question.cache, digest_of(diff_id, name))}


def _remote(mirror: _Mirror, digest: Digest, size_bytes: int) -> RemoteBlob:
    from mlbloat.registry import first_bytes

    mirror.question.meter.add(size_bytes)
    return RemoteBlob(
        path=mirror.directory / blob_name(digest),
        size_bytes=size_bytes,
        reference=mirror.question.rest,
        name=mirror.name,
        digest=digest,
        start=first_bytes(mirror.registry, digest, FIRST_BYTES),
    )


def _fetch_all(mirror: _Mirror, sizes: Mapping[Digest, int]) -> None:
    """Fetch several at once; an error stops the rest."""
    with ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="download") as pool:
        futures = [pool.submit(_fetch, mirror, digest, size) for digest, size in sizes.items()]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            # Ctrl-C reaches this thread only: tell the others, or leaving the pool would wait for whole layers.
            mirror.question.meter.stop()
            mirror.registry.transport.abort()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _configuration(mirror: _Mirror, config: Digest, question: Question) -> ConfigDocument:
    """Read it, and refuse an image for another platform before its layers are downloaded."""
    content = (mirror.directory / blob_name(config)).read_bytes()
    document = decode(content, ConfigDocument, f"the configuration of {question.reference}")
    platform = document.value()
    if question.platform is not None and not same_platform(platform, question.platform):
        raise ImageNotFoundError(f"cannot find {question.platform} in {question.reference}: the image is {platform}")
    return document


def _blobs(manifest: Manifest, name: str, question: Question) -> tuple[Digest, dict[Digest, int]]:
    """Return the configuration, and all that is to be downloaded, once each and within the limits."""
    limits = question.limits
    if manifest.config is None or manifest.layers is None:
        raise BadImageError(f"cannot read {name}: it is no manifest of an image")
    if manifest.config.size > limits.document_bytes:
        raise BadImageError(
            f"cannot read {name}: its configuration is larger than {limits.document_bytes} bytes (limit document_bytes)"
        )
    wanted = (manifest.config, *manifest.layers)
    if min(descriptor.size for descriptor in wanted) < 0:
        raise BadImageError(f"cannot read {name}: it names a blob of less than no bytes; push the image again")
    if len(wanted) > _MAX_LAYERS or sum(descriptor.size for descriptor in wanted) > limits.image_bytes:
        raise BadImageError(
            f"cannot read {name}: it has more than {_MAX_LAYERS} layers or {limits.image_bytes} bytes "
            "(limit image_bytes); do not use this image unless you know why"
        )
    sizes = {digest_of(descriptor.digest, name): descriptor.size for descriptor in wanted}
    return digest_of(manifest.config.digest, name), sizes


def _fetch(mirror: _Mirror, digest: Digest, size_bytes: int) -> None:
    from mlbloat.registry import download

    path = mirror.directory / blob_name(digest)
    path.parent.mkdir(exist_ok=True)
    download(mirror.registry, digest, size_bytes, path, mirror.question.meter.add)
