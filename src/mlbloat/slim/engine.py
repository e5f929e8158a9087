"""The docker engine as a place for images.

https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageLoad
"""

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Any

from mlbloat.errors import PublishError
from mlbloat.model.plain import plain
from mlbloat.runtime import ContextError, connect_docker, docker_trouble

_ANSWER_SECONDS = 60
_LOAD_SECONDS = 3600
"""The engine is silent while it unpacks layers."""


def check(tag: str) -> None:
    """Raise PublishError when no engine answers."""
    with _client(tag, _ANSWER_SECONDS) as client:
        client.ping()


def load(archive: Iterator[bytes], tag: str, expected: Container[str]) -> None:
    """Stream an archive into the engine, and make sure that the tag then names an image of an expected id.

    The engine sets the tag last, after every layer's digest was right; a broken stream leaves it where it was.
    """
    with _client(tag, _LOAD_SECONDS) as client:
        for message in client.api.load_image(archive):
            if "error" in message:
                raise PublishError(
                    f"cannot load {tag} into docker: {_line(message['error'])}; see its log, and its disk space"
                )
        held = str(client.images.get(tag).id)
    if held not in expected:
        raise PublishError(f"cannot load {tag} into docker: it holds another image there ({held}); try again")


@contextmanager
def _client(tag: str, timeout_seconds: int) -> Iterator[Any]:
    """Open a client; it has no types for what is used here."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        with connect_docker(timeout_seconds) as client:
            yield client
    except (DockerException, RequestException, ContextError) as error:
        raise PublishError(
            f"cannot load {tag} into docker: {plain(docker_trouble(error))}; start the engine and get access to it, "
            "or write a file with docker-archive:FILE"
        ) from error


def _line(error: object) -> str:
    return plain(" ".join(str(error).split())[:300])
