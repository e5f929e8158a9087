"""Podman: its service where a socket answers, its program otherwise.

CONTAINER_HOST names a service as it does for `podman --remote`; one that is reached over ssh is left to the program.

https://docs.podman.io/en/latest/_static/api.html
https://docs.podman.io/en/latest/markdown/podman.1.html#environment-variables
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from mlbloat.runtime import program
from mlbloat.runtime.program import ProgramError

if TYPE_CHECKING:
    from docker.api import APIClient
    from requests import Response

_API = "/v4.0.0/libpod/images"
"""The oldest that podman 4 and 5 both have."""
_CHUNK_BYTES = 2 << 20
_NOT_THERE = ("not known", "no such image", "not found", "failed to find image")


class NoSuchImageError(Exception):
    """Podman answers, and has no image of that name."""


class Podman(Protocol):
    def inspect(self, name: str) -> dict[str, Any]:
        """Return what podman knows about an image: `Id`, `Digest` and `Size`."""

    def save(self, name: str) -> Iterator[bytes]:
        """Yield an archive as `docker save` writes it: the configuration as it is, layers uncompressed."""

    def load(self, archive: Iterable[bytes]) -> None:
        """Load such an archive; its tags are set last."""


def find(timeout_seconds: int) -> Podman:
    """Return what answers; ProgramError when nothing does. What is returned raises that, too."""
    host = os.environ.get("CONTAINER_HOST", "")
    if host.startswith("ssh://"):
        return _Program(("podman", "--remote"))
    if host:
        return _asked(_Service(host, timeout_seconds))
    for path in _sockets():
        if os.access(path, os.R_OK | os.W_OK):
            try:
                return _asked(_Service(f"unix://{path}", timeout_seconds))
            except ProgramError:
                break  # left behind by a service that ended
    if program.find("podman") is None:
        raise ProgramError("podman is not installed, and no service of it answers")
    return _Program(("podman",))


def _sockets() -> tuple[str, ...]:
    if os.geteuid() == 0:
        return ("/run/podman/podman.sock",)
    return (os.path.join(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}", "podman/podman.sock"),)


def _asked(service: "_Service") -> "_Service":
    service.ping()
    return service


@dataclass(frozen=True, slots=True)
class _Program:
    words: tuple[str, ...]

    def inspect(self, name: str) -> dict[str, Any]:
        try:
            answer = program.ask((*self.words, "image", "inspect", "--", name))
        except ProgramError as error:
            if any(words in str(error) for words in _NOT_THERE):
                raise NoSuchImageError(name) from None
            raise
        return _document(answer)

    def save(self, name: str) -> Iterator[bytes]:
        return program.printed((*self.words, "save", "--quiet", "--format", "docker-archive", "--", name))

    def load(self, archive: Iterable[bytes]) -> None:
        program.fed((*self.words, "load", "--quiet"), archive)


@dataclass(frozen=True, slots=True)
class _Service:
    host: str
    timeout_seconds: int

    def ping(self) -> None:
        with self._open("GET", "/json?limit=1"):
            pass

    def inspect(self, name: str) -> dict[str, Any]:
        with self._open("GET", f"/{quote(name, safe='/:@')}/json") as answer:
            return _document(answer.content)

    def save(self, name: str) -> Iterator[bytes]:
        with self._open("GET", f"/{quote(name, safe='/:@')}/get?format=docker-archive") as answer:
            yield from answer.iter_content(_CHUNK_BYTES)

    def load(self, archive: Iterable[bytes]) -> None:
        with self._open("POST", "/load", archive):
            pass

    @contextmanager
    def _open(self, method: str, path: str, body: Iterable[bytes] | None = None) -> "Iterator[Response]":
        from docker.errors import DockerException
        from requests import RequestException

        try:
            with self._client() as client:
                url = f"{client.base_url}{_API}{path}"
                sent = client.request(method, url, data=body, stream=True, timeout=self.timeout_seconds)
                with sent as answer:
                    _check(answer)
                    yield answer
        except (DockerException, RequestException) as error:
            raise ProgramError(f"podman does not answer at {self.host} ({_line(error)})") from None

    def _client(self) -> "APIClient":
        from docker.api import APIClient

        # Naming a version keeps the client from asking for one.
        return APIClient(base_url=self.host, version="1.40", timeout=self.timeout_seconds)


def _check(answer: "Response") -> None:
    if answer.status_code == 404:
        raise NoSuchImageError
    if not answer.ok:
        raise ProgramError(f"podman says {_line(answer.text)}")


def _document(answer: bytes) -> dict[str, Any]:
    """Read what is known of one image; the program puts it into a list."""
    try:
        document = json.loads(answer)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        raise ProgramError("podman's answer is not understood; is it older than version 4?")
    return document


def _line(error: object) -> str:
    return " ".join(str(error).split())[:300]
