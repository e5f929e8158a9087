"""The way back: the slim image and one layer that brings everything removed back; the same tree as the original."""

import json
import posixpath
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from mlbloat.model import label
from mlbloat.model.digest import Digest
from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.image import Image
from mlbloat.model.plan import LayerPlan, Plan
from mlbloat.slim.compress import Method
from mlbloat.slim.layers import write_layers
from mlbloat.slim.layout import SlimImage, write_documents


def write_restored(
    image: Image, tree: FileTree, plan: Plan, slim: SlimImage, directory: Path, *, method: Method | None = None
) -> SlimImage:
    """Write the layout of the slim image with one more layer; its blobs are shared with the slim image's."""
    members = tuple(_members(tree, plan))
    if not members:
        return slim
    blobs = directory / "blobs"
    directory.mkdir(parents=True)
    blobs.symlink_to(slim.directory.absolute() / "blobs", target_is_directory=True)
    last = len(image.layers) - 1
    extra = LayerPlan(layer=last, members=members, removed=0)
    added = write_layers(image, replace(plan, layers=(extra,), rewritten={}), blobs / "sha256", method, lambda _: None)
    config = _config((slim.directory / "blobs/sha256" / slim.id.hex).read_bytes(), added[0].diff_id)
    return write_documents(image, directory, config, (*slim.layers, *added))


def _members(tree: FileTree, plan: Plan) -> Iterator[Entry]:
    """Yield what was removed or rewritten, after every directory above it: a layer says again what those are."""
    wanted = {*plan.removed, *plan.removed_directories, *plan.cut}
    above = {parent for path in wanted for parent in _parents(path)}
    first: dict[tuple[int, int], str] = {}
    for path, entry in tree.items():
        if path not in wanted and path not in above:
            continue
        member = structs.replace(entry, member=-1)
        if entry.kind is Kind.FILE and first.setdefault(entry.inode, path) != path:
            member = structs.replace(member, kind=Kind.HARDLINK, size_bytes=0, target=first[entry.inode], xattrs=())
        yield member


def _parents(path: str) -> Iterator[str]:
    while path not in ("/", ""):
        path = posixpath.dirname(path)
        yield path


def _config(document: bytes, diff_id: Digest) -> bytes:
    config = json.loads(document)
    lines = config.get("history") or []
    if sum(not line.get("empty_layer") for line in lines) == len(config["rootfs"]["diff_ids"]):
        config["history"] = [*lines, {"created_by": label.RESTORED}]
    config["rootfs"]["diff_ids"].append(diff_id)
    return json.dumps(config, separators=(",", ":")).encode()
