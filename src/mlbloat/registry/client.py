"""A registry and one of its repositories: manifests and blobs, read and written.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from mlbloat.model.digest import Digest
from mlbloat.registry.authorization import Authorization
from mlbloat.registry.certificates import find_certificates
from mlbloat.registry.credentials import find_credential
from mlbloat.registry.problem import AbsentError, BadContentError, DeniedError, RegistryError
from mlbloat.registry.reference import Reference, api_authority, canonical_authority, is_loopback
from mlbloat.registry.transport import Answer, Body, InsecureError, LostError, Transport

INSECURE = "MLBLOAT_REGISTRY_INSECURE"
MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ROUNDS = 3
"""Without credentials, with them, and once more when a token ran out meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestAnswer:
    content: bytes
    digest: Digest
    media_type: str


class Registry:
    """One repository of a registry, open for reading (and writing, if that was asked for)."""

    def __init__(self, reference: Reference, transport: Transport, authorization: Authorization) -> None:
        self.reference = reference
        self.transport = transport
        self._authorization = authorization
        authority = api_authority(reference.authority)
        self._base = f"https://{authority}"
        if transport.may_be_plain(authority):
            self._base = self._spoken(authority)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.transport.close()

    def _spoken(self, authority: str) -> str:
        """Find out what a registry speaks that may speak plain HTTP: on this machine it mostly does."""
        secure, plain = f"https://{authority}", f"http://{authority}"
        order = (plain, secure) if is_loopback(authority) else (secure, plain)
        return next((base for base in order if self._answers(base)), secure)

    def _answers(self, base: str) -> bool:
        try:
            with self.transport.send("GET", f"{base}/v2/", headers={}, attempts=1) as answer:
                return answer.status != 400  # as a server of HTTPS says to plain HTTP
        except (InsecureError, LostError):
            return False

    def url(self, path: str) -> str:
        return f"{self._base}/v2/{self.reference.repository}/{path}"

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Body] | bytes | None = None,
        attempts: int | None = None,
    ) -> Answer:
        """Send with credentials to the registry itself, without them to any other host; the caller closes the answer.

        DeniedError when the registry refuses.
        """
        limited = {} if attempts is None else {"attempts": attempts}
        for _ in range(_ROUNDS):
            secret = self._authorization.header if self._is_ours(url) else ""
            answer = self.transport.send(method, url, headers=headers or {}, secret=secret, body=body, **limited)
            if answer.status not in (401, 403):
                return answer
            with answer:
                said = answer.complaint()
                # Another host, after a redirect, may not ask for credentials: they would go where it says.
                if not self._is_ours(answer.url):
                    raise LostError(f"{urlsplit(answer.url).netloc} answers {answer.status}; try again")
                if answer.status == 403 or not self._authorization.renew(answer, secret):
                    break
        raise self._authorization.denied(said)

    def _is_ours(self, url: str) -> bool:
        return url.startswith(f"{self._base}/")

    def manifest(self, selector: str, limit_bytes: int) -> ManifestAnswer:
        """Fetch a manifest or an index by tag or digest; what a digest names is checked."""
        try:
            content, media_type = self._document(selector, limit_bytes)
        except LostError:
            content, media_type = self._document(selector, limit_bytes)
        digest = Digest.of(content)
        if ":" in selector:
            wanted = Digest(selector)
            digest = Digest(f"{wanted.algorithm}:{hashlib.new(wanted.algorithm, content).hexdigest()}")
            if digest != wanted:
                raise BadContentError(
                    f"{self.name} sent another manifest ({digest}) for {wanted}; ask its administrator"
                )
        return ManifestAnswer(content=content, digest=digest, media_type=media_type)

    def _document(self, selector: str, limit_bytes: int) -> tuple[bytes, str]:
        with self.send("GET", self.url(f"manifests/{selector}"), headers={"Accept": ", ".join(MANIFEST_TYPES)}) as got:
            self.expect(got, 200)
            return got.body(limit_bytes), got.header("Content-Type").partition(";")[0].strip()

    @property
    def name(self) -> str:
        return self.reference.authority

    def expect(self, answer: Answer, *statuses: int) -> None:
        """Raise what an unexpected status means."""
        if answer.status in statuses:
            return
        said = answer.complaint()
        if answer.status == 404:
            raise AbsentError(
                f"{self.name} has no such image{f' ({said})' if said else ''}; check the name and the tag"
            )
        if answer.status == 429:
            raise DeniedError(
                f"{self.name} permits no more requests now{f' ({said})' if said else ''}; wait, or log in"
            )
        raise RegistryError(f"{self.name} answers {answer.status}{f' ({said})' if said else ''}; try again later")


def open_registry(
    reference: Reference,
    environment: Mapping[str, str] | None = None,
    *,
    push: bool = False,
    mount_from: str = "",
) -> Registry:
    """Open a repository with the credentials of the environment; the caller closes it.

    `mount_from` is another repository there, from which blobs may be taken over.
    """
    environment = os.environ if environment is None else environment
    scopes = [f"repository:{reference.repository}:{'pull,push' if push else 'pull'}"]
    if mount_from:
        scopes.append(f"repository:{mount_from}:pull")
    found = find_credential(reference, environment)
    host = api_authority(reference.authority)
    certificates = {host: find_certificates(host, environment)}
    transport = Transport(insecure_authorities(environment), certificates)
    try:
        return Registry(reference, transport, Authorization(reference.authority, found, scopes, transport))
    except BaseException:
        transport.close()
        raise


def insecure_authorities(environment: Mapping[str, str]) -> frozenset[str]:
    """Read MLBLOAT_REGISTRY_INSECURE: HOST[:PORT], separated by commas."""
    names = environment.get(INSECURE, "").split(",")
    return frozenset(canonical_authority(name.strip()) for name in names if name.strip())
