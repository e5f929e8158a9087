"""`docker:NAME`: an image of the docker engine, streamed out as `docker save` does and read as such an archive.

https://docs.docker.com/reference/api/engine/version/v1.43/#tag/Image/operation/ImageGet
"""

from typing import TYPE_CHECKING

from mlbloat.errors import ImageNotFoundError
from mlbloat.image import docker_archive
from mlbloat.image.store import open_archive
from mlbloat.image.stored import Question, Stored

if TYPE_CHECKING:
    from pathlib import Path

    from docker.models.images import Image

SCHEME = "docker"
_CHUNK_BYTES = 2 << 20
_TIMEOUT_SECONDS = 600
"""The engine is silent while it prepares the archive of a large image."""


def find(question: Question) -> Stored:
    import docker
    import docker.errors
    import requests

    try:
        client = docker.from_env(timeout=_TIMEOUT_SECONDS)
    except docker.errors.DockerException as error:
        raise ImageNotFoundError(
            f"cannot read {question.reference}: the docker engine does not answer ({_short(error)}); "
            "start it, set DOCKER_HOST, or give the path of a saved archive"
        ) from None
    try:
        path = _save(client.images.get(question.rest), question)
    except docker.errors.ImageNotFound:
        raise ImageNotFoundError(
            f"cannot find {question.reference}: no such image in the docker engine; docker pull {question.rest} first"
        ) from None
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise ImageNotFoundError(
            f"cannot read {question.reference}: the docker engine says {_short(error)}; check docker image ls"
        ) from None
    finally:
        client.close()
    return docker_archive.find_in(open_archive(path, question), "", question)


def _save(image: "Image", question: Question) -> "Path":
    question.workspace.mkdir(parents=True, exist_ok=True)
    path = question.workspace / f"docker-{(image.id or '').rpartition(':')[2][:64]}.tar"
    size = image.attrs.get("Size")
    question.meter.begin("saving image from docker", size if isinstance(size, int) else None)
    with path.open("wb") as out:
        for chunk in image.save(chunk_size=_CHUNK_BYTES):
            out.write(chunk)
            question.meter.add(len(chunk))
    return path


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__
