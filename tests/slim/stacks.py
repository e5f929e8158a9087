"""Images from layers written as data, and a plain reading of what an engine makes of them.

The merging here is done by playing extraction, path by path, so that it shares nothing with the code under test.
"""

import gzip
import io
import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from msgspec import structs

from mlbloat.model.digest import Digest
from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.image import Image, ImageConfig, Layer, Platform
from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.use import Level, Reason, Use
from mlbloat.tarstream import TarLayer, Window, index
from tests.support.images import Members, config_document, layer_tar


@dataclass(frozen=True)
class LayerContents:
    image: Image

    def open(self, entry: Entry) -> BinaryIO:
        layer, member = entry.inode
        return self.image.layers[layer].source.open(structs.replace(entry, layer=layer, member=member))


def image_of(
    directory: Path,
    layers: Sequence[Members | bytes],
    *,
    config: Mapping[str, object] | None = None,
    extra: Mapping[str, object] | None = None,
    reference: str = "docker:example/app:1",
    document: bytes | None = None,
) -> Image:
    """Open layers as an image; their tars are put into a directory."""
    tars = [layer if isinstance(layer, bytes) else layer_tar(layer) for layer in layers]
    document = document or config_document(tars, config, extra)
    return Image(
        reference=reference,
        id=Digest.of(document),
        digest=None,
        platform=Platform(),
        config=ImageConfig(document=document),
        layers=tuple(_layer(directory, number, tar) for number, tar in enumerate(tars)),
    )


def _layer(directory: Path, number: int, tar: bytes) -> Layer:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{number}.tar"
    path.write_bytes(tar)
    return Layer(
        diff_id=Digest.of(tar),
        created_by="",
        tar_bytes=len(tar),
        compressed_bytes=None,
        entries=index(io.BytesIO(tar), name=str(number), layer=number),
        source=TarLayer(tar=Window.whole(path), name=str(number)),
    )


def merged(image: Image) -> FileTree:
    """Extract every layer by itself, lay it over the ones below."""
    nodes = {"/": Entry(path="/", kind=Kind.DIRECTORY, mode=0o755, member=-1)}
    for layer in image.layers:
        upper: dict[str, Entry] = {}
        for entry in layer.entries:
            if entry.kind not in (Kind.WHITEOUT, Kind.OPAQUE):
                _extract(upper, entry, nodes)
        for entry in layer.entries:
            if entry.kind in (Kind.WHITEOUT, Kind.OPAQUE):
                _remove(nodes, entry.path, itself=entry.kind is Kind.WHITEOUT)
        for path in sorted(upper):
            if upper[path].member >= 0 or nodes.get(path, upper[path]).kind is not Kind.DIRECTORY or path not in nodes:
                _put(nodes, upper[path])
    return FileTree(nodes, LayerContents(image))


def _remove(nodes: dict[str, Entry], path: str, *, itself: bool) -> None:
    below = path.rstrip("/") + "/"
    for other in [other for other in nodes if other.startswith(below) or (itself and other == path)]:
        del nodes[other]


def _extract(upper: dict[str, Entry], entry: Entry, lower: Mapping[str, Entry]) -> None:
    parent = posixpath.dirname(entry.path)
    if parent != "/" and (parent not in upper or upper[parent].kind is not Kind.DIRECTORY):
        _extract(upper, Entry(path=parent, kind=Kind.DIRECTORY, mode=0o755, layer=entry.layer, member=-1), lower)
    if entry.kind is Kind.HARDLINK:
        target = upper.get(entry.target) or lower[entry.target]
        entry = structs.replace(target, path=entry.path, layer=entry.layer, member=entry.member)
    _put(upper, entry)


def _put(nodes: dict[str, Entry], entry: Entry) -> None:
    old = nodes.get(entry.path)
    if old is not None and not (old.kind is entry.kind is Kind.DIRECTORY):
        _remove(nodes, entry.path, itself=True)
    nodes[entry.path] = entry


def read_layout(layout: Path, scratch: Path) -> Image:
    """Open a written layout again, with digests checked."""
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    manifest = json.loads(blob(layout, json.loads((layout / "index.json").read_bytes())["manifests"][0]))
    document = blob(layout, manifest["config"])
    tars = [gzip.decompress(blob(layout, layer)) for layer in manifest["layers"]]
    assert json.loads(document)["rootfs"]["diff_ids"] == [Digest.of(tar) for tar in tars]
    return image_of(scratch, tars, document=document)


def blob(layout: Path, descriptor: Mapping[str, object]) -> bytes:
    content = (layout / "blobs" / str(descriptor["digest"]).replace(":", "/")).read_bytes()
    assert Digest.of(content) == descriptor["digest"]
    assert len(content) == descriptor["size"]
    return content


def marks_keeping(tree: FileTree, *kept: str) -> tuple[Mark, ...]:
    """Marks of every regular file: these are used, the others are not."""
    return tuple(mark(entry.path, Level.TRACED if entry.path in kept else None) for entry in tree.files())


def mark(path: str, level: Level | None, *, pinned: bool = False) -> Mark:
    uses = (Use(path, Level.TRACED, Reason.KEEP_RULE, "rule", pinned=True),) if pinned else ()
    file_class = FileClass.UNUSED if level is None else FileClass.USED
    return Mark(path=path, level=level, file_class=file_class, uses=uses)
