"""Names of images in registries.

https://github.com/distribution/reference/blob/v0.6.0/reference.go
"""

import ipaddress
import re
from dataclasses import dataclass

from mlbloat.model.digest import Digest

DOCKER_HUB = "docker.io"
_DOCKER_HUB_HOST = "registry-1.docker.io"
_DOCKER_HUB_NAMES = (DOCKER_HUB, "index.docker.io", _DOCKER_HUB_HOST)

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_MAX_NAME = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    authority: str
    """`host` or `host:port`; `docker.io` where none is written."""
    repository: str
    tag: str
    """Empty when a digest names the image."""
    digest: Digest | None = None

    @property
    def selector(self) -> str:
        """The last part of the manifest's address."""
        return str(self.digest) if self.digest else self.tag

    def __str__(self) -> str:
        return f"{self.authority}/{self.repository}" + (f"@{self.digest}" if self.digest else f":{self.tag}")


def parse_reference(text: str) -> Reference:
    """Read `[host[:port]/]name[:tag][@digest]`; a digest wins over a tag. ValueError says what is wrong with it."""
    named, at, digest_text = text.partition("@")
    digest = Digest(digest_text) if at else None
    authority, path = _split_authority(named)
    repository, colon, tag = path.partition(":")
    if authority == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    if not _REPOSITORY.fullmatch(repository) or len(authority) + 1 + len(repository) > _MAX_NAME:
        raise ValueError(f"{repository[:80]!r} is no name of a repository, which is in lower case")
    if not _AUTHORITY.fullmatch(authority):
        raise ValueError(f"{authority[:80]!r} is no host")
    if colon and not _TAG.fullmatch(tag):
        raise ValueError(f"{tag[:80]!r} is no tag")
    return Reference(authority=authority, repository=repository, tag="" if digest else tag or "latest", digest=digest)


def canonical_authority(authority: str) -> str:
    """Return the one name of a registry that is known by several."""
    lower = authority.lower()
    return DOCKER_HUB if lower in _DOCKER_HUB_NAMES else lower


def api_authority(authority: str) -> str:
    """Return where the registry of that name answers."""
    return _DOCKER_HUB_HOST if authority == DOCKER_HUB else authority


def is_loopback(authority: str) -> bool:
    """Tell whether a host is this machine, by its name alone: nothing is looked up."""
    host = re.sub(r":[0-9]+$", "", authority)
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _split_authority(named: str) -> tuple[str, str]:
    """The first part is a host when it could not be a part of a name: it has a dot or a port, or is localhost."""
    first, slash, rest = named.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        return canonical_authority(first), rest
    return DOCKER_HUB, named
