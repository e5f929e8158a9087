"""Run an image that an engine holds by the engine's own program, as its users would: nothing of mlbloat is in between.

Held("podman", "app:slim").fails(run)  ->  () when it does all that the run expects
"""

import re
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mlbloat.model.container import Outcome
from mlbloat.model.workload import Ready, Run, Service
from mlbloat.verify import expectation_failures
from tests.support import engines

LIMITS = {"podman": ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")}
"""What podman gives by itself may be above what this machine allows."""
_END_SECONDS = 900


@dataclass(frozen=True)
class Held:
    engine: str
    """docker or podman."""
    tag: str

    def fails(self, run: Run) -> tuple[str, ...]:
        """Return what a run does not meet of its own expectations."""
        if run.service is None:
            return expectation_failures(run.expect, self.output(run))
        with self._started(run) as name:
            return tuple(self._unanswered(run.service, name))

    def output(self, run: Run) -> Outcome:
        begun = time.monotonic()
        done = subprocess.run(self._command(run, "--rm"), capture_output=True, timeout=_END_SECONDS)
        seconds = time.monotonic() - begun
        return Outcome(exit=done.returncode, stdout=done.stdout, stderr=done.stderr, seconds=seconds)

    def remove(self) -> None:
        subprocess.run([engines.program(self.engine), "rmi", "--force", self.tag], check=True, capture_output=True)

    def _command(self, run: Run, *options: str) -> list[str]:
        """Return the whole command line of a container; the image's own command where the run names none."""
        network = [f"--network={run.conditions.network}"]
        if run.conditions.network == "none":  # a name of its own that it can look up, as mlbloat's containers have
            network += ["--hostname=mlbloat", "--add-host=mlbloat:127.0.0.1"]
        variables = [f"--env={name}={value}" for name, value in run.environment]
        words = list(run.run or ())
        entrypoint = [f"--entrypoint={words[0]}"] if words else []
        limits = LIMITS.get(self.engine, ())
        start = [engines.program(self.engine), "run", *options, *network, *limits, *variables, *entrypoint, self.tag]
        return [*start, *words[1:], *(run.args or ())]

    @contextmanager
    def _started(self, run: Run) -> Iterator[str]:
        name = f"mlbloat-test-{uuid.uuid4().hex[:12]}"
        subprocess.run(self._command(run, "--detach", f"--name={name}"), check=True, capture_output=True)
        try:
            yield name
        finally:
            subprocess.run([engines.program(self.engine), "rm", "--force", name], check=True, capture_output=True)

    def _unanswered(self, service: Service, name: str) -> Iterator[str]:
        assert service.ready is not None
        if not self._is_ready(service.ready, name):
            log = subprocess.run([engines.program(self.engine), "logs", name], capture_output=True, text=True)
            yield f"not ready: {log.stdout[-2000:]}{log.stderr[-2000:]}"
            return
        for each in service.requests:
            status, body = _answer(each.url, each.method, dict(each.headers), each.body)
            if status != (each.status or 200) or not re.search(each.pattern, body):
                yield f"{each.url}: {status} {body[:500]}"
        for command in service.exec:
            words = [engines.program(self.engine), "exec", name, *command.run]
            done = subprocess.run(words, capture_output=True, timeout=_END_SECONDS)
            outcome = Outcome(exit=done.returncode, stdout=done.stdout, stderr=done.stderr, seconds=0)
            yield from expectation_failures(command.expect, outcome)

    def _is_ready(self, ready: Ready, name: str) -> bool:
        host, port = ready.tcp or ("127.0.0.1", 80)
        url = ready.http or f"http://{host}:{port}/"
        until = time.monotonic() + max(120, ready.timeout_seconds)
        while time.monotonic() < until:
            if _answer(url, "GET", {}, b"")[0]:
                return True
            time.sleep(0.2)
        return False


def _answer(url: str, method: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
    """Send one request; status 0 where nobody answers."""
    request = urllib.request.Request(url, data=body or None, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")
    except OSError:
        return 0, ""
