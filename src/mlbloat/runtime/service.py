"""Ask a running service: wait until it is ready, send requests, run commands in it, stop it.

All from this process, over sockets that belong to the container's network: no shell and no program of the image is
needed to reach it.
"""

import contextlib
import os
import re
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, Self

from mlbloat.errors import RunError
from mlbloat.model.container import Container
from mlbloat.model.step import Step
from mlbloat.model.use import Phase
from mlbloat.model.workload import Exec, Ready, Request, Service, Stop
from mlbloat.runtime import kernel
from mlbloat.runtime.exchange import BODY_LIMIT_BYTES, NoAnswerError, address_of, exchange, reached
from mlbloat.runtime.orders import ask

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 0.5
"""Between two looks at a service that is starting."""
_LEAST_LOOK_SECONDS = 5.0
"""For an answer to a look that was begun in time: the last one must not find less than those before."""
_GONE_SECONDS = 1.0
"""For the end of a service that closed a connection, if that was why."""
_KILLED_SECONDS = 10.0
_PIPE_BYTES = 1 << 20
"""The most that a pipe may hold."""
_ENDED = "the service had ended by then"


class Log(Protocol):
    """What the service has written to one stream so far."""

    @property
    def kept(self) -> bytearray: ...


class Conversation:
    """Everything that is asked of one service, on a thread of its own; what came of it is in `steps`."""

    def __init__(
        self,
        service: Service,
        child: int,
        orders: socket.socket,
        logs: tuple[Log, ...],
        enter: Callable[[Phase], None],
    ) -> None:
        self._service = service
        self._enter = enter
        self._child = os.dup(child)
        self._orders = orders
        self._logs = logs
        self.steps: list[Step] = []
        self.flags: list[str] = []
        self._thread = threading.Thread(target=self._run, name="service", daemon=True)
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Wait for the end of what was going on when the service ended."""
        self._thread.join(seconds)
        if not self._thread.is_alive():
            os.close(self._child)

    def _run(self) -> None:
        try:
            if self._ready():
                self._enter(Phase.READY)
                self._ask_all()
            self._stop(self._service.stop)
        finally:
            self._signal(signal.SIGKILL)  # whatever went wrong: nobody will stop it after this

    def _ready(self) -> bool:
        ready = self._service.ready
        if ready is None:
            return True
        begun = time.monotonic()
        look, pause, failure = self._look(ready), _FIRST_PAUSE_SECONDS, "not yet"
        while failure:
            left = begun + ready.timeout_seconds - time.monotonic()
            if self._ended_within(max(0.0, min(pause, left))):
                failure = "it ended before it was ready"
                break
            if left <= 0:
                failure = f"it was not ready within {ready.timeout_seconds:g} seconds: {failure}"
                break
            failure = look(max(left, _LEAST_LOOK_SECONDS))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        self._done(Step(kind="ready", what=f"ready {_shown(ready)}", failure=failure), begun)
        return not failure

    def _look(self, ready: Ready) -> Callable[[float], str]:
        """Return a function that looks whether the service is ready: empty when it is, else what is missing."""
        if ready.log:
            search = _Search(ready.log, self._logs)
            return lambda seconds: "" if search.found() else f"no line of its output matches {ready.log!r}"
        if ready.tcp is not None:
            address = ready.tcp
            return lambda seconds: reached(self._socket, address, min(seconds, 5.0))
        request = Request(url=ready.http)
        return lambda seconds: self._answers(request, min(seconds, 10.0))

    def _answers(self, request: Request, seconds: float) -> str:
        try:
            status, _ = exchange(self._socket, request, seconds)
        except NoAnswerError as error:
            return str(error)
        return "" if status < 400 else f"status {status}"

    def _ask_all(self) -> None:
        if self._service.requests or self._service.exec:
            self._enter(Phase.REQUESTS)
        for request in self._service.requests:
            self._request(request)
        for command in self._service.exec:
            if not self._execute(command):
                return
        if self._ended_within(0):
            self.steps.append(Step(kind="end", what="end", failure="it ended by itself, before it was told to"))

    def _request(self, request: Request) -> None:
        begun, what = time.monotonic(), f"{request.method} {request.url}"
        try:
            status, body = exchange(self._socket, request, request.timeout_seconds)
        except NoAnswerError as error:
            gone = self._ended_within(_GONE_SECONDS)
            self._done(Step(kind="request", what=what, failure=f"no answer: {_ENDED if gone else error}"), begun)
            return
        if len(body) > BODY_LIMIT_BYTES:
            self.flags.append(f"only the first {BODY_LIMIT_BYTES >> 20} MiB of the answer to {what} were kept")
        self._done(Step(kind="request", what=what, status=status, body=body[:BODY_LIMIT_BYTES]), begun)

    def _execute(self, command: Exec) -> bool:
        """Run a command; False when nothing more can be ordered, because this one does not end."""
        begun, what = time.monotonic(), f"exec {' '.join(command.run)}"
        with _Output() as stdout, _Output() as stderr:
            self._orders.settimeout(command.timeout_seconds)
            answer, _ = ask(self._orders, {"execute": list(command.run)}, stdout.sink, stderr.sink)
            self._orders.settimeout(None)
            outputs = stdout.content(), stderr.content()
        killed = answer is not None and answer.get("ended") == 128 + signal.SIGKILL
        if killed and self._ended_within(
            _KILLED_SECONDS
        ):  # all processes of a container end just before its first one has ended
            step = Step(kind="exec", what=what, body=outputs[0], stderr=outputs[1], failure=_ENDED)
        elif answer is not None and "ended" in answer:
            step = Step(kind="exec", what=what, status=answer["ended"], body=outputs[0], stderr=outputs[1])
        elif answer is not None:
            step = Step(kind="exec", what=what, failure=answer.get("failed", "it could not be started"))
        elif self._ended_within(_GONE_SECONDS):
            step = Step(kind="exec", what=what, failure=_ENDED)
        else:
            late = f"it did not end within {command.timeout_seconds:g} seconds"
            step = Step(kind="exec", what=what, body=outputs[0], stderr=outputs[1], failure=late)
        self._done(step, begun)
        return answer is not None

    def _stop(self, stop: Stop) -> None:
        self._enter(Phase.STOP)
        self._signal(signal.Signals[f"SIG{stop.signal or 'TERM'}"])
        if not self._ended_within(stop.timeout_seconds):
            self.flags.append(
                f"it did not end within {stop.timeout_seconds:g} seconds after SIG{stop.signal or 'TERM'} and "
                "was killed: what it does when it ends was not seen; give `stop` the signal that it listens to, "
                "or more time"
            )

    def _socket(self, family: int, seconds: float) -> socket.socket:
        """Return a new TCP socket of the container's network."""
        self._orders.settimeout(seconds)
        answer, descriptors = ask(self._orders, {"socket": family})
        if not descriptors:
            raise NoAnswerError((answer or {}).get("failed", _ENDED))
        made = socket.socket(fileno=descriptors[0])
        made.settimeout(seconds)
        return made

    def _signal(self, number: int) -> None:
        try:
            kernel.send_signal(self._child, number)
        except (ProcessLookupError, PermissionError):
            return  # it has ended

    def _ended_within(self, seconds: float) -> bool:
        return bool(select.select([self._child], [], [], seconds)[0])

    def _done(self, step: Step, begun: float) -> None:
        self.steps.append(replace(step, seconds=time.monotonic() - begun))


