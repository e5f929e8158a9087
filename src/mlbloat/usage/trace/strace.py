"""Note what strace prints of a run's calls: the last resort, where the other tracers cannot be had. strace(1).

Every call that names a path stops twice, and each time strace asks the kernel several things, so a run takes a
multiple of its time. It needs nothing but the right to trace.
"""

import contextlib
import os
import select
import socket
import stat
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

from mlbloat.errors import EngineError
from mlbloat.model.use import Action, Phase
from mlbloat.runtime import Attached, Means, attach_strace, strace_problem
from mlbloat.usage.trace.calls import CALLS, CONNECT, CWD, Call
from mlbloat.usage.trace.interpreters import MAX_INTERPRETERS
from mlbloat.usage.trace.names import Names
from mlbloat.usage.trace.notes import Notes, Noting
from mlbloat.usage.trace.processes import CALLS as FOLLOWED
from mlbloat.usage.trace.processes import Process, Processes, Stage
from mlbloat.usage.trace.root import Root
from mlbloat.usage.trace.stracelines import Address, Argument, Began, Descriptor, Line, Text, address_in, parsed

name = "strace"

BLIND = (
    "the tracer strace makes a run take a multiple of its time, and programs that trace others (debuggers, leak "
    "checkers) fail under it; it does not see the names in calls that are newer than the strace of this machine, nor "
    "the interpreters of programs that the run made and removed at once; take --tracer seccomp where it works"
)

_READ_BYTES = 1 << 16
_JOIN_SECONDS = 120.0
_MEMORY_FILE = b"/memfd:"
_OWN_ROOT = b"RESOLVE_IN_ROOT"
_MAX_AGAIN = 50_000
_DELETED = b" (deleted)"


def problem() -> str:
    """Say why it cannot be used here; empty when it can."""
    return strace_problem()


class Recorder(Noting):
    """The listener of one run. Collects accesses in the order of their first use."""

    calls: frozenset[str] = frozenset()
    means: tuple[Means, ...] = ("strace",)

    def __init__(self) -> None:
        super().__init__()
        self._names = Names()
        self._readers: list[_Reader] = []
        """One for the container's first process, and one for each command that was started beside it."""

    def enter(self, phase: Phase) -> None:
        """Note where a phase begins: what is in the pipes by now belongs to the one before."""
        for reader in self._readers:
            reader.drain()
        super().enter(phase)

    def flags(self) -> tuple[str, ...]:
        """Say what this tracer cannot see, and what it lost."""
        unread = sum(reader.unread for reader in self._readers)
        lost = (
            f"{unread} names could not be read or are relative to a directory that is not known, so files that it used "
            "may be missing here; take seccomp"
        )
        return (BLIND, *((lost,) if unread else ()), *self._notes.flags())

    @contextlib.contextmanager
    def serve(self, means: Means, *descriptors: int) -> Iterator[None]:
        """Attach to a process that waits, let it go on, and read until all that it started has ended."""
        process, go = descriptors
        try:
            attached = attach_strace(process, (*CALLS, CONNECT, *FOLLOWED))
            root = self._readers[0].root.copy() if self._readers else Root()
            reader = _Reader(attached, self._notes, self._names, root)
            thread = threading.Thread(target=reader.read_all, name=means, daemon=True)
            thread.start()
            self._readers.append(reader)
            os.write(go, b"1")
        finally:
            os.close(go)
            os.close(process)
        try:
            yield
        finally:
            thread.join(_JOIN_SECONDS)
            if thread.is_alive():
                attached.kill()
                thread.join(_JOIN_SECONDS)
        if reader.wrong:
            raise EngineError(f"cannot trace: the tracer stopped before the run did ({reader.wrong}); run it again")


