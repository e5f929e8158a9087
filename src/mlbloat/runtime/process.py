"""Start the launcher, listen to it and to the command's output, and end it when its time is over."""

import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from mlbloat.errors import EngineError, RunError
from mlbloat.model.container import Container, Outcome
from mlbloat.model.use import Phase
from mlbloat.runtime import kernel, written
from mlbloat.runtime.listener import Listener
from mlbloat.runtime.messages import Message, Spec, receive
from mlbloat.runtime.service import Conversation, refuse_taken_address
from mlbloat.runtime.stopping import held_back

OUTPUT_LIMIT_BYTES = 16 << 20
"""Of each stream that is kept; the rest is read and thrown away, so that the command never waits for us."""
_END_BYTES = 1 << 16
"""Of these, for the end: what a command says last is often why it ended."""
SET_UP_SECONDS = 600.0
"""From the launcher's start to the command's: a copy of the image may have to be made."""
GRACE_SECONDS = 5.0
"""Between asking and forcing."""
_REMOVAL_SECONDS = 200.0
"""For a launcher to take away what it made: engines and control groups may be busy, and what is not waited for stays.
An engine that takes longer for one order is taken as one that does not answer."""
_CONVERSATION_SECONDS = 60.0
"""For what was asked of a service to come to its end after the service's own."""

_LEAST_FREE_BYTES = 1 << 30
"""Of the disk that a run writes to; a run that takes more is ended, before everybody else has none."""
_LOOK_SECONDS = 0.25

_START = """
import sys, types
sys.path.insert(0, sys.argv[4])
package = types.ModuleType("mlbloat.runtime")
package.__path__ = [sys.argv[4] + "/mlbloat/runtime"]
sys.modules["mlbloat.runtime"] = package
from mlbloat.runtime.launcher import main
main()
"""
"""Imports the launcher without the package around it, which would take four times as long as the launcher itself."""


def launch(spec: Spec, container: Container, listener: Listener | None) -> Outcome:
    """Run a container to its end. Nothing of it is left when this returns or raises; its directory is removed."""
    directory = Path(spec["directory"])
    try:
        refuse_taken_address(container)
        with _Launch(spec, container, listener) as running:
            running.watch()
        outcome = running.outcome()
        return replace(outcome, flags=(*outcome.flags, *written.flags(str(directory / "upper"), spec["rootfs"])))
    finally:
        remove(directory)


def ask(question: Spec) -> str:
    """Let a launcher find out something about this machine; its one answer."""
    nobody = Container(argv=("probe",), environment=(), working_directory="/", uid=0, gid=0, groups=())
    with _Launch(question, nobody, None) as running:
        running.watch()
    return running.answer