class _Output:
    """What a command in the container writes to one stream: its start is kept, so that the command never waits."""

    def __enter__(self) -> Self:
        self._source, self.sink = os.pipe()
        self._over, self._ended = os.pipe()
        self._kept = bytearray()
        self._thread = threading.Thread(target=self._read, name="output", daemon=True)
        self._thread.start()
        return self

    def _read(self) -> None:
        """Read until the stream ends, or the command did: what that left behind may hold the stream open."""
        os.set_blocking(self._source, False)
        over = False
        try:
            while not over:
                over = self._over in select.select([self._source, self._over], [], [])[0]
                with contextlib.suppress(BlockingIOError):
                    chunk = os.read(self._source, _PIPE_BYTES)
                    self._kept += chunk[: BODY_LIMIT_BYTES - len(self._kept)]
                    over = over or not chunk
        finally:
            os.close(self._source)
            os.close(self._over)

    def close(self) -> None:
        """Wait for what the command has written."""
        if self.sink >= 0:
            os.close(self.sink)
            os.close(self._ended)
            self.sink = -1
            self._thread.join()

    def content(self) -> bytes:
        self.close()
        return bytes(self._kept)

    def __exit__(self, *_: object) -> None:
        self.close()


class _Search:
    """Looks for a line in logs that grow, at each line once."""

    def __init__(self, pattern: str, logs: tuple[Log, ...]) -> None:
        self._pattern = re.compile(pattern)
        self._logs = logs
        self._from = [0] * len(logs)

    def found(self) -> bool:
        for number, log in enumerate(self._logs):
            new = bytes(log.kept[self._from[number] :])
            self._from[number] += new.rfind(b"\n") + 1
            if any(self._pattern.search(line) for line in new.decode(errors="replace").splitlines()):
                return True
        return False


def _shown(ready: Ready) -> str:
    if ready.tcp is not None:
        return f"tcp {ready.tcp[0]}:{ready.tcp[1]}"
    return f"http {ready.http}" if ready.http else f"log {ready.log}"


def refuse_taken_address(container: Container) -> None:
    """Raise RunError when something else answers where a service in the host's network is to be asked."""
    service = container.service
    if service is None or container.conditions.network != "host":
        return
    urls = [service.ready.http] if service.ready and service.ready.http else []
    urls += [request.url for request in service.requests]
    addresses = {address_of(url) for url in urls}
    if service.ready and service.ready.tcp:
        addresses.add(service.ready.tcp)
    for host, port in sorted(addresses):
        if not reached(lambda family, seconds: socket.socket(family), (host, port), 1.0):
            raise RunError(
                f"cannot run {container.argv[0]!r} in the host's network: something answers at {host}:{port} already; "
                "stop that, or take `network: none`, where each run has a network of its own"
            )
