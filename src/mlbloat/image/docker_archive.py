"""`docker-archive:PATH[:TAG]`: what `docker save` and `podman save` write.

Before version 25 docker wrote `<id>/layer.tar` (a symbolic link where a layer comes twice), since then blobs of an OCI
layout; manifest.json names the files either way. Layers that are not compressed are read where they are.
https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#combined-image-json--filesystem-changeset-format
"""

import re

from mlbloat.errors import BadImageError, ImageNotFoundError
from mlbloat.image.documents import DockerImage, decode
from mlbloat.image.places import existing
from mlbloat.image.store import Archive, open_archive, read
from mlbloat.image.stored import Question, Stored, StoredLayer
from mlbloat.model.digest import Digest

SCHEME = "docker-archive"
MANIFEST = "manifest.json"
_SHORT_ID = 12
"""Digits of an image ID as docker prints it."""


def find(question: Question) -> Stored:
    path, choice = existing(question.rest, question.reference)
    return find_in(open_archive(path, question), choice, question)


def recognises(archive: Archive) -> bool:
    return archive.find(MANIFEST) is not None


def find_in(archive: Archive, choice: str, question: Question) -> Stored:
    name = f"{MANIFEST} in {archive.name}"
    images = decode(read(archive, MANIFEST, question), list[DockerImage], name)
    image = _choose(images, choice, archive.name)
    config = read(archive, image.config, question)
    named = re.search(r"([0-9a-f]{64})(\.json)?$", image.config)
    if named and Digest.of(config).hex != named[1]:
        raise BadImageError(
            f"cannot read {image.config} in {archive.name}: its content has another digest; save the image again"
        )
    question.check_layers(len(image.layers or ()))
    return Stored(config=config, layers=tuple(_layer(archive, layer) for layer in image.layers or ()))


def _layer(archive: Archive, name: str) -> StoredLayer:
    window = archive.find(name)
    if window is None:
        raise BadImageError(f"cannot read {archive.name}: {name[:200]} is missing; save the image again")
    blob = re.fullmatch(r"blobs/(sha256|sha512)/([0-9a-f]+)", name)
    try:
        return StoredLayer(blob=window, digest=Digest(f"{blob[1]}:{blob[2]}") if blob else None)
    except ValueError:
        raise BadImageError(f"cannot read {archive.name}: {name[:200]} is no digest; save the image again") from None


def _choose(images: list[DockerImage], choice: str, name: str) -> DockerImage:
    tags = ", ".join(_label(image) for image in images[:20]) or "no image"
    named = [image for image in images if not choice or _answers(image, choice)]
    if not named:
        raise ImageNotFoundError(f"cannot find {choice!r} in {name}: it holds {tags}")
    if len({image.config for image in named}) > 1:
        raise ImageNotFoundError(f"cannot choose an image of {name}: it holds {tags}; add :NAME:TAG to the reference")
    return named[0]


def _answers(image: DockerImage, choice: str) -> bool:
    """Tell whether an image has this name, in full or as people write it; a tag or an ID alone is enough, too."""
    if len(choice) >= _SHORT_ID and choice.removeprefix("sha256:") in image.config:
        return True
    wanted = _short(choice)
    return any(wanted in (_short(tag), tag.rpartition(":")[2]) for tag in image.repo_tags or ())


def _short(name: str) -> str:
    """Leave out what docker adds: `docker.io/library/app:latest` is `app`."""
    return name.removeprefix("docker.io/").removeprefix("library/").removesuffix(":latest")


def _label(image: DockerImage) -> str:
    return image.repo_tags[0][:200] if image.repo_tags else image.config[:200]