def least_free_bytes(directory: str) -> int:
    """Return below which free space of a disk a run is ended: what is scarce already is not all taken by it."""
    return min(_LEAST_FREE_BYTES, _free_bytes(directory) // 2)


def _free_bytes(directory: str) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def remove(directory: Path) -> None:
    """Remove a run's directory, whatever modes the run gave to what it wrote."""
    if os.geteuid() != 0:
        for here, names, _ in os.walk(directory):
            for name in names:
                path = os.path.join(here, name)
                if not os.path.islink(path):
                    os.chmod(path, 0o700)
    try:
        shutil.rmtree(directory)
    except RecursionError:
        # A run may nest directories deeper than Python's stack; rm goes down without one.
        subprocess.run(["rm", "-rf", "--", directory], stdin=subprocess.DEVNULL, check=True)


class _Stream:
    """One output of the command: its start and its end are kept."""

    def __init__(self) -> None:
        self.source, self.sink = os.pipe()
        os.set_blocking(self.source, False)
        self.kept = bytearray()
        self._end = b""
        self.cut = False
        self.open = True

    def read(self) -> None:
        try:
            chunk = os.read(self.source, 1 << 16)
        except BlockingIOError:
            return
        self.open = bool(chunk)
        room = OUTPUT_LIMIT_BYTES - _END_BYTES - len(self.kept)
        self.kept += chunk[:room]
        end = self._end + chunk[room:]
        self.cut = self.cut or len(end) > _END_BYTES
        self._end = end[-_END_BYTES:]

    def content(self) -> bytes:
        """Return what is kept; complete unless it was cut."""
        return bytes(self.kept) + self._end


class _Launch:
    """A running launcher. Leaving the context kills what is left and waits for it."""

    def __init__(self, spec: Spec, container: Container, listener: Listener | None) -> None:
        self._spec = spec
        self._container = container
        self._listener = listener
        self._open = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._serving = contextlib.ExitStack()
        self._child: int | None = None
        self._conversation: Conversation | None = None
        self._failure: Message | None = None
        self._flags: list[str] = []
        self._started = self._ended = 0.0
        self._exit: int | None = None
        self._timed_out = False
        self._talking = True
        self._deadline = time.monotonic() + SET_UP_SECONDS
        self._steps = [self._ask_command, self._ask_launcher, self._kill]
        self._least_free = {place: least_free_bytes(place) for place in spec["disks"]}
        self._full = ""
        self.answer = ""

    def __enter__(self) -> Self:
        return self

    def watch(self) -> None:
        """Start, and follow the container until its launcher has nothing more to say and its output ended."""
        self._start()
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ, self._listen)
            for stream in (self.stdout, self.stderr):
                selector.register(stream.source, selectors.EVENT_READ, stream.read)
            while self._talking or selector.get_map():
                left = max(0.0, self._deadline - time.monotonic())
                for key, _ in selector.select(min(left, _LOOK_SECONDS) if self._least_free else left):
                    key.data()
                self._look_at_disks()
                self._forget_closed(selector)
                if time.monotonic() >= self._deadline:
                    if not self._talking:
                        break  # somebody outside of the container holds its output open
                    self._time_is_over()

    def _start(self) -> None:
        self.stdout, self.stderr = _Stream(), _Stream()
        for stream in (self.stdout, self.stderr):
            self._open.callback(os.close, stream.source)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders, desk = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._open.enter_context(self._control)
        self._open.enter_context(self._orders)
        with theirs, desk, contextlib.ExitStack() as given, tempfile.TemporaryFile() as told:
            for stream in (self.stdout, self.stderr):
                given.callback(os.close, stream.sink)
            told.write(json.dumps(self._spec).encode())
            told.seek(0)
            descriptors = (told.fileno(), theirs.fileno(), desk.fileno())
            package = str(Path(__file__).parents[2])
            with held_back(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # until we know whom to end
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-B", "-c", _START, *map(str, descriptors), package],
                    stdin=subprocess.DEVNULL,
                    stdout=self.stdout.sink,
                    stderr=self.stderr.sink,
                    pass_fds=descriptors,
                    start_new_session=True,
                    cwd="/",
                )

    def _look_at_disks(self) -> None:
        for place, least in self._least_free.items():
            if not self._full and _free_bytes(place) < least:
                self._full = place
                self._ask_launcher()

    def _forget_closed(self, selector: selectors.BaseSelector) -> None:
        for stream in (self.stdout, self.stderr):
            if not stream.open and stream.source in selector.get_map():
                selector.unregister(stream.source)
        if not self._talking and self._control in selector.get_map():
            selector.unregister(self._control)
            self._deadline = time.monotonic() + 1.0

    def _listen(self) -> None:
        message, descriptors = receive(self._control)
        if message is None:
            self._talking = False
            return
        self._flags += message.get("flags", [])
        if "child" in message:
            (self._child,) = descriptors
            self._open.callback(os.close, self._child)
        elif "listener" in message and self._listener is not None:
            self._serving.enter_context(self._listener.serve(message["listener"], *descriptors))
        elif "started" in message:
            self._started = message["started"]
            self._deadline = time.monotonic() + self._container.timeout_seconds
            self._converse()
        elif "failed" in message:
            self._failure = message
        elif "ended" in message:
            self._exit, self._ended = message["ended"], message.get("at", 0.0)
            self.answer = message.get("text", "")
            self._deadline = max(self._deadline, time.monotonic() + GRACE_SECONDS)

    def _converse(self) -> None:
        if self._container.service is not None and self._child is not None:
            logs = (self.stdout, self.stderr)
            self._conversation = Conversation(self._container.service, self._child, self._orders, logs, self._enter)

    def _enter(self, phase: Phase) -> None:
        if self._listener is not None:
            self._listener.enter(phase)

    def _time_is_over(self) -> None:
        if self._exit is None:
            self._timed_out = True
        step = self._steps.pop(0) if self._steps else self._kill
        step()
        self._deadline = time.monotonic() + (_REMOVAL_SECONDS if step == self._ask_launcher else GRACE_SECONDS)

    def _ask_command(self) -> None:
        if self._child is not None and self._started:
            self._signal(signal.SIGTERM)
        else:
            self._ask_launcher()

    def _signal(self, number: int) -> None:
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kernel.send_signal(self._child, number)

    def _ask_launcher(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
        self._signal(signal.SIGKILL)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._open, self._serving, contextlib.ExitStack() as talking:
            if self._conversation is not None:
                talking.callback(self._conversation.finish, _CONVERSATION_SECONDS)
            self._make_an_end()

    def _make_an_end(self) -> None:
        if self._process is None:
            return
        self._control.close()  # and with it a listener that nobody took: whoever waits for its answer gets an error
        if self._process.poll() is None:
            if self._talking:
                self._ask_launcher()
            try:
                self._process.wait(_REMOVAL_SECONDS)
            except subprocess.TimeoutExpired:
                self._kill()
                self._process.wait()
        if self._child is not None:
            self._signal(signal.SIGKILL)
            with selectors.DefaultSelector() as selector:
                # The first process of a process namespace ends after all others in it.
                selector.register(self._child, selectors.EVENT_READ)
                selector.select(2 * GRACE_SECONDS)

    def outcome(self) -> Outcome:
        """Return how the command ended, or raise what kept it from running."""
        if self._failure is not None and self._failure["failed"] == "command":
            raise RunError(f"cannot run {self._container.argv[0]!r}: {self._failure.get('text', '')}")
        if self._full:
            raise RunError(
                f"cannot run {self._container.argv[0]!r}: the disk of {self._full} was nearly full, so the run was "
                "ended; let it write less, or to a directory of another disk (`mounts`), or set TMPDIR to a larger disk"
            )
        if self._failure is not None:
            raise EngineError(f"cannot start a container: {self._failure.get('text', '')}")
        if not self._started:
            raise EngineError(f"cannot start a container: {self._why_silent()}")
        if self._exit is None and not self._timed_out:
            raise EngineError("cannot finish a run: its launcher was killed; is there enough memory?")
        for name, stream in (("stdout", self.stdout), ("stderr", self.stderr)):
            if stream.cut:
                self._flags.append(
                    f"only the first {OUTPUT_LIMIT_BYTES >> 20} MiB of {name} were kept, and its last lines"
                )
        return Outcome(
            exit=128 + signal.SIGKILL if self._exit is None else self._exit,
            stdout=self.stdout.content(),
            stderr=self.stderr.content(),
            seconds=(self._ended or time.monotonic()) - self._started,
            timed_out=self._timed_out,
            steps=() if self._conversation is None else tuple(self._conversation.steps),
            flags=(*self._flags, *(() if self._conversation is None else self._conversation.flags)),
        )

    def _why_silent(self) -> str:
        if self._timed_out:
            return f"it was not ready after {SET_UP_SECONDS:.0f} seconds"
        last = self.stderr.content().decode(errors="replace").strip().splitlines()[-1:]
        status = None if self._process is None else self._process.returncode
        return f"its launcher ended with status {status} ({' '.join(last) or 'without a word'})"
