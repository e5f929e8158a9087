"""Docker's own storage, read in place: no export, and of file contents only what somebody asks for.

Docker keeps the files of a layer in a directory and everything else of the layer's tar beside it (`tarsplit.py`). What
is read here is named by digests, from the image's to those of its layers, so another daemon's directory with the same
image would do as well.

https://github.com/moby/moby/tree/v27.5.1/layer (filestore.go)
https://docs.docker.com/engine/storage/drivers/overlayfs-driver/#how-the-overlay2-driver-works
"""

import os
import re
from pathlib import Path

from mlbloat.errors import BadImageError
from mlbloat.image.documents import ConfigDocument, decode, digest_of
from mlbloat.image.stored import Question, Stored, StoredLayer
from mlbloat.image.tarsplit import BrokenSplitError, SplitTar, read_split
from mlbloat.model.digest import Digest
from mlbloat.runtime import open_inside

UNVERIFIED = (
    "the layers were read in docker's own storage and their digests were not verified; "
    "a saved archive of the image (docker save) would be"
)
_MAX_LINE_BYTES = 4096
_MAX_LAYERS = 1000
_STORAGE_DIGITS = 16
"""Of docker's random name of a directory, enough to tell it from another one."""


class NotInPlaceError(Exception):
    """Why an image is not read in place; it can still be exported."""


def find(root: Path, image_id: str, question: Question) -> Stored:
    """Find an image below docker's root directory; NotInPlaceError when anything there is not as expected."""
    if os.geteuid() != 0:
        raise NotInPlaceError("only root may read docker's storage")
    try:
        config = _config(root, image_id, question)
        diff_ids = _diff_ids(config, image_id)
        question.workspace.mkdir(parents=True, exist_ok=True)
        question.meter.begin("reading docker's layer index", None)
        layers: list[StoredLayer] = []
        chain: Digest | None = None
        for diff_id in diff_ids:
            chain = diff_id if chain is None else Digest.of(f"{chain} {diff_id}".encode())
            entry = root / "image/overlay2/layerdb" / chain.algorithm / chain.hex
            tar, storage = _layer(root, entry, diff_id, len(layers), question)
            layers.append(StoredLayer(blob=tar, unverified=not question.verified, storage=storage))
    except OSError as error:
        raise NotInPlaceError(f"{error.strerror or error} ({error.filename})") from None
    except (BrokenSplitError, BadImageError, ValueError) as error:
        raise NotInPlaceError(str(error)) from None
    return Stored(config=config, layers=tuple(layers), notes=() if question.verified else (UNVERIFIED,))


def _config(root: Path, image_id: str, question: Question) -> bytes:
    digest = Digest(image_id)
    path = root / "image/overlay2/imagedb/content" / digest.algorithm / digest.hex
    with path.open("rb") as stream:
        config = stream.read(question.limits.document_bytes + 1)
    if Digest.of(config) != digest:
        raise NotInPlaceError(f"the content of {path} has another digest")
    return config


def _diff_ids(config: bytes, image_id: str) -> list[Digest]:
    name = f"the configuration of {image_id}"
    rootfs = decode(config, ConfigDocument, name).rootfs
    diff_ids = [digest_of(text, name) for text in (rootfs.diff_ids if rootfs else None) or ()]
    if len(diff_ids) > _MAX_LAYERS:
        raise NotInPlaceError(f"it has more than {_MAX_LAYERS} layers")
    return diff_ids


def _layer(root: Path, entry: Path, diff_id: Digest, number: int, question: Question) -> tuple[SplitTar, str]:
    if _line(entry / "diff") != diff_id:
        raise NotInPlaceError(f"{entry} is of another layer")
    cache_id = _line(entry / "cache-id")
    if not re.fullmatch(r"[0-9a-z-]{1,128}", cache_id):
        raise NotInPlaceError(f"{entry} names no directory")
    directory = root / "overlay2" / cache_id / "diff"
    os.close(open_inside(directory, b"."))
    question.meter.add(1)
    split = read_split(
        entry / "tar-split.json.gz",
        segments=question.workspace / f"segments-{number}",
        directory=directory,
        name=f"layer {number} of {question.reference}",
        limits=question.limits,
    )
    return split, cache_id[:_STORAGE_DIGITS]


def _line(path: Path) -> str:
    with path.open(encoding="ascii") as stream:
        return stream.read(_MAX_LINE_BYTES).strip()
