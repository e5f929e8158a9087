"""HTTP to a registry: bounded, patient, and careful about where a password goes.

requests does the HTTP; redirects are followed here, so that no credential follows one to another host, and no answer
leads from HTTPS to plain HTTP.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from mlbloat.registry.certificates import Certificates
from mlbloat.registry.connections import Connections
from mlbloat.registry.problem import BadContentError, RegistryError
from mlbloat.registry.reference import is_loopback

_CONNECT_SECONDS = 15
_SILENCE_SECONDS = {"GET": 60, "HEAD": 60, "DELETE": 10}
"""Longest wait for the next bytes. DELETE only tidies up."""
_COMMIT_SECONDS = 600
"""For the rest: a registry may be silent while it checks and moves a blob that it has received."""
_READ_BYTES = 256 << 10
_MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_TEMPORARY = (408, 429, 500, 502, 503, 504)
_ATTEMPTS = 5
_CONNECT_ATTEMPTS = 2
"""A name with a mistake should not take long."""
_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 30.0
_MAX_ERROR_BYTES = 64 << 10

_BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError, TimeoutError)
"""What a connection that fails raises, wherever in the libraries below it is noticed."""


class Body(Protocol):
    """What is sent: opened again for each attempt."""

    def __len__(self) -> int: ...
    def read(self, size: int = -1, /) -> bytes: ...
    def close(self) -> None: ...


class Answer:
    """A response whose body was not read yet; closes its connection."""

    def __init__(self, response: requests.Response, url: str) -> None:
        self._response = response
        self.url = url
        self.status = response.status_code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._response.close()

    def header(self, name: str) -> str:
        return str(self._response.headers.get(name, ""))

    def body(self, limit_bytes: int) -> bytes:
        """Read a document of bounded size."""
        content = bytearray()
        for chunk in self.chunks():
            content += chunk
            if len(content) > limit_bytes:
                raise BadContentError(f"{_host(self.url)} sent more than {limit_bytes} bytes; ask its administrator")
        return bytes(content)

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as sent; raise LostError when it ends early."""
        try:
            while chunk := self._response.raw.read(_READ_BYTES, decode_content=False):
                yield chunk
        except _BROKEN as error:
            raise LostError(f"{_host(self.url)} broke off ({reason(error)}); try again") from None

    def complaint(self) -> str:
        """What the registry says is wrong, in one short line; empty when it says nothing."""
        with suppress(RegistryError, ValueError, TypeError, KeyError, IndexError, RecursionError):
            first = json.loads(self.body(_MAX_ERROR_BYTES))["errors"][0]
            return " ".join(f"{first.get('code', '')}: {first.get('message', '')}".split())[:200].strip(": ")
        return ""


class LostError(RegistryError):
    """The connection failed, or the registry failed for now: the same again may work."""


class AbortedError(Exception):
    """Another thread failed, or the user interrupted; that error is the one to show."""


class UnreachableError(LostError):
    """Nobody is there."""


