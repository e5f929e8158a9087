"""`docker:NAME`: an image of the docker engine.

Read in the engine's own storage where that may be (`overlay2.py`); otherwise streamed out as `docker save` does and
read as such an archive.

https://docs.docker.com/reference/api/engine/version/v1.43/#tag/Image/operation/ImageGet
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlbloat.image import docker_archive, overlay2
from mlbloat.image.overlay2 import NotInPlaceError
from mlbloat.image.spool import spool
from mlbloat.image.store import open_archive
from mlbloat.image.stored import AbsentError, Question, Stored
from mlbloat.model.plain import plain
from mlbloat.runtime import ContextError, connect_docker, docker_trouble

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

SCHEME = "docker"
_CHUNK_BYTES = 2 << 20
_TIMEOUT_SECONDS = 600
"""The engine is silent while it prepares the archive of a large image."""


def find(question: Question) -> Stored:
    import docker.errors
    import requests

    try:
        with connect_docker(_TIMEOUT_SECONDS) as client:
            try:
                return _find(client, question)
            except docker.errors.ImageNotFound:
                raise AbsentError("no such image in the docker engine", f"docker pull {question.rest} first") from None
            except (docker.errors.DockerException, requests.RequestException) as error:
                raise AbsentError(f"the docker engine says {_short(error)}", "check docker image ls") from None
    except (docker.errors.DockerException, ContextError) as error:
        raise AbsentError(
            f"the docker engine does not answer ({plain(docker_trouble(error))})",
            "start it, set DOCKER_HOST, or give the path of a saved archive",
        ) from None


def _find(client: "DockerClient", question: Question) -> Stored:
    image = client.images.get(question.rest)
    try:
        stored = overlay2.find(_storage(client), str(image.id), question)
    except NotInPlaceError as error:
        question.say(f"{question.reference} is exported by the docker engine, not read in place: {error}")
        path = _save(image, question)
        return docker_archive.find_in(open_archive(path, question), "", question)
    question.say(f"{question.reference} is read in place, in docker's storage")
    return stored


def _storage(client: "DockerClient") -> Path:
    """Return docker's root directory if its layers can be read there."""
    info: dict[str, Any] = client.info()
    if not client.api.base_url.startswith("http+docker://localhost"):
        raise NotInPlaceError("the engine is not on this machine")
    if info.get("Driver") != "overlay2":
        raise NotInPlaceError(f"its storage driver is {str(info.get('Driver'))[:40]}, not overlay2")
    status = {str(row[0]): str(row[1]) for row in info.get("DriverStatus") or () if len(row) == 2}
    if status.get("Native Overlay Diff") != "true":
        raise NotInPlaceError("its overlay directories refer to each other")
    root = Path(str(info.get("DockerRootDir") or ""))
    if not root.is_absolute() or not root.is_dir():
        raise NotInPlaceError(f"{root} is not there")
    return root


def _save(image: "Image", question: Question) -> Path:
    size = image.attrs.get("Size")
    chunks = image.save(chunk_size=_CHUNK_BYTES)
    return spool(chunks, "docker", size if isinstance(size, int) else None, question)


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__
