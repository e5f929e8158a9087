"""Find one image in an OCI layout, whether it is a directory or an archive.

https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
https://github.com/opencontainers/image-spec/blob/v1.1.0/image-index.md
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlbloat.errors import BadImageError, ImageNotFoundError
from mlbloat.image.documents import ConfigDocument, Descriptor, Manifest, decode
from mlbloat.image.store import Store, find_blob, read, read_blob
from mlbloat.image.stored import Question, Stored, StoredLayer, same_platform
from mlbloat.model.image import Platform

_MAX_DEPTH = 4
"""Indexes inside indexes."""
_MAX_MANIFESTS = 1000
_REFERENCE_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"
_REFERENCE_TYPE = "vnd.docker.reference.type"
"""BuildKit marks attestations with it; their platform is unknown/unknown."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    descriptor: Descriptor
    names: tuple[str, ...]

    @property
    def label(self) -> str:
        platform = self.descriptor.platform
        named = self.names[0] if self.names else self.descriptor.digest
        return f"{named[:200]} ({platform.value()})" if platform else named[:200]


def find(store: Store, choice: str, question: Question) -> Stored:
    """Return the image that `choice` names (a tag or a digest; empty: the only one) for the wanted platform."""
    descriptor, platforms = choose(store, choice, question)
    return replace(stored(store, descriptor, question), platforms=platforms)


def choose(store: Store, choice: str, question: Question) -> tuple[Descriptor, tuple[Platform, ...]]:
    """Return the manifest of that image, and the platforms it could have been of, when there are several.

    Nothing but index.json and indexes that it names is read.
    """
    candidates = _held(store, question)
    chosen = _choose(store, candidates, choice, question)
    return chosen.descriptor, _offered(candidates, chosen)


def _held(store: Store, question: Question) -> list[_Candidate]:
    index = decode(read(store, "index.json", question), Manifest, f"index.json in {store.name}")
    candidates = _candidates(store, index, question)
    if not candidates:
        raise BadImageError(f"cannot read {store.name}: it holds no image; save the image again")
    return candidates


def stored(store: Store, chosen: Descriptor, question: Question) -> Stored:
    """Read the documents of the image that a manifest describes."""
    digest, content = read_blob(store, chosen, question)
    manifest = decode(content, Manifest, f"{digest} in {store.name}")
    if manifest.config is None or manifest.layers is None:
        raise BadImageError(f"cannot read {digest} in {store.name}: it is no manifest of an image")
    _, config = read_blob(store, manifest.config, question)
    if not decode(config, ConfigDocument, f"{manifest.config.digest} in {store.name}").rootfs:
        raise BadImageError(f"cannot read {digest} in {store.name}: it is an artifact, not an image")
    question.check_layers(len(manifest.layers))
    layers = []
    for descriptor in manifest.layers:
        layer_digest, blob = find_blob(store, descriptor)
        layers.append(StoredLayer(blob=blob, digest=layer_digest))
    return Stored(config=config, layers=tuple(layers), digest=digest)


def _offered(candidates: Sequence[_Candidate], chosen: _Candidate) -> tuple[Platform, ...]:
    """Return the platforms of the images that share a name with the chosen one, when there are several."""
    names = set(chosen.names[:-1])
    beside = (other for other in candidates if names.intersection(other.names) or not (names or other.names[:-1]))
    platforms = {_platform(other) for other in beside}
    offered = sorted((platform for platform in platforms if platform is not None), key=str)
    return tuple(offered) if len(offered) > 1 else ()


def _candidates(store: Store, top: Manifest, question: Question) -> list[_Candidate]:
    """Return the images of an index and of the indexes in it; names of an index are names of its images.

    An index waits as its descriptor, not as its content: a hostile one names the same large index many times.
    """
    found: list[_Candidate] = []
    waiting: deque[tuple[Descriptor, tuple[str, ...], int]] = deque()
    looked_at = 0

    def look(index: Manifest, names: tuple[str, ...], depth: int) -> None:
        nonlocal looked_at
        looked_at += len(index.manifests or ())
        if looked_at > _MAX_MANIFESTS or (depth > _MAX_DEPTH and index.manifests):
            raise BadImageError(
                f"cannot read {store.name}: its index names more than {_MAX_MANIFESTS} manifests, or indexes are "
                f"nested more than {_MAX_DEPTH} deep; save one image alone"
            )
        for descriptor in index.manifests or ():
            own = _names(descriptor) or names
            if _is_index(descriptor):
                waiting.append((descriptor, own, depth + 1))
            elif not _is_attestation(descriptor):
                found.append(_Candidate(descriptor, (*own, descriptor.digest)))

    look(top, (), 0)
    while waiting:
        descriptor, names, depth = waiting.popleft()
        digest, content = read_blob(store, descriptor, question)
        look(decode(content, Manifest, f"{digest} in {store.name}"), (*names, str(digest)), depth)
    return found


def _is_index(descriptor: Descriptor) -> bool:
    media_type = descriptor.media_type or ""
    return "index" in media_type or "manifest.list" in media_type


def _is_attestation(descriptor: Descriptor) -> bool:
    platform = descriptor.platform
    unknown = platform is not None and platform.os == platform.architecture == "unknown"
    return unknown or bool(descriptor.artifact_type) or _REFERENCE_TYPE in (descriptor.annotations or {})


def _names(descriptor: Descriptor) -> tuple[str, ...]:
    annotations = descriptor.annotations or {}
    names = (annotations.get(_CONTAINERD_NAME), annotations.get(_REFERENCE_NAME))
    return tuple(dict.fromkeys(name for name in names if name))


def _choose(store: Store, candidates: Sequence[_Candidate], choice: str, question: Question) -> _Candidate:
    """Narrow by name, then by platform; what stays ambiguous is an error that lists it."""
    named = [candidate for candidate in candidates if not choice or choice in candidate.names]
    if not named:
        raise ImageNotFoundError(f"cannot find {choice!r} in {store.name}: it holds {_list(candidates)}")
    if len({candidate.names[0] for candidate in named if len(candidate.names) > 1}) > 1:
        raise ImageNotFoundError(
            f"cannot choose an image of {store.name}: it holds {_list(named)}; add :TAG or @DIGEST to the reference"
        )
    fitting = [candidate for candidate in named if _fits(candidate, question.wanted)]
    if not fitting and len(named) == 1 and question.platform is None:
        fitting = named
    if not fitting:
        raise ImageNotFoundError(
            f"cannot find {question.wanted} in {store.name}: it holds {_list(named)}; choose one with --platform"
        )
    if len({candidate.descriptor.digest for candidate in fitting}) > 1:
        exact = [candidate for candidate in fitting if _platform(candidate) == question.wanted]
        if len({candidate.descriptor.digest for candidate in exact}) != 1:
            raise ImageNotFoundError(
                f"cannot choose an image of {store.name}: it holds {_list(fitting)}; "
                "add :TAG or @DIGEST to the reference"
            )
        fitting = exact
    return fitting[0]


def _platform(candidate: _Candidate) -> Platform | None:
    platform = candidate.descriptor.platform
    return platform.value() if platform is not None else None


def _fits(candidate: _Candidate, wanted: Platform) -> bool:
    """A manifest without a platform is judged by its configuration later."""
    platform = _platform(candidate)
    return platform is None or same_platform(platform, wanted)


def _list(candidates: Sequence[_Candidate]) -> str:
    labels = [candidate.label for candidate in candidates]
    return ", ".join(labels[:20]) + (f" and {len(labels) - 20} more" if len(labels) > 20 else "")