class _Reader:
    """Reads what one strace prints, and notes it."""

    def __init__(self, attached: Attached, notes: Notes, names: Names, root: Root) -> None:
        self._attached = attached
        self._output = attached.output
        os.set_blocking(self._output, False)
        self._notes, self._names = notes, names
        self.root = root
        entered = _has_another_root(attached.process)
        if entered:
            root.open(attached.process)
        place = _link(attached.process, "root") if entered else None
        self._processes = Processes(prefix=(place or b"").rstrip(b"/"), inner=_inner, look=_file_of)
        stage = Stage.ENTERED if entered else Stage.OUTSIDE
        self._processes.start(attached.threads, _link(attached.process, "cwd"), stage)
        self._rest = b""
        self._again: set[bytes] = set()
        """What tells nothing new when it is printed again, of whatever process."""
        self._executed: set[bytes] = set()
        self._unread = 0
        self._reading = threading.Lock()
        self._open = True
        self.wrong = "what it says could not be read"
        """Empty when all of it was noted."""

    @property
    def unread(self) -> int:
        """Names that are not known."""
        return self._unread + self._processes.unplaced

    def read_all(self) -> None:
        """Read to the end."""
        try:
            while self._open:
                select.select([self._output], [], [])
                self.drain()
            self.wrong = ""
        finally:
            with self._reading:
                self._open = False
                os.close(self._output)
                self.root.close()
            self.wrong = self._attached.finish() or self.wrong

    def drain(self) -> None:
        """Note what has been printed by now."""
        with self._reading, contextlib.suppress(BlockingIOError):
            while self._open:
                chunk = os.read(self._output, _READ_BYTES)
                if not chunk:
                    self._open = False
                    self._note_all(self._processes.finish())
                    return
                *lines, self._rest = (self._rest + chunk).split(b"\n")
                for line in lines:
                    self._take(line)

    def _take(self, line: bytes) -> None:
        number, _, said = line.partition(b" ")
        if said in self._again and self._processes.plain(int(number)):
            return
        read = parsed(line)
        if read is not None:
            self._note_all(self._processes.follow(read))
            if isinstance(read, Began) and _is_plain(read) and self._processes.plain(read.process):
                if len(self._again) >= _MAX_AGAIN:
                    self._again.clear()
                self._again.add(said)

    def _note_all(self, followed: Iterator[tuple[Process, Line]]) -> None:
        for process, line in followed:
            if isinstance(line, Began) and process.stage is Stage.INSIDE:
                self._note(process, line)

    def _note(self, process: Process, line: Began) -> None:
        call = CALLS.get(line.name)
        if call is None:
            if line.name == CONNECT and (address := address_in(line.rest)):
                self._notes.outside.note(_packed(*address))
            return
        if call.action is Action.LISTED:
            listed = self._processes.directory(process, _descriptor(line.arguments, 0))
            if listed is not None:
                self._add(listed, call.action)
            return
        paths = [self._path(process, line, place, call) for place in call.paths]
        if call.action is Action.EXECUTED:
            self._interpreters(process, paths[0])
        elif call.action is Action.CHANGED:
            self._follow_links(process, line, paths)

    def _path(self, process: Process, line: Began, place: tuple[int, int], call: Call) -> bytes | None:
        directory, position = place
        named = line.arguments[position] if position < len(line.arguments) else Address()
        if isinstance(named, Address) or (isinstance(named, Text) and not named.whole):
            self._unread += 1
            return None
        if not isinstance(named, Text):
            return None  # NULL
        base = None if directory == CWD else _descriptor(line.arguments, directory)
        if line.name == "openat2" and _OWN_ROOT in line.rest:
            root = self._processes.directory(process, base)
            return None if root is None else self._walked(process, root.rstrip(b"/"), named.content, call.action)
        path = None
        if named.content:
            path = self._processes.absolute(process, named.content, base)
        elif call.action is Action.EXECUTED:
            path = self._processes.directory(process, base)  # fexecve: the file is open already
        if path is None or (not named.content and path.startswith(_MEMORY_FILE)):
            return None
        self._add(path, call.action)
        return self._below(process, path, call.action)

    def _interpreters(self, process: Process, path: bytes | None) -> None:
        if path is None or path in self._executed:
            return
        first = path
        for _ in range(MAX_INTERPRETERS):
            interpreter = self.root.interpreter(process.number, path)
            named = self._processes.absolute(process, interpreter) if interpreter else None
            if named is None:
                return
            self._executed.add(first)  # only now: what was not there yet may be there next time
            self._add(named, Action.EXECUTED)
            path = self._below(process, named, Action.EXECUTED)

    def _follow_links(self, process: Process, line: Began, paths: list[bytes | None]) -> None:
        if line.name in ("symlink", "symlinkat"):
            target = line.arguments[0]
            if isinstance(target, Text) and paths[0]:
                self._names.made_link(paths[0], target.content)
                self._again.clear()
        elif line.name in ("rename", "renameat", "renameat2") and paths[0] and paths[1]:
            old, new = paths[0], paths[1]
            # It may have moved on by the time that this is read. A link too many only adds a name.
            mode = self.root.mode(process.number, new)
            if not self._names.moved(old, new) and (not mode or stat.S_ISDIR(mode)):
                self._names.made_link(new, old)
                self._again.clear()

    def _below(self, process: Process, path: bytes, action: Action) -> bytes:
        """Note what a name means below a changed root, link by link: they lead elsewhere than in the image."""
        root = process.place.root
        if not root or not (path + b"/").startswith(root + b"/"):
            return path
        return self._walked(process, root, path[len(root) :], action)

    def _walked(self, process: Process, root: bytes, path: bytes, action: Action) -> bytes:
        for step in self.root.passed(process.number, root, path):
            path = step
            self._add(root + step, action)
        return root + path

    def _add(self, path: bytes, action: Action) -> None:
        self._notes.add(path, action)
        behind = self._names.behind_links(path)
        if behind is not None:
            self._notes.add(behind, action)


