"""Images from wherever they are: a reference to an Image, an Image to its root file system.

A source is one module: how to get from its scheme to the stored image. Adding one is one module and one name in
SOURCES.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from mlbloat.cache import Cache, NoCache
from mlbloat.errors import BadImageError, ImageNotFoundError, MlbloatError, UsageError
from mlbloat.image import (
    containerd,
    directory,
    docker,
    docker_archive,
    oci_archive,
    oci_dir,
    oci_layout,
    places,
    podman,
    registry,
)
from mlbloat.image.assemble import assemble
from mlbloat.image.beside import checked_beside
from mlbloat.image.documents import decode_config, digest_of
from mlbloat.image.meter import Meter, Progress
from mlbloat.image.squash import squash
from mlbloat.image.store import open_archive
from mlbloat.image.stored import AbsentError, Question, Stored, parse_platform
from mlbloat.image.unpack import FIRST_BYTES
from mlbloat.model.image import Image
from mlbloat.tarstream import LIMIT_NAMES, Budget, Limits

__all__ = [
    "LIMIT_NAMES",
    "SOURCES",
    "Limits",
    "Located",
    "Progress",
    "Source",
    "checked_beside",
    "find",
    "load",
    "squash",
]


class Source(Protocol):
    """Where images come from."""

    @property
    def SCHEME(self) -> str:  # noqa: N802  # a constant of a module
        """What a reference begins with, without the colon."""

    def find(self, question: Question) -> Stored:
        """Find the image and read its documents; layers are looked at later. AbsentError when it is not there."""


BARE: tuple[Source, ...] = (docker, podman, containerd, registry)
"""Where a name without a scheme is looked for, in this order."""
SOURCES: tuple[Source, ...] = (*BARE, docker_archive, oci_archive, oci_dir, directory)


@dataclass(frozen=True, slots=True)
class Located:
    """An image that was found: its documents are known, its layers are not read yet."""

    reference: str
    """As it was asked for."""
    question: Question
    stored: Stored

    @property
    def workspace(self) -> Path:
        return self.question.workspace

    @property
    def identity(self) -> str:
        """Everything of where and what it is that its report can depend on, beside the contents that digests name.

        Empty where nothing tells whether the contents are still the same.
        """
        stored, question = self.stored, self.question
        if any(layer.written for layer in stored.layers):
            return ""
        layers = [(layer.digest, layer.blob.size_bytes, layer.unverified, layer.storage) for layer in stored.layers]
        compressed = [layer.blob.first(FIRST_BYTES) for layer in stored.layers]
        asked = (question.reference, question.platform, question.limits, question.verified)
        return repr((asked, stored.config, stored.digest, layers, compressed, stored.notes, stored.platforms))

    @property
    def last_layer(self) -> str:
        """What the cache calls its highest layer; empty where it has none."""
        name = f"the configuration of {self.question.reference}"
        document = decode_config(self.stored.config, name)
        diff_ids = (document.rootfs.diff_ids if document.rootfs else None) or ()
        if not diff_ids or len(diff_ids) != len(self.stored.layers):
            return ""
        return self.stored.layers[-1].key(digest_of(diff_ids[-1], name))

    def load(self) -> Image:
        """Read the layers; one that the cache knows by its diff ID is not read, until a content is asked for."""
        with _explained(self.reference):
            return assemble(self.stored, self.question)


def find(
    reference: str,
    workspace: Path,
    *,
    platform: str | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
    cache: Cache | None = None,
    verified: bool = False,
    say: Callable[[str], None] | None = None,
) -> Located:
    """Find an image; the workspace keeps what its layers are read from for as long as the image is used.

    `platform` is `os/architecture[/variant]`; by default the host's is taken where there are several, and the only
    one otherwise. With `verified` every layer is compared with its digest, also in an engine's own storage, whose
    layers are trusted otherwise (`Image.notes` says so). `say` hears which way was taken.
    """
    scheme, rest = places.split_scheme(reference, tuple(source.SCHEME for source in SOURCES))
    question = Question(
        reference=f"{scheme}:{rest}" if scheme else rest,
        rest=rest,
        workspace=workspace,
        platform=parse_platform(platform) if platform else None,
        limits=limits or Limits(),
        budget=Budget(limits),
        meter=Meter(progress),
        cache=cache or NoCache(),
        verified=verified,
        say=say or (lambda _: None),
    )
    with _explained(reference):
        return Located(reference, *_find(question, scheme))


def load(
    reference: str,
    workspace: Path,
    *,
    platform: str | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
    cache: Cache | None = None,
    verified: bool = False,
    say: Callable[[str], None] | None = None,
) -> Image:
    """Find an image and read it."""
    found = find(
        reference,
        workspace,
        platform=platform,
        progress=progress,
        limits=limits,
        cache=cache,
        verified=verified,
        say=say,
    )
    return found.load()


@contextmanager
def _explained(reference: str) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise ImageNotFoundError(
            f"cannot read {reference}: no permission for {error.filename}; run as a user that may read it"
        ) from error
    except OSError as error:
        raise MlbloatError(
            f"cannot read {reference}: {error.strerror or error}"
            f"{f' ({error.filename})' if error.filename else ''}; check the disk, or set TMPDIR to one with more space"
        ) from error


def _find(question: Question, scheme: str) -> tuple[Question, Stored]:
    if not scheme:
        return _find_path(question) if places.is_path(question.rest) else _find_bare(question)
    try:
        return question, next(source for source in SOURCES if scheme == source.SCHEME).find(question)
    except AbsentError as error:
        raise ImageNotFoundError(f"cannot find {question.reference}: {error.reason}; {error.remedy}") from None


def _find_bare(question: Question) -> tuple[Question, Stored]:
    """Ask one after the other; that one is not there, or refuses, is only said when none has the image."""
    reasons = []
    for source in BARE:
        named = replace(question, reference=f"{source.SCHEME}:{question.rest}")
        try:
            return named, source.find(named)
        except AbsentError as error:
            reasons.append(error.reason)
        except (ImageNotFoundError, UsageError) as error:
            reasons.append(f"{source.SCHEME}: {_why(error, named.reference)}")
    raise ImageNotFoundError(
        f"cannot find {question.rest}: {'; '.join(reasons)}; check the name, pull or build it, or give the path of a "
        "saved archive"
    )


def _why(error: MlbloatError, reference: str) -> str:
    """Return the reason of "cannot …: why; what to do next"."""
    text = str(error)
    return (text.partition(f"{reference}: ")[2] or text).partition("; ")[0]


def _find_path(question: Question) -> tuple[Question, Stored]:
    """Recognise a path by what it holds; an archive that is both is docker's, whose manifest.json has the names."""
    path, choice = places.existing(question.rest, question.reference)
    if path.is_dir():
        source: Source = oci_dir if oci_dir.recognises(path) else directory
        named = replace(question, reference=f"{source.SCHEME}:{question.rest}")
        return named, source.find(named)
    archive = open_archive(path, question)
    if docker_archive.recognises(archive):
        named = replace(question, reference=f"{docker_archive.SCHEME}:{question.rest}")
        return named, docker_archive.find_in(archive, choice, named)
    if oci_archive.recognises(archive):
        named = replace(question, reference=f"{oci_archive.SCHEME}:{question.rest}")
        return named, oci_layout.find(archive, choice, named)
    raise BadImageError(
        f"cannot read {question.reference}: it is a tar without manifest.json or index.json, so no image; "
        "for a root file system, unpack it and use dir:"
    )
