"""The real `docker-registry`, on the loopback address, with the ways to log in that registries have.

    with running(tmp_path, auth="basic") as registry:
        …f"registry:{registry.authority}/app:1"

https://distribution.github.io/distribution/about/configuration/
"""

import base64
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import bcrypt
import yaml

from tests.support import engines
from tests.support.ports import free_port

USER, PASSWORD = "user", "secret"


@dataclass(frozen=True)
class Distribution:
    authority: str
    directory: Path
    """Where it keeps its blobs."""

    def blob(self, digest: str) -> Path:
        algorithm, _, digits = digest.partition(":")
        return self._blobs / algorithm / digits[:2] / digits / "data"

    def blobs(self) -> frozenset[str]:
        """Digests of all that it holds: layers, configurations, manifests."""
        return frozenset(path.parent.name for path in self._blobs.glob("*/*/*/data"))

    @property
    def _blobs(self) -> Path:
        return self.directory / "docker/registry/v2/blobs"


@contextmanager
def running(directory: Path, *, auth: str = "none", tls: bool = False) -> Iterator[Distribution]:
    """Start a registry that wants nothing, a password ("basic"), or a token of the server below ("token").

    With `tls` it speaks HTTPS, and key.pem and certificate.pem are its own.
    """
    authority = f"127.0.0.1:{free_port()}"
    store = directory / "store"
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(store)}, "delete": {"enabled": True}},
        "http": {"addr": authority},
    }
    if tls or auth == "token":
        _make_certificate(directory)
    if tls:
        files = {"certificate": str(directory / "certificate.pem"), "key": str(directory / "key.pem")}
        config["http"]["tls"] = files
    with _token_server(directory) if auth == "token" else nullcontext("") as server:
        if auth == "basic":
            (directory / "htpasswd").write_bytes(
                USER.encode() + b":" + bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4))
            )
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}}
        if auth == "token":
            config["auth"] = {
                "token": {
                    "realm": f"{server}/token",
                    "service": "test",
                    "issuer": "tests",
                    "rootcertbundle": str(directory / "certificate.pem"),
                }
            }
        (directory / "config.yml").write_text(yaml.safe_dump(config))
        program = [engines.program("docker-registry"), "serve", str(directory / "config.yml")]
        with (directory / "log").open("wb") as log, subprocess.Popen(program, stdout=log, stderr=log) as process:
            try:
                _wait_for(authority, process, directory / "log")
                yield Distribution(authority, store)
            finally:
                process.terminate()


def _wait_for(authority: str, process: subprocess.Popen[bytes], log: Path) -> None:
    host, _, port = authority.partition(":")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"docker-registry does not answer: {log.read_text()[-2000:]}")


@contextmanager
def _token_server(directory: Path) -> Iterator[str]:
    """An authorization server: whoever knows the password may do what he asks for, everybody may pull from open/…"""
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
            given = self.headers.get("Authorization")
            access = [_access(scope) for scope in scopes]
            if given is None:
                access = [one for one in access if one["name"].startswith("open/") and one["actions"] == ["pull"]]
            body = json.dumps({"token": _jwt(access, key, certificate)}).encode()
            self.send_response(200 if given in (None, basic) else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if given in (None, basic) else b"." * len(body))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _make_certificate(directory: Path) -> None:
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tests", "-days", "2"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    _openssl(*request, *names, "-keyout", str(directory / "key.pem"), "-out", str(directory / "certificate.pem"))


def _access(scope: str) -> dict[str, Any]:
    kind, name, actions = scope.split(":")
    return {"type": kind, "name": name, "actions": actions.split(",")}


def _jwt(access: list[dict[str, Any]], key: Path, certificate: Path) -> str:
    """Sign a token as the registry checks it (RFC 7519, RS256, with the certificate in the header)."""
    lines = certificate.read_text().splitlines()
    now = int(time.time())
    header = {"alg": "RS256", "typ": "JWT", "x5c": ["".join(lines[1:-1])]}
    claims = {
        "iss": "tests",
        "sub": USER,
        "aud": "test",
        "exp": now + 60,
        "nbf": now - 60,
        "iat": now,
        "access": access,
    }
    text = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{_base64url(_openssl('dgst', '-sha256', '-sign', str(key), content=text.encode()))}"


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _openssl(*arguments: str, content: bytes = b"") -> bytes:
    done = subprocess.run([engines.program("openssl"), *arguments], input=content, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Wire:
    """A connection to a registry that counts what goes over it, and can be cut."""

    def __init__(self, authority: str) -> None:
        host, _, port = authority.partition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.authority = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent_bytes = 0
        self.received_bytes = 0
        self.cuts: list[int] = []
        """Close a connection after it received so many bytes, once for each number."""
        self.last_sent_byte: int | None = None
        """The whole wire is dead from then on."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            for one, other, up in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._copy, args=(one, other, up), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        received = 0
        try:
            while data := source.recv(1 << 16):
                if up:
                    self.sent_bytes += len(data)
                    if self.last_sent_byte is not None and self.sent_bytes > self.last_sent_byte:
                        self.close()
                        break
                else:
                    received += len(data)
                    self.received_bytes += len(data)
                    if self.cuts and received > self.cuts[0]:
                        self.cuts.pop(0)
                        break
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
