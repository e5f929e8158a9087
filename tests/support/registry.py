"""A small registry in this process, with the faults of real ones.

    with FakeRegistry() as registry:
        registry.add("app", "1", files)          # files of an OCI layout, as tests.support.images makes them
        load(f"registry:{registry.authority}/app:1", …)

It speaks the parts of the distribution specification that clients need, over HTTP on the loopback address, keeps what
is pushed in memory, and remembers every request.
"""

import base64
import hashlib
import json
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

import pytest

from mlbloat.registry.transport import Transport
from tests.support.images import sha256

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


def forget_credentials(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Hide the credentials and settings of whoever runs the tests."""
    monkeypatch.setenv("HOME", str(home))
    for name in tuple(os.environ):
        if name.startswith("MLBLOAT_REGISTRY_") or name in _PLACES:
            monkeypatch.delenv(name, raising=False)
    wait = Transport.wait
    monkeypatch.setattr(Transport, "wait", lambda transport, _: wait(transport, 0.0))


_PLACES = ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME")


@dataclass
class Fault:
    """What goes wrong, for the first requests that match."""

    kind: Literal["status", "close", "cut", "corrupt", "long", "no range", "hang"]
    """Answer with a status; close at once; send half; change a byte; send more; ignore that a part was asked for; say
    nothing.
    """
    path: str
    """Part of the path."""
    method: str = "GET"
    times: int = 1000
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class FakeRegistry:
    def __init__(
        self,
        *,
        auth: Literal["none", "basic", "token"] = "none",
        user: tuple[str, str] = ("user", "secret"),
        faults: list[Fault] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.auth = auth
        self.user = user
        self.faults = faults or []
        self.blobs: dict[str, dict[str, bytes]] = {}
        self.manifests: dict[str, dict[str, tuple[str, bytes]]] = {}
        self.uploads: dict[str, str] = {}
        self.seen: list[Seen] = []
        self.blobs_elsewhere = ""
        """Base address that GET of a blob redirects to."""
        self.hanging, self.ended = threading.Event(), threading.Event()
        self.tokens: list[str] = []
        """Valid ones; a test may take them back."""
        self.realm = ""
        self.anonymous_pull = False
        self._server = _Server((host, 0), _Handler, self)
        self.authority = f"{host}:{self._server.server_address[1]}"
        self.url = f"http://{self.authority}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    def add(self, repository: str, tag: str, files: Mapping[str, bytes]) -> str:
        """Put in the files of an OCI layout; the tag names what its index names. Return that digest."""
        for name, content in files.items():
            if name.startswith("blobs/"):
                self.blobs.setdefault(repository, {})[sha256(content)] = content
        top = json.loads(files["index.json"])["manifests"][0]
        held = self.manifests.setdefault(repository, {})
        for name, content in files.items():
            document = _document(content) if name.startswith("blobs/") else {}
            if "layers" in document or "manifests" in document:
                held[sha256(content)] = (MANIFEST_TYPE if "layers" in document else INDEX_TYPE, content)
        held[tag] = held[top["digest"]]
        return str(top["digest"])

    def requests(self, method: str, part: str = "") -> list[Seen]:
        return [seen for seen in self.seen if seen.method == method and part in seen.path]

    def fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.method == method and fault.path in path:
                fault.times -= 1
                return fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], registry: FakeRegistry) -> None:
        super().__init__(address, handler)
        self.registry = registry

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    fault: Fault | None = None

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        registry, url = self.server.registry, urlsplit(self.path)
        registry.seen.append(Seen(self.command, self.path, dict(self.headers.items())))
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.fault = registry.fault(self.command, url.path)
        if self.fault and self.fault.kind == "hang":
            registry.hanging.set()
            registry.ended.wait()
        if self.fault and self.fault.kind in ("close", "hang"):
            self.close_connection = True
            return
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.fault and self.fault.kind == "status":
            self._send(self.fault.status, b"", **self.fault.headers)
        elif url.path == "/token":
            self._token()
        elif self._permitted():
            self._route(url.path)

    def _send(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if self.fault and self.fault.kind == "long":
            content += b"more"
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.fault and self.fault.kind == "cut":
            content = content[: len(content) // 2]
            self.close_connection = True
        if self.fault and self.fault.kind == "corrupt":
            content = bytes([content[0] ^ 1]) + content[1:]
        if self.command != "HEAD":
            self.wfile.write(content)

    def _problem(self, status: int, code: str, **headers: str) -> None:
        self._send(status, json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode(), **headers)

    def _permitted(self) -> bool:
        registry, given = self.server.registry, self.headers.get("Authorization", "")
        if registry.auth == "none" or (registry.auth == "basic" and given == self._basic()):
            return True
        if registry.auth == "token" and given.removeprefix("Bearer ") in registry.tokens:
            return True
        realm = registry.realm or f"{registry.url}/token"
        challenge = f'Bearer realm="{realm}",service="fake"' if registry.auth == "token" else 'Basic realm="fake"'
        self._problem(401, "UNAUTHORIZED", WWW_Authenticate=challenge)
        return False

    def _basic(self) -> str:
        return "Basic " + base64.b64encode(":".join(self.server.registry.user).encode()).decode()

    def _token(self) -> None:
        registry = self.server.registry
        given = self.headers.get("Authorization", "")
        form = {name: values[0] for name, values in parse_qs(self.body.decode()).items()}
        anonymous = registry.anonymous_pull and not given and "push" not in self.query.get("scope", "")
        if not anonymous and given != self._basic() and form.get("refresh_token") != registry.user[1]:
            self._problem(401, "UNAUTHORIZED")
            return
        registry.tokens.append(f"token-{len(registry.seen)}")
        name = "access_token" if form else "token"
        self._send(200, json.dumps({name: registry.tokens[-1], "expires_in": 60}).encode())

    def _route(self, path: str) -> None:
        if path == "/v2/":
            self._send(200, b"{}")
            return
        match = re.fullmatch(r"/v2/(.+)/(manifests|blobs/uploads|blobs)/([^/]*)", path)
        if match is None:
            self._problem(404, "NOT_FOUND")
            return
        getattr(self, f"_{match[2].replace('/', '_')}")(match[1], match[3])

    def _manifests(self, repository: str, selector: str) -> None:
        held = self.server.registry.manifests.setdefault(repository, {})
        if self.command == "PUT":
            held[selector] = held[sha256(self.body)] = (self.headers["Content-Type"], self.body)
            self._send(201, Docker_Content_Digest=sha256(self.body))
        elif selector not in held:
            self._problem(404, "MANIFEST_UNKNOWN")
        else:
            media_type, content = held[selector]
            self._send(200, content, Content_Type=media_type, Docker_Content_Digest=sha256(content))

    def _blobs(self, repository: str, digest: str) -> None:
        registry = self.server.registry
        content = registry.blobs.get(repository, {}).get(digest)
        if content is None:
            self._problem(404, "BLOB_UNKNOWN")
            return
        if registry.blobs_elsewhere and self.command == "GET":
            self._send(307, Location=f"{registry.blobs_elsewhere}/v2/{repository}/blobs/{digest}")
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted and not (self.fault and self.fault.kind == "no range"):
            start, end = int(wanted[1]), min(int(wanted[2] or len(content)) + 1, len(content))
            self._send(206, content[start:end], Content_Range=f"bytes {start}-{end - 1}/{len(content)}")
        else:
            self._send(200, content)

    def _blobs_uploads(self, repository: str, upload: str) -> None:
        registry = self.server.registry
        if self.command == "POST":
            mounted = registry.blobs.get(self.query.get("from", ""), {}).get(self.query.get("mount", ""))
            if mounted is not None:
                registry.blobs.setdefault(repository, {})[self.query["mount"]] = mounted
                self._send(201)
                return
            name = f"u{len(registry.seen)}"
            registry.uploads[name] = repository
            self._send(202, Location=f"/v2/{repository}/blobs/uploads/{name}?state=x")
        elif upload not in registry.uploads:
            self._problem(404, "BLOB_UPLOAD_UNKNOWN")
        elif self.command == "DELETE":
            del registry.uploads[upload]
            self._send(204)
        else:
            algorithm, _, expected = self.query["digest"].partition(":")
            if hashlib.new(algorithm, self.body).hexdigest() != expected:
                self._problem(400, "DIGEST_INVALID")
                return
            del registry.uploads[upload]
            registry.blobs.setdefault(repository, {})[self.query["digest"]] = self.body
            self._send(201)


def _document(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, UnicodeDecodeError):
        return {}
    return document if isinstance(document, dict) else {}
