"""What a registry asks for before it answers, and how it is given.

https://distribution.github.io/distribution/spec/auth/token/
https://distribution.github.io/distribution/spec/auth/oauth/
https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
"""

import base64
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import msgspec

from mlbloat.registry.credentials import Credential, Found
from mlbloat.registry.problem import BadContentError, DeniedError, RegistryError
from mlbloat.registry.transport import Answer, Transport

_PART = re.compile(
    r"""([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)) | ([A-Za-z][A-Za-z0-9_-]*)(?=\s|,|$)""", re.VERBOSE
)
_MAX_HEADER = 8192
_MAX_TOKEN_BYTES = 1 << 20
_TOKEN_CHARACTERS = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    scheme: str
    """In lower case: basic, bearer, or what this client does not know."""
    parameters: Mapping[str, str]


class _TokenAnswer(msgspec.Struct, frozen=True):
    token: str | None = None
    access_token: str | None = None


def parse_challenges(text: str) -> tuple[Challenge, ...]:
    """Read a WWW-Authenticate header; what is no challenge is passed over."""
    challenges: list[Challenge] = []
    parameters: dict[str, str] = {}
    for match in _PART.finditer(text[:_MAX_HEADER]):
        name, quoted, bare, scheme = match.groups()
        if scheme:
            parameters = {}
            challenges.append(Challenge(scheme=scheme.lower(), parameters=parameters))
        else:
            parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
    return tuple(challenges)


class Authorization:
    """The Authorization header of one registry; threads may share it."""

    def __init__(self, authority: str, found: Found, scopes: Sequence[str], transport: Transport) -> None:
        self._authority = authority
        self._found = found
        self._scopes = tuple(scopes)
        self._transport = transport
        self._lock = threading.Lock()
        self._header = ""

    @property
    def header(self) -> str:
        """What to send now; empty until the registry asked for something."""
        return self._header

    def renew(self, answer: Answer, refused: str) -> bool:
        """Do what a 401 asks for; False when that was done already and refused (`refused` is what was sent)."""
        challenges = {challenge.scheme: challenge for challenge in parse_challenges(answer.header("WWW-Authenticate"))}
        with self._lock:
            if self._header != refused:
                return True  # another thread did it meanwhile
            credential = self._found.credential
            if credential is not None and credential.registry_token:
                header = f"Bearer {credential.registry_token}"
            elif "bearer" in challenges:
                header = f"Bearer {self._token(challenges['bearer'].parameters, answer.url)}"
            elif "basic" in challenges:
                header = self._basic()
            else:
                raise DeniedError(
                    f"{self._authority} asks for credentials in a way that is unknown here; see its manual"
                )
            self._header = header
        return header != refused

    def denied(self, complaint: str) -> DeniedError:
        """The error for a registry that still says no."""
        said = f": it says {complaint}" if complaint else ""
        credential = self._found.credential
        if credential is None:
            # A token for strangers that is refused: some registries say no more about what does not exist.
            secret = "has no such repository for strangers, or " if self._header else ""
            wants = f"{self._authority} {secret}wants a user name and password{said}{self._remarks()}"
            return DeniedError(f"{wants}; {self._login()}")
        return DeniedError(
            f"{self._authority} refuses the credentials of {credential.origin}{said}; {self._login(' again')}"
        )

    def _basic(self) -> str:
        credential = self._found.credential
        return _basic_header(credential) if credential is not None and credential.username else ""

    def _token(self, parameters: Mapping[str, str], base: str) -> str:
        """Get a token from the server that the challenge names."""
        realm = self._transport.checked(base, parameters.get("realm", ""))
        service = {"service": parameters["service"]} if "service" in parameters else {}
        scopes = tuple(dict.fromkeys((*self._scopes, *parameters.get("scope", "").split())))
        with self._ask(realm, service, scopes) as answer:
            if answer.status in (400, 401, 403):
                raise self.denied(answer.complaint())
            if answer.status != 200:
                raise RegistryError(
                    f"the token server {urlsplit(realm).netloc} answers {answer.status}; try again later"
                )
            content = answer.body(_MAX_TOKEN_BYTES)
        try:
            document = msgspec.json.decode(content, type=_TokenAnswer)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            document = _TokenAnswer()
        token = document.token or document.access_token or ""
        if not _TOKEN_CHARACTERS.fullmatch(token):
            raise BadContentError(f"the token server {urlsplit(realm).netloc} sent no token; ask its administrator")
        return token

    def _ask(self, realm: str, service: Mapping[str, str], scopes: Sequence[str]) -> Answer:
        credential = self._found.credential
        if credential is not None and credential.identity_token:
            form = {
                "grant_type": "refresh_token",
                "client_id": "mlbloat",
                "refresh_token": credential.identity_token,
                "scope": " ".join(scopes),
                **service,
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return self._transport.send("POST", realm, headers=headers, body=urlencode(form).encode())
        query = urlencode([*service.items(), *(("scope", scope) for scope in scopes)])
        url = f"{realm}{'&' if urlsplit(realm).query else '?'}{query}"
        return self._transport.send("GET", url, headers={}, secret=self._basic())

    def _remarks(self) -> str:
        return f" ({', '.join(self._found.remarks)})" if self._found.remarks else ""

    def _login(self, again: str = "") -> str:
        return f"docker login {self._authority}{again}, or set MLBLOAT_REGISTRY_AUTH_…"


def _basic_header(credential: Credential) -> str:
    pair = f"{credential.username}:{credential.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"
