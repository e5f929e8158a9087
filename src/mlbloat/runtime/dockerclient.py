"""A client of the docker engine that the user's own `docker` would talk to.

DOCKER_HOST, or the context: DOCKER_CONTEXT, then `currentContext` of the configuration file.

https://docs.docker.com/engine/manage-resources/contexts/
https://github.com/docker/cli/tree/v27.5.1/cli/context/store
"""

import hashlib
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docker import DockerClient

DEFAULT_HOST = "unix:///var/run/docker.sock"
_ANSWER_SECONDS = 60
_MAX_DOCUMENT_BYTES = 8 << 20
_SYSTEM_WORDS = re.compile(r"(?:\[Errno -?\d+\] |Error\(\d+, ')([^\"')\\]+)")
"""As Python prints an OSError, alone or in another error."""


class ContextError(Exception):
    """Why the engine that is asked for cannot be known; one line, with what to do."""


@contextmanager
def connect(timeout_seconds: int) -> "Iterator[DockerClient]":
    """Open a client, and close it; errors are docker's own and ContextError."""
    from docker import DockerClient

    settings = environment(os.environ)
    over_ssh = settings["DOCKER_HOST"].startswith("ssh://")
    with closing(
        DockerClient.from_env(timeout=timeout_seconds, environment=dict(settings), use_ssh_client=over_ssh)
    ) as client:
        yield client


def trouble(error: object) -> str:
    """Say in a line why an engine did not answer: its address and the system's word, of all that the client tells."""
    text = " ".join(str(error).split())
    words = _SYSTEM_WORDS.search(text)
    if words is None or isinstance(error, ContextError):
        return text[:300]
    return f"{environment(os.environ).get('DOCKER_HOST', DEFAULT_HOST)[:200]}: {words[1]}"


def version_at(path: str) -> str:
    """Ask the engine at a socket which it is; OSError and ValueError when it does not answer."""
    document = _answer(path, "/version")
    return f"daemon {document['Version']}, API {document['ApiVersion']}"


def storage_at(path: str) -> str:
    """Ask the engine at a socket for the directory that its containers write to."""
    return str(_answer(path, "/info")["DockerRootDir"])


def _answer(path: str, question: str) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(path)
        connection.sendall(f"GET {question} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        answer = b""
        while chunk := connection.recv(1 << 16):
            answer += chunk
    document: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return document


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH as the context has them, if one is used."""
    if variables.get("DOCKER_HOST"):
        names = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
        return {name: variables[name] for name in names if variables.get(name)}
    directory = Path(variables.get("DOCKER_CONFIG") or Path(variables.get("HOME") or "/", ".docker"))
    name = variables.get("DOCKER_CONTEXT") or _current(directory / "config.json")
    if name == "default":
        return {"DOCKER_HOST": DEFAULT_HOST}
    return _context(directory / "contexts", name)


def _current(file: Path) -> str:
    try:
        name = _document(file).get("currentContext")
    except FileNotFoundError:
        return "default"
    return name if isinstance(name, str) and name else "default"


def _context(directory: Path, name: str) -> dict[str, str]:
    number = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    file = directory / "meta" / number / "meta.json"
    try:
        endpoints = _document(file).get("Endpoints")
    except FileNotFoundError:
        raise ContextError(f"there is no docker context {name[:100]!r} (docker context ls)") from None
    endpoint = endpoints.get("docker") if isinstance(endpoints, dict) else None
    if not isinstance(endpoint, dict):
        raise ContextError(f"the docker context {name[:100]!r} names no docker engine")
    host = endpoint.get("Host")
    settings = {"DOCKER_HOST": host if isinstance(host, str) and host else DEFAULT_HOST}
    certificates = directory / "tls" / number / "docker"
    if certificates.is_dir():
        settings["DOCKER_CERT_PATH"] = str(certificates)
        settings["DOCKER_TLS_VERIFY"] = "" if endpoint.get("SkipTLSVerify") else "1"
    return settings


def _document(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            document = json.loads(stream.read(_MAX_DOCUMENT_BYTES))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise ContextError(f"{file} cannot be read ({error})") from None
    if not isinstance(document, dict):
        raise ContextError(f"{file} is no JSON object")
    return document
