"""Docker's own storage with the overlay2 driver, made from layer tars: what a daemon would have below its root.

`split` is tar-split: the tar without the content of its files. Tests of real engines hold it against a real daemon's.
"""

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support import images
from tests.support.images import Members


def split(tar: bytes) -> list[dict[str, object]]:
    """Return the lines of tar-split for a tar without sparse files."""
    lines: list[dict[str, object]] = []
    position = 0
    with tarfile.open(fileobj=io.BytesIO(tar), errors="surrogateescape") as archive:
        for member in archive:
            lines.append(_segment(tar[position : member.offset_data]))
            size = member.size if member.isreg() else 0
            position = member.offset_data + size
            lines.append(_file(member.name, tar[member.offset_data : position]))
    return [*lines, _segment(tar[position:])]


def _segment(content: bytes) -> dict[str, object]:
    return {"type": 2, "payload": base64.b64encode(content).decode()}


def _file(name: str, content: bytes) -> dict[str, object]:
    raw = os.fsencode(name)
    try:
        named: dict[str, object] = {"name": raw.decode()}
    except UnicodeDecodeError:
        named = {"name_raw": base64.b64encode(raw).decode()}
    # The checksum is not looked at: a real one is CRC-64.
    payload = base64.b64encode(bytes(8)).decode() if content else None
    return {"type": 1, **named, **({"size": len(content)} if content else {}), "payload": payload}


def write_split(path: Path, lines: Sequence[Mapping[str, object]]) -> Path:
    numbered = (json.dumps({**line, "position": number}) for number, line in enumerate(lines))
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in numbered).encode(), mtime=0))
    return path


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md#layer-chainid"""
    chain = [diff_ids[0]] if diff_ids else []
    for diff_id in diff_ids[1:]:
        chain.append("sha256:" + hashlib.sha256(f"{chain[-1]} {diff_id}".encode()).hexdigest())
    return chain


def docker_dir(
    root: Path, layers: Sequence[Members | bytes], *, config: Mapping[str, object] | None = None
) -> tuple[Path, str]:
    """Write docker's root directory with one image; return it and the image's ID."""
    tars = [layer if isinstance(layer, bytes) else images.layer_tar(layer) for layer in layers]
    document = images.config_document(tars, config)
    image_id = images.sha256(document)
    store = root / "image/overlay2"
    content = store / "imagedb/content" / image_id.replace(":", "/")
    content.parent.mkdir(parents=True)
    content.write_bytes(document)
    diff_ids = [images.sha256(tar) for tar in tars]
    for number, chain in enumerate(chain_ids(diff_ids)):
        entry = store / "layerdb" / chain.replace(":", "/")
        entry.mkdir(parents=True)
        (entry / "diff").write_text(diff_ids[number])
        (entry / "cache-id").write_text(f"cache{number}")
        write_split(entry / "tar-split.json.gz", split(tars[number]))
        diff = root / "overlay2" / f"cache{number}" / "diff"
        diff.mkdir(parents=True)
        unpack(tars[number], diff)
    return root, image_id


def unpack(tar: bytes, directory: Path) -> None:
    """Write what contents are read from: files, links and directories, never through a link that leads out."""
    with tarfile.open(fileobj=io.BytesIO(tar), errors="surrogateescape") as archive:
        for member in archive:
            path = directory / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            if member.isdir():
                path.mkdir(exist_ok=True)
            elif member.issym():
                path.symlink_to(member.linkname)
            elif member.islnk():
                path.hardlink_to(directory / member.linkname)
            elif member.isreg():
                stream = archive.extractfile(member)
                path.write_bytes(stream.read() if stream else b"")