def _is_plain(line: Began) -> bool:
    """Tell whether a call names the same again when it is printed again: by absolute paths alone, and only looks."""
    call = CALLS.get(line.name)
    if call is None or line.ended is None or call.action not in (Action.OPENED, Action.LOOKED_UP):
        return False
    if line.name in ("chdir", "chroot", "openat2"):
        return False
    texts = [argument.content for argument in line.arguments if isinstance(argument, Text)]
    return bool(texts) and texts[0].startswith(b"/") and not texts[0].startswith(b"/proc/")


def _descriptor(arguments: tuple[Argument, ...], position: int) -> Descriptor | None:
    found = arguments[position] if position < len(arguments) else None
    return found if isinstance(found, Descriptor) else None


def _packed(address: str, port: int) -> bytes:
    """Return an address as a program gives it to the kernel. struct sockaddr_in, struct sockaddr_in6."""
    try:
        if ":" in address:
            return struct.pack("=H", socket.AF_INET6) + struct.pack(">HI", port, 0) + _number(socket.AF_INET6, address)
        return struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + _number(socket.AF_INET, address)
    except (OSError, struct.error):
        return b""


def _number(family: int, address: str) -> bytes:
    return socket.inet_pton(family, address)


def _has_another_root(process: int) -> bool:
    try:
        return not os.path.samestat(Path(f"/proc/{process}/root").stat(), Path("/").stat())
    except OSError:
        return True


def _link(process: int, what: str) -> bytes | None:
    try:
        return os.fsencode(Path(f"/proc/{process}/{what}").readlink())
    except OSError:
        return None


def _inner(process: int) -> int | None:
    """Return the number that a process or thread has in its own process namespace; None when it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_bytes().splitlines()
    except OSError:
        return None
    return next((int(line.split()[-1]) for line in lines if line.startswith(b"NSpid:")), None)


def _file_of(process: int, descriptor: int) -> bytes | None:
    there = _link(process, f"fd/{descriptor}")
    return there.removesuffix(_DELETED) if there is not None and there.startswith(b"/") else None