class Transport:
    """One pool of connections; threads may share it."""

    def __init__(self, insecure: frozenset[str] = frozenset(), certificates: Mapping[str, Certificates] | None = None):
        """Allow plain HTTP to these authorities, and to this machine; some have certificates of their own."""
        self._insecure = insecure
        self._certificates = certificates or {}
        self._aborted = threading.Event()
        self._connections = Connections()
        self._session = requests.Session()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, self._connections)
        # Cookies are for browsers.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def close(self) -> None:
        self._session.close()

    def abort(self) -> None:
        """End what other threads are doing, also when the registry is silent."""
        self._aborted.set()
        self._connections.shut()

    def may_be_plain(self, authority: str) -> bool:
        return is_loopback(authority) or authority in self._insecure

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        secret: str = "",
        body: Callable[[], Body] | bytes | None = None,
        attempts: int = _ATTEMPTS,
    ) -> Answer:
        """Send until there is an answer that is more than "not now"; `secret` is the Authorization header.

        The caller closes the answer. LostError: there was none after all attempts.
        """
        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            waited = _FIRST_WAIT_SECONDS * 2 ** (attempt - 1)
            try:
                answer = self._follow(method, url, headers, secret, body)
            except LostError as error:
                if last or (isinstance(error, UnreachableError) and attempt >= _CONNECT_ATTEMPTS):
                    raise
            else:
                if last or answer.status not in _TEMPORARY:
                    return answer
                waited = max(waited, _retry_after(answer))
                answer.close()
            self.wait(waited)
        raise AssertionError("attempts is at least 1")

    def wait(self, seconds: float) -> None:
        """Wait before the next attempt; AbortedError when there is to be none."""
        if self._aborted.wait(min(seconds, _LONGEST_WAIT_SECONDS)):
            raise AbortedError

    def _follow(
        self, method: str, url: str, headers: Mapping[str, str], secret: str, body: Callable[[], Body] | bytes | None
    ) -> Answer:
        here = url
        for _ in range(_MAX_REDIRECTS + 1):
            own = secret if _origin(here) == _origin(url) else ""
            answer = self._once(method, here, {**headers, **({"Authorization": own} if own else {})}, body)
            if answer.status not in _REDIRECTS or method not in ("GET", "HEAD") or not answer.header("Location"):
                return answer
            with answer:
                here = self.checked(here, answer.header("Location"))
        raise RegistryError(f"{_host(url)} redirects more than {_MAX_REDIRECTS} times; ask its administrator")

    def checked(self, base: str, location: str) -> str:
        """Return the address that a registry sends us to, when it is one that we go to."""
        try:
            target = urljoin(base, location)
            scheme, host = urlsplit(target).scheme, urlsplit(target).netloc
        except ValueError:
            scheme, host, target = "", "", ""
        downgraded = scheme == "http" and (urlsplit(base).scheme == "https" or not self.may_be_plain(host))
        if scheme not in ("http", "https") or not host or not location or "@" in host or downgraded:
            what = "plain HTTP" if downgraded else f"{location[:80]!r}"
            raise RegistryError(f"{_host(base)} leads to {what}, which is not followed; ask its administrator")
        return target

    def _once(
        self, method: str, url: str, headers: Mapping[str, str], body: Callable[[], Body] | bytes | None
    ) -> Answer:
        certificates = self._certificates.get(urlsplit(url).netloc, Certificates())
        data = body() if callable(body) else body
        silence = _SILENCE_SECONDS.get(method, _COMMIT_SECONDS)
        try:
            response = self._session.request(
                method,
                url,
                headers={"User-Agent": "mlbloat", "Accept-Encoding": "identity", **headers},
                data=data,
                auth=_as_it_is,
                verify=certificates.authority,
                cert=certificates.client,
                proxies={"no_proxy": "*"} if is_loopback(urlsplit(url).netloc) else None,
                timeout=(_CONNECT_SECONDS, silence),
                allow_redirects=False,
                stream=True,
            )
        except requests.exceptions.SSLError as error:
            raise InsecureError(f"{_host(url)} has no valid certificate ({reason(error)}); {_CERTIFICATE}") from None
        except _BROKEN as error:
            kind = UnreachableError if _is_unreachable(error) else LostError
            raise kind(f"{_host(url)} does not answer ({reason(error)}); check the name and the network") from None
        except (ValueError, OSError) as error:
            raise RegistryError(f"{_host(url)} cannot be asked ({reason(error)}); check its name and files") from None
        finally:
            if data is not None and not isinstance(data, bytes):
                data.close()
        return Answer(response, url)


class InsecureError(RegistryError):
    """No TLS, or none that can be trusted."""


_CERTIFICATE = "put that of its authority into /etc/docker/certs.d, or set MLBLOAT_REGISTRY_INSECURE for plain HTTP"


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from looking into ~/.netrc, which would send passwords to hosts that a redirect names."""
    return request


def reason(error: BaseException) -> str:
    """Return the innermost reason in a few words; the libraries wrap it several times."""
    innermost = list(_causes(error))[-1]
    text = innermost.strerror if isinstance(innermost, OSError) and innermost.strerror else str(innermost)
    text = re.sub(r"\[Errno -?\d+\] ", "", text.rpartition(": ")[2])
    return " ".join(text.split())[:120] or type(innermost).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it wraps, as a `reason` or as an argument."""
    inner: object = error
    for _ in range(8):
        if not isinstance(inner, BaseException):
            return
        yield inner
        inner = getattr(inner, "reason", None) or next((arg for arg in inner.args if isinstance(arg, Exception)), None)


def _is_unreachable(error: BaseException) -> bool:
    kinds = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    return any(isinstance(cause, kinds) for cause in _causes(error))


def _retry_after(answer: Answer) -> float:
    text = answer.header("Retry-After")
    return float(text) if text.isdecimal() and len(text) < 6 else 0.0


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _host(url: str) -> str:
    return urlsplit(url).netloc
