"""Tiny real images, written from plain data: layer tars, OCI layouts and archives, `docker save` archives.

A layer is a mapping (or a sequence of pairs, where a name comes twice) from path to value, in the order of the tar:

    layer_tar({"/bin/sh": b"\\x7fELF...", "/bin/bash": Link("sh"), "/etc": None, "/tmp/gone": WHITEOUT, "/var": OPAQUE})

Bytes or text is a file, `None` a directory, `Link` a symbolic link, `Hard` a hard link, `WHITEOUT` deletes the path
from the layers below, `OPAQUE` hides what they have in that directory. `Member` adds modes, owners and the like.
Nothing is added: a parent directory that is not in the mapping is not in the tar.
"""

import gzip
import hashlib
import io
import json
import posixpath
import sys
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from tests.support.trees import Hard, Link

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Compression = Literal["gzip", "zstd", "none"]


class Mark(Enum):
    WHITEOUT = "whiteout"
    OPAQUE = "opaque"


WHITEOUT = Mark.WHITEOUT
OPAQUE = Mark.OPAQUE


@dataclass(frozen=True, slots=True)
class Device:
    major: int
    minor: int
    block: bool = False


class Fifo:
    """Marks a value as a named pipe."""


Content = bytes | str | Link | Hard | Device | Fifo | Mark | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A value with its own header fields; None means the usual mode of its kind."""

    value: Content
    mode: int | None = None
    uid: int = 0
    gid: int = 0
    mtime: float = 0.0
    xattrs: Mapping[str, bytes] | None = None


Value = Content | Member
Members = Mapping[str, Value] | Sequence[tuple[str, Value]]


def layer_tar(members: Members, *, tar_format: int = tarfile.PAX_FORMAT, prefix: str = "") -> bytes:
    """Write one layer, uncompressed; `prefix` may be "./" for names as `tar -C DIR .` writes them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tar_format, errors="surrogateescape") as tar:
        for path, value in members.items() if isinstance(members, Mapping) else members:
            header, content = _member(path, value if isinstance(value, Member) else Member(value=value))
            header.name = prefix + header.name
            tar.addfile(header, io.BytesIO(content))
    return out.getvalue()


def _member(path: str, member: Member) -> tuple[tarfile.TarInfo, bytes]:
    value, content, mode = member.value, b"", 0o644
    header = tarfile.TarInfo(path.lstrip("/"))
    if value is Mark.WHITEOUT:
        header.name = posixpath.join(posixpath.dirname(path), ".wh." + posixpath.basename(path)).lstrip("/")
    elif value is Mark.OPAQUE:
        header.name = posixpath.join(path, ".wh..wh..opq").lstrip("/")
    elif value is None:
        header.type, mode = tarfile.DIRTYPE, 0o755
    elif isinstance(value, Link):
        header.type, header.linkname, mode = tarfile.SYMTYPE, str(value), 0o777
    elif isinstance(value, Hard):
        header.type, header.linkname = tarfile.LNKTYPE, value.lstrip("/")
    elif isinstance(value, Device):
        header.type = tarfile.BLKTYPE if value.block else tarfile.CHRTYPE
        header.devmajor, header.devminor = value.major, value.minor
    elif isinstance(value, Fifo):
        header.type = tarfile.FIFOTYPE
    elif isinstance(value, bytes | str):
        content = value.encode() if isinstance(value, str) else value
        mode = 0o755 if content.startswith((b"#!", b"\x7fELF")) else 0o644
    header.size = len(content)
    header.mode = mode if member.mode is None else member.mode
    header.uid, header.gid = member.uid, member.gid
    header.mtime = int(member.mtime) if member.mtime == int(member.mtime) else member.mtime
    header.pax_headers = {
        "SCHILY.xattr." + name: data.decode("utf-8", "surrogateescape") for name, data in (member.xattrs or {}).items()
    }
    return header, content


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def compressed(content: bytes, compression: Compression) -> bytes:
    if compression == "gzip":
        return gzip.compress(content, compresslevel=1, mtime=0)
    if compression == "zstd":
        return zstd.compress(content)
    return content


def config_document(
    layers: Iterable[bytes], config: Mapping[str, object] | None = None, extra: Mapping[str, object] | None = None
) -> bytes:
    """Write an image configuration; `config` is its "config" object, `extra` replaces fields at the top."""
    diff_ids = [sha256(layer) for layer in layers]
    document: dict[str, object] = {
        "architecture": "amd64",
        "os": "linux",
        "config": dict(config or {}),
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created_by": f"layer {number}"} for number in range(len(diff_ids))],
    }
    return json.dumps(document | dict(extra or {})).encode()


def _layers(layers: Sequence[Members | bytes]) -> list[bytes]:
    return [layer if isinstance(layer, bytes) else layer_tar(layer) for layer in layers]


_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


def descriptor(media_type: str, content: bytes, **more: object) -> dict[str, object]:
    return {"mediaType": media_type, "digest": sha256(content), "size": len(content), **more}


def blob_name(content: bytes) -> str:
    return "blobs/" + sha256(content).replace(":", "/")


