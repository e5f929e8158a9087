"""A registry as a place for images.

Blobs that are there are not sent again; one that the original's repository there holds is taken over from it. The tag
moves last, so that a push that fails changes nothing that others see.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbloat.errors import PublishError
from mlbloat.model.digest import Digest

if TYPE_CHECKING:
    from mlbloat.registry import Reference, Registry

_THREADS = 3
_GRACE_SECONDS = 3
_BASE_NAME = "org.opencontainers.image.base.name"


def check(tag: str) -> None:
    """Raise PublishError when the registry does not answer, or does not permit to write there."""
    from mlbloat.registry import check_push

    with _open(tag) as registry:
        check_push(registry)


def push(layout: Path, descriptor: Mapping[str, Any], tag: str) -> None:
    """Send the image of a layout, and set the tag."""
    from mlbloat.registry import put_manifest

    content = _blob(layout, descriptor["digest"]).read_bytes()
    manifest = json.loads(content)
    reference = _reference(tag)
    mount_from = _neighbour(reference, str(manifest.get("annotations", {}).get(_BASE_NAME, "")))
    with _open(tag, mount_from) as registry:
        digests = [Digest(blob["digest"]) for blob in (manifest["config"], *manifest["layers"])]
        _upload_all(registry, layout, list(dict.fromkeys(digests)), mount_from)
        put_manifest(registry, reference.tag, content, str(descriptor["mediaType"]))


def _upload_all(registry: "Registry", layout: Path, digests: list[Digest], mount_from: str) -> None:
    """Send several at once; an error stops the rest."""
    from mlbloat.registry import upload

    stopped = threading.Event()

    def send(digest: Digest) -> bool:
        return upload(registry, digest, _blob(layout, digest), mount_from=mount_from, on_bytes=_until(stopped))

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="upload") as pool:
        futures = [pool.submit(send, digest) for digest in digests]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            # Ctrl-C reaches this thread only: tell the others, or leaving the pool would wait for whole layers.
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            # They take back what they began, unless the registry is silent.
            wait(futures, timeout=_GRACE_SECONDS)
            registry.transport.abort()
            raise


class _StoppedError(Exception):
    """Another thread failed; that error is the one to show."""


def _until(stopped: threading.Event) -> Callable[[int], None]:
    def on_bytes(count: int) -> None:
        if stopped.is_set():
            raise _StoppedError

    return on_bytes


@contextmanager
def _open(tag: str, mount_from: str = "") -> Iterator["Registry"]:
    from mlbloat.registry import RegistryError, open_registry

    try:
        with open_registry(_reference(tag), push=True, mount_from=mount_from) as registry:
            yield registry
    except RegistryError as error:
        raise PublishError(f"cannot push to registry:{tag}: {error}") from error


def _reference(tag: str) -> "Reference":
    from mlbloat.registry import parse_reference

    try:
        return parse_reference(tag)
    except ValueError as error:
        raise PublishError(f"cannot push to registry:{tag}: {error}; write registry:host/name:tag") from None


def _neighbour(target: "Reference", base: str) -> str:
    """Return the repository of the original, when it is another one of the same registry."""
    from mlbloat.registry import parse_reference

    try:
        reference = parse_reference(base)
    except ValueError:
        return ""
    same = reference.authority == target.authority and reference.repository != target.repository
    return reference.repository if same else ""


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/", 1)
