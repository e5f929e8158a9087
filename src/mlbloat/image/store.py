"""Named files of an image archive or of a layout directory, found without unpacking anything."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlbloat.errors import BadImageError
from mlbloat.image.documents import Descriptor, digest_of
from mlbloat.image.squash import LayerContents, merge
from mlbloat.image.stored import Question
from mlbloat.image.unpack import decoder_of, unpack
from mlbloat.model.digest import Digest
from mlbloat.model.filetree import FileTree, Kind
from mlbloat.tarstream import BLOCK, TarLayer, Window, begins, index


class Store(Protocol):
    @property
    def name(self) -> str:
        """What errors call it."""

    def find(self, name: str) -> Window | None:
        """Return where a file is; None when there is none of that name."""


@dataclass(frozen=True, slots=True)
class Directory:
    path: Path
    name: str

    def find(self, name: str) -> Window | None:
        path = self.path / name
        return Window.whole(path) if path.is_file() else None


@dataclass(frozen=True, slots=True)
class Archive:
    window: Window
    tar: TarLayer
    tree: FileTree
    name: str

    def find(self, name: str) -> Window | None:
        entry = self.tree.find("/" + name).entry
        if entry is None or entry.kind is not Kind.FILE:
            return None
        offset, size_bytes = self.tar.place(entry)
        return Window(path=self.window.path, offset=self.window.offset + offset, size_bytes=size_bytes)


def open_archive(path: Path, question: Question) -> Archive:
    """Index an archive of images; one that is compressed as a whole is decompressed into the workspace first."""
    window = Window.whole(path)
    if decoder_of(window) is not None:
        question.meter.begin("decompressing archive", window.size_bytes)
        unpacked = unpack(
            window,
            name=question.reference,
            digest=None,
            diff_id=None,
            directory=question.workspace / "archives",
            limits=question.limits,
            meter=question.meter,
        )
        window = unpacked.tar
    _require_tar(window, question)
    tar = TarLayer(tar=window, name=question.reference, limits=question.limits)
    with window.open() as stream:
        entries = index(stream, name=question.reference, limits=question.limits, budget=question.budget)
    tree = merge([entries], LayerContents((tar,)), question.reference, limits=question.limits)
    return Archive(window, tar, tree, question.reference)


def _require_tar(window: Window, question: Question) -> None:
    """Tell a file that never was an archive from one that is damaged further on."""
    if not begins(window.first(BLOCK)):
        raise BadImageError(
            f"cannot read {question.reference}: it is no image archive, as it does not begin like a tar; "
            "give what `docker save` or `skopeo copy` wrote"
        )


def read(store: Store, name: str, question: Question) -> bytes:
    """Read a document of bounded size."""
    window = _existing(store, name)
    limit = question.limits.document_bytes
    if window.size_bytes > limit:
        raise BadImageError(
            f"cannot read {name} in {store.name}: it is larger than {limit} bytes; "
            f"{question.limits.advice('document_bytes')}"
        )
    with window.open() as stream:
        return stream.read()


def read_blob(store: Store, descriptor: Descriptor, question: Question) -> tuple[Digest, bytes]:
    """Read a document that a descriptor names, and check that it is the one."""
    digest, _ = find_blob(store, descriptor)
    content = read(store, blob_name(digest), question)
    if hashlib.new(digest.algorithm, content).hexdigest() != digest.hex:
        raise BadImageError(
            f"cannot read {blob_name(digest)} in {store.name}: its content has another digest; "
            "pull or save the image again"
        )
    return digest, content


def find_blob(store: Store, descriptor: Descriptor) -> tuple[Digest, Window]:
    digest = digest_of(descriptor.digest, store.name)
    window = _existing(store, blob_name(digest))
    if window.size_bytes != descriptor.size:
        raise BadImageError(
            f"cannot read {blob_name(digest)} in {store.name}: it has {window.size_bytes} bytes and should have "
            f"{descriptor.size}; pull or save the image again"
        )
    return digest, window


def blob_name(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def _existing(store: Store, name: str) -> Window:
    window = store.find(name)
    if window is None:
        raise BadImageError(f"cannot read {store.name}: {name[:200]} is missing; pull or save the image again")
    return window
