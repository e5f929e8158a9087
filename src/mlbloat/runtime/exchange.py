"""One HTTP request over a socket that somebody else makes. RFC 9112, by the standard library's client."""

import errno
import http.client
import os
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from mlbloat.model.workload import Request

BODY_LIMIT_BYTES = 16 << 20
"""Of each response; one byte more is read, so that it is known when there was more."""

MakeSocket = Callable[[int, float], socket.socket]
"""From an address family and a time-out in seconds."""


class NoAnswerError(Exception):
    """Nothing answers, or no HTTP; the text says why."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, host: str, port: int, seconds: float, make: MakeSocket) -> None:
        super().__init__(host, port, timeout=seconds)
        self._make, self._seconds = make, seconds

    def connect(self) -> None:
        self.sock = _connected(self._make, (self.host, self.port), self._seconds)


def exchange(make: MakeSocket, request: Request, seconds: float) -> tuple[int, bytes]:
    """Send a request; return the status and the body of the response. Redirects are answers like any other."""
    host, port = address_of(request.url)
    parts = urlsplit(request.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _Connection(host, port, seconds, make)
    try:
        connection.request(request.method, target, body=request.body or None, headers=dict(request.headers))
        response = connection.getresponse()
        return response.status, response.read(BODY_LIMIT_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswerError(_why(error)) from error
    finally:
        connection.close()


def address_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


def reached(make: MakeSocket, address: tuple[str, int], seconds: float) -> str:
    """Say why nothing accepts connections at an address; empty when something does."""
    try:
        _connected(make, address, seconds).close()
    except OSError as error:
        return _why(error)
    except NoAnswerError as error:
        return str(error)
    return ""


def _connected(make: MakeSocket, address: tuple[str, int], seconds: float) -> socket.socket:
    last: OSError | None = None
    for family, _, _, _, place in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
        made = make(family, seconds)
        made.settimeout(seconds)
        try:
            made.connect(place)
            _refuse_itself(made)
        except OSError as error:
            made.close()
            last = error
        else:
            return made
    raise last or OSError("no such host")


def _refuse_itself(made: socket.socket) -> None:
    """Raise OSError for a connection to itself.

    It comes about when nobody listens at a port and the system gives just that one to who connects (simultaneous open,
    RFC 9293). Asked often enough, every port above 32767 answers once.
    """
    if made.getsockname() == made.getpeername():
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


def _why(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).lower()
