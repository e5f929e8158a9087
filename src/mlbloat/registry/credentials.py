"""Credentials as users of docker and podman keep them; never on the command line.

The first that fits wins: MLBLOAT_REGISTRY_AUTH_… for the registry it names, the file of REGISTRY_AUTH_FILE, docker's
config.json with its credential helpers, podman's auth.json. A file or helper that does not work is passed over and
remembered: a public image needs neither, and when the registry wants a password the remark says why there is none.

https://docs.docker.com/reference/cli/docker/login/#credential-stores
https://github.com/containers/image/blob/v5.34.0/docs/containers-auth.json.5.md
"""

import base64
import binascii
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from mlbloat.errors import UsageError
from mlbloat.registry.reference import DOCKER_HUB, Reference, canonical_authority

_PREFIX = "MLBLOAT_REGISTRY_AUTH_"
_DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_MAX_FILE_BYTES = 4 << 20
_IDENTITY_TOKEN = "<token>"
"""The user name under which helpers keep an identity token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    """Exchanged for tokens at the registry's token server."""
    registry_token: str = field(default="", repr=False)
    """Sent as it is."""
    origin: str = ""
    """Where it was found, for errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    credential: Credential | None
    remarks: tuple[str, ...] = ()
    """Files and helpers that could not be asked."""


class _Entry(msgspec.Struct, frozen=True):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


class _File(msgspec.Struct, frozen=True, rename="camel"):
    auths: dict[str, _Entry] | None = None
    cred_helpers: dict[str, str] | None = None
    creds_store: str | None = None


def find_credential(reference: Reference, environment: Mapping[str, str]) -> Found:
    """Look in every place, in the order of this module's docstring."""
    own = _from_environment(reference.authority, environment)
    if own is not None:
        return Found(credential=own)
    remarks: list[str] = []
    for path in _files(environment):
        found = _from_file(path, reference, remarks)
        if found is not None:
            return Found(credential=found, remarks=tuple(remarks))
    return Found(credential=None, remarks=tuple(remarks))


def _from_environment(authority: str, environment: Mapping[str, str]) -> Credential | None:
    """Take the variables for the registry they name: a password never goes to another one."""
    values = {name: environment.get(_PREFIX + name, "") for name in ("AUTHORITY", "USERNAME", "PASSWORD", "TOKEN")}
    if not any(values.values()):
        return None
    if not values["AUTHORITY"]:
        raise UsageError(f"cannot use {_PREFIX}…: {_PREFIX}AUTHORITY is missing; set it to the registry they are for")
    if canonical_authority(values["AUTHORITY"]) != authority:
        return None
    if not values["TOKEN"] and not (values["USERNAME"] and values["PASSWORD"]):
        raise UsageError(f"cannot use {_PREFIX}…: set {_PREFIX}USERNAME and {_PREFIX}PASSWORD, or {_PREFIX}TOKEN")
    return Credential(
        username=values["USERNAME"],
        password=values["PASSWORD"],
        registry_token=values["TOKEN"],
        origin=f"{_PREFIX}TOKEN" if values["TOKEN"] else f"{_PREFIX}USERNAME",
    )


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environment.get("HOME") or Path.home())
    if environment.get("REGISTRY_AUTH_FILE"):
        yield Path(environment["REGISTRY_AUTH_FILE"])
    yield Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    if environment.get("XDG_RUNTIME_DIR"):
        yield Path(environment["XDG_RUNTIME_DIR"]) / "containers" / "auth.json"
    yield Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json"


def _from_file(path: Path, reference: Reference, remarks: list[str]) -> Credential | None:
    try:
        content = _read(path)
        if content is None:
            return None
        file = msgspec.json.decode(content, type=_File)
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        remarks.append(f"{path} is not usable: {getattr(error, 'strerror', None) or error}")
        return None
    helpers = {_key(name): program for name, program in (file.cred_helpers or {}).items()}
    programs = (helpers.get(reference.authority, ""), file.creds_store or "")
    for program in dict.fromkeys(filter(None, programs)):
        found = _from_helper(program, reference.authority, remarks)
        if found is not None:
            return found
    entries = {_key(name): entry for name, entry in (file.auths or {}).items()}
    for name in _names(reference):
        if name in entries and (credential := _from_entry(entries[name], str(path), remarks)):
            return credential
    return None


def _read(path: Path) -> bytes | None:
    """Read a file of bounded size; None when there is none, or nothing in it (as in /dev/null)."""
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(content) > _MAX_FILE_BYTES:
        raise OSError(0, f"larger than {_MAX_FILE_BYTES} bytes")
    return content or None


def _key(name: str) -> str:
    """Return a name in a file as a registry, or a registry and a part of its repositories.

    docker writes some with a scheme and a version.
    """
    bare = name.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, slash, path = bare.removesuffix("/v1").removesuffix("/v2").partition("/")
    return canonical_authority(host) + slash + path


def _names(reference: Reference) -> Iterator[str]:
    """Yield what an entry may be for, the closest first: the repository, what it is in, the registry."""
    parts = reference.repository.split("/")
    for count in range(len(parts), 0, -1):
        yield "/".join((reference.authority, *parts[:count]))
    yield reference.authority


def _from_entry(entry: _Entry, origin: str, remarks: list[str]) -> Credential | None:
    username, password = entry.username, entry.password
    if entry.auth:
        try:
            # docker has written NUL bytes at the end.
            decoded = base64.b64decode(entry.auth, validate=True).decode().rstrip("\0")
        except (binascii.Error, UnicodeError):
            remarks.append(f"{origin} has an entry that is no base64")
            return None
        username, _, password = decoded.partition(":")
    if not (username or entry.identitytoken or entry.registrytoken):
        return None  # what docker leaves when a store has the password
    return Credential(
        username=username,
        password=password,
        identity_token=entry.identitytoken,
        registry_token=entry.registrytoken,
        origin=origin,
    )


def _from_helper(program: str, authority: str, remarks: list[str]) -> Credential | None:
    """Ask `docker-credential-PROGRAM`, through docker's library."""
    from docker.credentials.constants import PROGRAM_PREFIX
    from docker.credentials.errors import CredentialsNotFound, StoreError
    from docker.credentials.store import Store

    name = f"{PROGRAM_PREFIX}{program}"
    if shutil.which(name) is None:
        remarks.append(f"{name} is not installed")
        return None
    try:
        store: Any = Store(program)
        answer = store.get(_DOCKER_HUB_KEY if authority == DOCKER_HUB else authority)
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except CredentialsNotFound:
        return None
    except (StoreError, ValueError, KeyError, TypeError) as error:
        remarks.append(f"{name} failed: {' '.join(str(error).split())[:200]}")
        return None
    if username == _IDENTITY_TOKEN:
        return Credential(identity_token=secret, origin=name)
    return Credential(username=username, password=secret, origin=name)
