"""The keys of a run that does not end by itself: ready, requests, exec and stop."""

import signal
from urllib.parse import urlsplit

from mlbloat.errors import UsageError
from mlbloat.model.workload import Exec, Ready, Request, Service, Stop
from mlbloat.workload import document, expectations

_LARGEST_PORT = 65535


def service_of(run: document.Run, problem: str) -> Service | None:
    """Return what is to be done with a service; None when the run ends by itself. `problem` begins every error."""
    if run.ready is None and run.requests is None and run.exec is None and run.stop is None:
        return None
    return Service(
        ready=None if run.ready is None else _ready(run.ready, f"{problem}.ready"),
        requests=tuple(_request(each, f"{problem}.requests[{n}]") for n, each in enumerate(run.requests or ())),
        exec=tuple(_exec(each, f"{problem}.exec[{n}]") for n, each in enumerate(run.exec or ())),
        stop=Stop() if run.stop is None else _stop(run.stop, f"{problem}.stop"),
    )


def _ready(ready: document.Ready, problem: str) -> Ready:
    if sum(value != "" for value in (ready.http, ready.tcp, ready.log)) != 1:
        raise UsageError(f"{problem} needs one of `http: URL`, `tcp: PORT` and `log: REGEX`; give exactly one")
    expectations.check_pattern(ready.log, "log", problem)
    return Ready(
        http=_url(ready.http, problem) if ready.http else "",
        tcp=None if ready.tcp == "" else _address(ready.tcp, problem),
        log=ready.log,
        timeout_seconds=expectations.seconds(ready.timeout_seconds, problem),
    )


def _url(url: str, problem: str) -> str:
    try:
        parts = urlsplit(url)
        fine = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        fine = False
    if not fine or not url.isascii() or any(character <= " " for character in url):
        raise UsageError(f"{problem} has `http: {url}`; it takes a URL such as http://127.0.0.1:8080/health")
    return url


def _address(text: int | str, problem: str) -> tuple[str, int]:
    host, _, port = str(text).rpartition(":")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) <= _LARGEST_PORT:
        raise UsageError(f"{problem} has `tcp: {text}`; it takes a port, or HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def _request(request: document.Request, problem: str) -> Request:
    expectations.check_pattern(request.expect.body, "body", problem)
    same = expectations.names(request.expect.same, ("body",), problem)
    headers = tuple((name, str(value)) for name, value in request.headers.items())
    if not request.method.isalpha() or not request.method.isascii():
        raise UsageError(f"{problem} has `method: {request.method}`; it takes a word such as GET or POST")
    for name, value in headers:
        token = name.isascii() and name.isprintable() and not set(name) & set(' ():,;<=>?@[\\]{}/"')
        if not (name and token and value.isascii() and value.isprintable()):
            raise UsageError(f"{problem} has header {name!r}: {value!r}; names and values are plain ASCII text")
    return Request(
        url=_url(request.http, problem),
        method=request.method.upper(),
        headers=headers,
        body=request.body.encode(),
        status=request.expect.status,
        pattern=request.expect.body,
        same_body="body" in same,
        timeout_seconds=expectations.seconds(request.timeout_seconds, problem),
    )


def _exec(command: document.Exec, problem: str) -> Exec:
    if not command.run or not command.run[0]:
        raise UsageError(f"{problem} has an empty `run`; give a command")
    return Exec(
        run=tuple(command.run),
        expect=expectations.expect_of(command.expect, problem),
        timeout_seconds=expectations.seconds(command.timeout_seconds, problem),
    )


def _stop(stop: document.Stop, problem: str) -> Stop:
    text = str(stop.signal).upper().removeprefix("SIG")
    if not text:
        return Stop(timeout_seconds=expectations.seconds(stop.timeout_seconds, problem))
    known = {each.name.removeprefix("SIG"): each for each in signal.Signals}
    known |= {str(int(each)): each for each in signal.Signals}
    if text not in known:
        raise UsageError(f"{problem} has `signal: {stop.signal}`; it takes a name such as TERM or QUIT")
    return Stop(
        signal=known[text].name.removeprefix("SIG"),
        timeout_seconds=expectations.seconds(stop.timeout_seconds, problem),
    )
