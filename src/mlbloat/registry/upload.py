"""Blobs and a manifest into a repository: what is there is not sent again, and the tag moves last.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#push
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

from mlbloat.model.digest import Digest
from mlbloat.registry.client import Registry
from mlbloat.registry.problem import RegistryError
from mlbloat.registry.transport import LostError

_ATTEMPTS = 4
_FIRST_WAIT_SECONDS = 0.5
_TEMPORARY = (404, 408, 416, 429, 500, 502, 503, 504)
"""404 and 416: the registry forgot the upload, as one with several machines may."""


def check_push(registry: Registry) -> None:
    """Find out whether this repository may be written to: begin an upload and give it up."""
    _cancel(registry, _begin(registry, ""))


def upload(
    registry: Registry, digest: Digest, path: Path, *, mount_from: str = "", on_bytes: Callable[[int], None]
) -> bool:
    """Send a blob unless the registry has it; False when nothing had to be sent.

    `mount_from` is another repository there that may have it. `on_bytes` hears of every piece that is sent.
    """
    with registry.send("HEAD", registry.url(f"blobs/{digest}")) as answer:
        if answer.status == 200:
            return False
    for attempt in range(1, _ATTEMPTS + 1):
        query = f"?mount={quote(digest)}&from={quote(mount_from, safe='')}" if mount_from else ""
        place = _begin(registry, query)
        if not place:
            return False
        try:
            _put(registry, place, digest, path, on_bytes)
        except LostError:
            _cancel(registry, place)
            if attempt == _ATTEMPTS:
                raise
            registry.transport.wait(_FIRST_WAIT_SECONDS * 2 ** (attempt - 1))
        except BaseException:
            _cancel(registry, place)
            raise
        else:
            return True
    raise AssertionError("there is at least one attempt")


def put_manifest(registry: Registry, tag: str, content: bytes, media_type: str) -> None:
    """Set a tag: the one step that others see."""
    url = registry.url(f"manifests/{tag}")
    with registry.send("PUT", url, headers={"Content-Type": media_type}, body=content) as answer:
        registry.expect(answer, 200, 201, 202)
        held = answer.header("Docker-Content-Digest")
    if held and held != Digest.of(content):
        raise RegistryError(f"{registry.name} holds another manifest there ({held[:80]}); push again")


def _begin(registry: Registry, query: str) -> str:
    """Begin an upload and return where it goes; empty when the blob was taken over from another repository."""
    with registry.send("POST", registry.url(f"blobs/uploads/{query}"), headers={"Content-Length": "0"}) as answer:
        if query and answer.status == 201:
            return ""
        registry.expect(answer, 202)
        return registry.transport.checked(answer.url, answer.header("Location"))


def _put(registry: Registry, place: str, digest: Digest, path: Path, on_bytes: Callable[[int], None]) -> None:
    url = f"{place}{'&' if urlsplit(place).query else '?'}digest={quote(digest, safe='')}"
    headers = {"Content-Type": "application/octet-stream"}
    with registry.send("PUT", url, headers=headers, body=lambda: _Reading(path, on_bytes), attempts=1) as answer:
        if answer.status in _TEMPORARY:
            raise LostError(f"{registry.name} answers {answer.status} to an upload; try again later")
        registry.expect(answer, 201)


def _cancel(registry: Registry, place: str) -> None:
    """Let the registry forget an upload; one that cannot does so by itself after some days."""
    with suppress(RegistryError), registry.send("DELETE", place, attempts=1):
        pass


class _Reading:
    """A file being sent; `on_bytes` hears of every piece before it goes, and may raise."""

    def __init__(self, path: Path, on_bytes: Callable[[int], None]) -> None:
        self._size_bytes = path.stat().st_size
        self._file = path.open("rb")
        self._on_bytes = on_bytes

    def __len__(self) -> int:
        return self._size_bytes

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._file.read(size)
        self._on_bytes(len(chunk))
        return chunk

    def close(self) -> None:
        self._file.close()
