"""Certificates for single registries, where docker and podman look for them.

https://docs.docker.com/engine/security/certificates/
https://github.com/containers/image/blob/v5.34.0/docs/containers-certs.d.5.md
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_SYSTEM = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    authority: str | None = None
    """File of the certificate authority; None: those that the system trusts."""
    client: tuple[str, str] | None = None
    """Files of our own certificate and its key."""


def find_certificates(
    authority: str, environment: Mapping[str, str], system: tuple[Path, ...] = _SYSTEM
) -> Certificates:
    """Return those of the first directory that is named like the registry and has some."""
    home = Path(environment.get("HOME") or Path.home())
    own = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    for base in (own / "containers/certs.d", own / "docker/certs.d", *system):
        found = _in_directory(base / authority)
        if found != Certificates():
            return found
    return Certificates()


def _in_directory(directory: Path) -> Certificates:
    try:
        names = sorted(directory.iterdir())
    except OSError:
        return Certificates()
    authority = next((str(path) for path in names if path.suffix == ".crt"), None)
    pairs = ((path, path.with_suffix(".key")) for path in names if path.suffix == ".cert")
    client = next(((str(path), str(key)) for path, key in pairs if key.is_file()), None)
    return Certificates(authority=authority, client=client)
