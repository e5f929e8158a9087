"""The docker engine as a place for images.

https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageLoad
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
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


def load(archive: Iterator[bytes], tag: str, ids: Iterable[str]) -> None:
    """Stream an archive that names no tag into the engine, and give the image, under one of its ids, the tag.

    The engine goes on with an archive that it has in full when its client is gone: were the tag in there, it would move
    after an interrupt. So the most that is left then is an image without a name, as `docker image prune` takes away.
    """
    from docker.errors import ImageNotFound
    from docker.utils import parse_repository_tag

    repository, version = parse_repository_tag(tag)
    with _client(tag, _LOAD_SECONDS) as client:
        for message in client.api.load_image(archive):
            if "error" in message:
                raise PublishError(
                    f"cannot load {tag} into docker: {_line(message['error'])}; see its log, and its disk space"
                )
        for each in ids:
            with suppress(ImageNotFound):
                client.api.tag(each, repository, version)
                return
    raise PublishError(f"cannot load {tag} into docker: it took the archive and has no such image; try again")


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
