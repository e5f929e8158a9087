"""Podman as a place for images."""

from collections.abc import Container, Iterator
from contextlib import contextmanager

from mlbloat.errors import PublishError
from mlbloat.runtime import NoSuchImageError, ProgramError, find_podman

_ANSWER_SECONDS = 60
_LOAD_SECONDS = 3600
"""Podman is silent while it unpacks layers."""


def check(tag: str) -> None:
    """Raise PublishError when podman is not there."""
    with _errors(tag):
        find_podman(_ANSWER_SECONDS)


def load(archive: Iterator[bytes], tag: str, expected: Container[str]) -> None:
    """Stream an archive into podman, and make sure that the tag then names an image of an expected id."""
    with _errors(tag):
        podman = find_podman(_LOAD_SECONDS)
        podman.load(archive)
        held = f"sha256:{str(podman.inspect(tag).get('Id')).removeprefix('sha256:')}"
    if held not in expected:
        raise PublishError(f"cannot load {tag} into podman: it holds another image there ({held}); try again")


@contextmanager
def _errors(tag: str) -> Iterator[None]:
    try:
        yield
    except NoSuchImageError:
        raise PublishError(f"cannot load {tag} into podman: it took the image and has none of that name") from None
    except ProgramError as error:
        raise PublishError(
            f"cannot load {tag} into podman: {error}; install or start it, or write a file with oci-archive:FILE"
        ) from None
