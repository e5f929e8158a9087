"""Bring a finished image layout to where the user wants it: a file, a directory, an engine or a registry.

Nothing is visible at the destination before it is complete. Archives for docker carry both the OCI layout and docker's
own `manifest.json` (as `docker save` does since version 25), because engines before 25 read only the latter.
https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#combined-image-json--filesystem-changeset-format
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mlbloat.errors import PublishError
from mlbloat.slim import engine, podman, registry
from mlbloat.slim.destination import Destination, check_destination
from mlbloat.tarstream import archive

_CHUNK_BYTES = 1 << 20

File = tuple[str, int, Callable[[], Iterable[bytes]]]
"""Name in the archive, size, and what opens its content."""


def publish(layout: Path, destination: Destination) -> str:
    """Copy the layout to its destination and return how to name it from now on."""
    check_destination(destination)
    try:
        if destination.scheme == "registry":
            registry.push(layout, _index(layout)["manifests"][0], destination.tag)
        elif destination.scheme == "podman":
            podman.load(archive(_oci_files(layout, destination.tag)), destination.tag, _ids(layout))
        elif destination.path is None:
            engine.load(archive(_docker_files(layout, ""), mtime=_epoch()), destination.tag, _ids(layout))
        elif destination.scheme == "oci-dir":
            _copy(layout, destination.path)
        else:
            files = _docker_files if destination.scheme == "docker-archive" else _oci_files
            _write_file(destination.path, archive(files(layout, destination.tag), mtime=_epoch()))
    except OSError as error:
        raise PublishError(
            f"cannot write to {destination}: {error.strerror or error}; nothing was left there: "
            "check the space and permissions of that place"
        ) from error
    return str(destination)


def _epoch() -> int:
    """Return the time to write into archives: https://reproducible-builds.org/specs/source-date-epoch/."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    return int(text) if re.fullmatch(r"[0-9]{1,11}", text) else 0


def _write_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Write beside the name and rename, so that a failure leaves what was there before."""
    part = _part(path)
    try:
        with part.open("wb") as out:
            for chunk in chunks:
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _copy(layout: Path, path: Path) -> None:
    part = _part(path)
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        for name, _, chunks in _oci_files(layout, ""):
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            with (part / name).open("wb") as out:
                for chunk in chunks():
                    out.write(chunk)
        part.replace(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _part(path: Path) -> Path:
    return path.absolute().with_name(f".{path.name}.{os.getpid()}.part")


def _oci_files(layout: Path, tag: str) -> Iterator[File]:
    """Yield the files of an OCI archive, in a fixed order; `tag` goes where skopeo and podman look for it."""
    names = {"org.opencontainers.image.ref.name": tag} if tag else {}
    yield from _small(layout, {}, _annotated(layout, names))
    yield from _blobs(layout)


def _docker_files(layout: Path, tag: str) -> Iterator[File]:
    manifest = _manifest(layout)
    entry = {
        "Config": _blob(manifest["config"]),
        "RepoTags": [tag] if tag else None,
        "Layers": [_blob(layer) for layer in manifest["layers"]],
    }
    version = tag.rpartition(":")[2]
    names = {"io.containerd.image.name": _full(tag), "org.opencontainers.image.ref.name": version} if tag else {}
    yield from _small(layout, {"manifest.json": _json([entry])}, _annotated(layout, names))
    yield from _blobs(layout)


def _small(layout: Path, more: dict[str, bytes], index: bytes) -> Iterator[File]:
    for name, content in {"oci-layout": (layout / "oci-layout").read_bytes(), "index.json": index, **more}.items():
        yield name, len(content), partial(tuple[bytes], (content,))


def _blobs(layout: Path) -> Iterator[File]:
    manifest = _manifest(layout)
    blobs = (manifest["config"], _index(layout)["manifests"][0], *manifest["layers"])
    for name in dict.fromkeys(map(_blob, blobs)):
        path = layout / name
        yield name, path.stat().st_size, partial(_chunks, path)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk


def _annotated(layout: Path, names: dict[str, str]) -> bytes:
    index = _index(layout)
    if not names:
        return (layout / "index.json").read_bytes()
    descriptor = {**index["manifests"][0], "annotations": names}
    return _json({**index, "manifests": [descriptor]})


def _index(layout: Path) -> dict[str, Any]:
    return dict(json.loads((layout / "index.json").read_bytes()))


def _manifest(layout: Path) -> dict[str, Any]:
    return dict(json.loads((layout / _blob(_index(layout)["manifests"][0])).read_bytes()))


def _ids(layout: Path) -> tuple[str, str]:
    """What engines call the image: its configuration's digest, or with containerd's store its manifest's."""
    return str(_manifest(layout)["config"]["digest"]), str(_index(layout)["manifests"][0]["digest"])


def _blob(descriptor: dict[str, Any]) -> str:
    return "blobs/" + str(descriptor["digest"]).replace(":", "/", 1)


def _full(tag: str) -> str:
    """Write an image name in full, as containerd keeps it."""
    first, slash, _ = tag.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return tag
    return f"docker.io/{tag}" if slash else f"docker.io/library/{tag}"


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
