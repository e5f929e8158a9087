"""`podman:NAME`: an image of podman, streamed out as an archive of docker's kind.

Podman keeps the configuration as it is in such an archive, whatever the kind of image, and layers uncompressed.
"""

from typing import Any

from mlbloat.image import docker_archive
from mlbloat.image.spool import spool
from mlbloat.image.store import open_archive
from mlbloat.image.stored import AbsentError, Question, Stored
from mlbloat.model.digest import Digest
from mlbloat.runtime import NoSuchImageError, Podman, ProgramError, find_podman

SCHEME = "podman"
_TIMEOUT_SECONDS = 600
"""The service is silent while it prepares the archive of a large image."""


def find(question: Question) -> Stored:
    try:
        podman = find_podman(_TIMEOUT_SECONDS)
        return _find(podman, question)
    except NoSuchImageError:
        raise AbsentError("no such image in podman", f"podman pull {question.rest} first") from None
    except ProgramError as error:
        raise AbsentError(str(error), "install or start it, or give the path of a saved archive") from None


def _find(podman: Podman, question: Question) -> Stored:
    about = podman.inspect(question.rest)
    size = about.get("Size")
    path = spool(podman.save(question.rest), SCHEME, size if isinstance(size, int) else None, question)
    stored = docker_archive.find_in(open_archive(path, question), "", question)
    return Stored(config=stored.config, layers=stored.layers, digest=_digest(about))


def _digest(about: dict[str, Any]) -> Digest | None:
    try:
        return Digest(str(about.get("Digest")))
    except ValueError:
        return None