def oci_manifest(
    layers: Sequence[Members | bytes],
    *,
    config: Mapping[str, object] | None = None,
    extra: Mapping[str, object] | None = None,
    compression: Compression = "gzip",
) -> tuple[bytes, dict[str, bytes]]:
    """Return a manifest and every file of a layout that belongs to it, the manifest's own blob included."""
    tars = _layers(layers)
    stored = [compressed(tar, compression) for tar in tars]
    suffix = "" if compression == "none" else f"+{compression}"
    document = config_document(tars, config, extra)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST_TYPE,
            "config": descriptor(_CONFIG_TYPE, document),
            "layers": [descriptor(_LAYER_TYPE + suffix, blob) for blob in stored],
        }
    ).encode()
    return manifest, {blob_name(content): content for content in (document, *stored, manifest)}


def oci_files(
    layers: Sequence[Members | bytes],
    *,
    config: Mapping[str, object] | None = None,
    extra: Mapping[str, object] | None = None,
    compression: Compression = "gzip",
    tag: str | None = "latest",
) -> dict[str, bytes]:
    """Return the files of an OCI layout that holds one image, for tests that break one of them."""
    manifest, files = oci_manifest(layers, config=config, extra=extra, compression=compression)
    annotations = {"annotations": {"org.opencontainers.image.ref.name": tag}} if tag else {}
    return oci_layout([descriptor(_MANIFEST_TYPE, manifest, **annotations)]) | files


def oci_layout(manifests: Sequence[Mapping[str, object]]) -> dict[str, bytes]:
    """Return `oci-layout` and an `index.json` with these descriptors."""
    index = {"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": list(manifests)}
    return {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode()}


def oci_archive(
    path: Path,
    layers: Sequence[Members | bytes],
    *,
    config: Mapping[str, object] | None = None,
    extra: Mapping[str, object] | None = None,
    compression: Compression = "gzip",
    tag: str | None = "latest",
) -> Path:
    return write_archive(path, oci_files(layers, config=config, extra=extra, compression=compression, tag=tag))


def oci_dir(
    path: Path,
    layers: Sequence[Members | bytes],
    *,
    config: Mapping[str, object] | None = None,
    extra: Mapping[str, object] | None = None,
    compression: Compression = "gzip",
    tag: str | None = "latest",
) -> Path:
    return write_dir(path, oci_files(layers, config=config, extra=extra, compression=compression, tag=tag))


def docker_files(
    layers: Sequence[Members | bytes],
    *,
    config: Mapping[str, object] | None = None,
    extra: Mapping[str, object] | None = None,
    tag: str | None = "test:latest",
    style: Literal["old", "new"] = "new",
) -> dict[str, bytes | Link]:
    """Return the files of a `docker save` archive: before version 25 (old), or with an OCI layout beside it (new)."""
    tars = _layers(layers)
    document = config_document(tars, config, extra)
    files: dict[str, bytes | Link] = {}
    if style == "new":
        files |= oci_files(tars, config=config, extra=extra, compression="none", tag=tag)
        config_name, layer_names = blob_name(document), [blob_name(tar) for tar in tars]
    else:
        config_name = sha256(document).removeprefix("sha256:") + ".json"
        layer_names = _old_layers(tars, files)
        files[config_name] = document
    tags = [tag] if tag else None
    files["manifest.json"] = json.dumps([{"Config": config_name, "RepoTags": tags, "Layers": layer_names}]).encode()
    if tag:
        name, _, version = tag.rpartition(":")
        files["repositories"] = json.dumps({name: {version: "0" * 64}}).encode()
    return files


def _old_layers(tars: Sequence[bytes], files: dict[str, bytes | Link]) -> list[str]:
    """Add `<id>/layer.tar` and its neighbours; a layer that comes twice is a symbolic link, as docker writes it."""
    names: list[str] = []
    for number, tar in enumerate(tars):
        identity = hashlib.sha256(b"%d" % number).hexdigest()
        files[f"{identity}/VERSION"] = b"1.0"
        files[f"{identity}/json"] = json.dumps({"id": identity}).encode()
        first = tars.index(tar)
        files[f"{identity}/layer.tar"] = tar if first == number else Link("../" + names[first])
        names.append(f"{identity}/layer.tar")
    return names


def docker_archive(
    path: Path,
    layers: Sequence[Members | bytes],
    *,
    config: Mapping[str, object] | None = None,
    extra: Mapping[str, object] | None = None,
    tag: str | None = "test:latest",
    style: Literal["old", "new"] = "new",
) -> Path:
    return write_archive(path, docker_files(layers, config=config, extra=extra, tag=tag, style=style))


def write_archive(path: Path, files: Mapping[str, bytes | Link]) -> Path:
    """Write the outer tar of an archive."""
    path.write_bytes(layer_tar(files))
    return path


def write_dir(path: Path, files: Mapping[str, bytes | Link]) -> Path:
    """Write the files of a layout into a directory."""
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Link):
            (path / name).symlink_to(content)
        else:
            (path / name).write_bytes(content)
    return path


def extract(content: bytes, directory: Path) -> None:
    """Unpack a tar with the standard library: the oracle of our own reading."""
    # Python before 3.11.4 has no filters, and later ones want one to be named.
    options: dict[str, Any] = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        tar.extractall(directory, **options)
