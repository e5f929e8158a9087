"""An image: configuration and layers, wherever they came from.

https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, Protocol

from mlbloat.model.digest import Digest
from mlbloat.model.filetree import Entry

Compression = Literal["gzip", "zstd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    os: str = "linux"
    architecture: str = "amd64"
    """Go's names: amd64, arm64, …"""
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What a run needs of the image's configuration, and the document itself."""

    document: bytes
    """The configuration as stored, JSON; every field survives slimming."""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    user: str = ""
    """As stored: `name`, `uid`, `name:group` or `uid:gid`; empty is root."""
    working_directory: str = "/"
    stop_signal: str = ""
    health_check: tuple[str, ...] = ()
    """The command line by which an engine asks whether the container is well; empty for none."""


class LayerSource(Protocol):
    """Where a layer's bytes are."""

    def open(self, entry: Entry) -> BinaryIO:
        """Open the content of a regular file of this layer; seekable. The caller closes it."""

    def members(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        """The entries as they stand in the layer's tar, one after the other: header blocks, content and padding."""


class Blob(Protocol):
    """A layer as its source stores it, compressed: a layer that loses nothing is passed on as this."""

    @property
    def digest(self) -> Digest | None:
        """What the source's manifest says; None where it says nothing."""

    @property
    def compression(self) -> Compression: ...

    def chunks(self) -> Iterator[bytes]:
        """The stored bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    diff_id: Digest
    """Digest of the uncompressed tar."""
    created_by: str
    """The history line that made it; empty when the history does not say."""
    tar_bytes: int
    compressed_bytes: int | None
    """As stored in a registry or archive; None where the source keeps layers uncompressed."""
    entries: tuple[Entry, ...]
    """In the order of the tar, whiteouts included."""
    source: LayerSource
    verified: bool = True
    """False: what is read of it is not compared with the diff ID."""
    storage: str = ""
    """Where it is kept, when it is not verified: a layer that was pulled again is another one there."""
    through_links: bool = False
    """Some of its members are named through symbolic links that are members too: a copy needs those links."""
    blob: Blob | None = None
    """As stored, when it is compressed as registries know it; a copy of it keeps its digest."""

    @property
    def key(self) -> str:
        """Names what is learnt of the layer in the cache."""
        return layer_key(self.diff_id, verified=self.verified, storage=self.storage)


def layer_key(diff_id: Digest, *, verified: bool, storage: str = "") -> str:
    """Keep what a layer is apart from what its diff ID claims: one never passes for the other."""
    if verified:
        return str(diff_id)
    return f"unverified:{storage}:{diff_id}" if storage else f"unverified:{diff_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    reference: str
    """With its scheme, as `docker:python:3.12` or `oci-archive:/tmp/a.tar`."""
    id: Digest
    """Digest of the configuration."""
    digest: Digest | None
    """Digest of the manifest; None where the source has none (docker-archive, dir)."""
    platform: Platform
    config: ImageConfig
    layers: tuple[Layer, ...]
    """Lowest first. History lines without a layer are in the configuration only."""
    notes: tuple[str, ...] = ()
    """How it was read, as far as a reader of the report must know it."""
    platforms: tuple[Platform, ...] = ()
    """Those that its index offers under this name, sorted by text; empty when there is one."""

    @property
    def compressed_bytes(self) -> int | None:
        sizes = [layer.compressed_bytes for layer in self.layers]
        return None if None in sizes else sum(size for size in sizes if size is not None)
