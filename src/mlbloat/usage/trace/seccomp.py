"""Answer the notifications of a seccomp filter, and note what each call names. seccomp_unotify(2).

The call waits while its strings are read, then goes on in the kernel as if nothing had been. A filter cannot be taken
off: when this thread ends early, every later call of the container fails with ENOSYS.
"""

import contextlib
import errno
import fcntl
import os
import select
import stat
import struct
import threading
from collections.abc import Callable, Iterator

from mlbloat.errors import EngineError
from mlbloat.model.use import Action
from mlbloat.runtime import Means, kernel_version
from mlbloat.usage.trace.calls import BY_NUMBER, CALLS, CONNECT, CWD, NAMES, TIMERS, Call
from mlbloat.usage.trace.interpreters import MAX_INTERPRETERS
from mlbloat.usage.trace.memory import Memory
from mlbloat.usage.trace.names import Names, base_of
from mlbloat.usage.trace.notes import MAX_ACCESSES, Notes, Noting
from mlbloat.usage.trace.outside import ADDRESS_BYTES
from mlbloat.usage.trace.root import Root, passed

name = "seccomp"

BLIND = ""
"""Nothing that a run of ours can do with a name: io_uring is refused, and interpreters are followed."""

_RECEIVE = 0xC0502100
_SEND = 0xC0182101
_ID_VALID = 0x40082102
_SET_FLAGS = 0x40082104
_SYNC_WAKE_UP = 1
_CONTINUE = 1
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
"""struct seccomp_notif: id, thread, flags; then seccomp_data: number, architecture, instruction pointer, arguments."""
_HEAD = struct.Struct("=8xI4xQ8xQQ")
"""What most calls are decided by: thread, number and architecture as one, first and second argument."""
_ANSWER = struct.Struct("=QqiI")
"""struct seccomp_notif_resp: id, value, error, flags."""
_IDENTITY = struct.Struct("=Q")

_JOIN_SECONDS = 120.0
_NICENESS = -15
_AT_FDCWD = 0xFFFFFF9C
_AT_EMPTY_PATH = 0x1000
_HOW = struct.Struct("=QQQ")
"""struct open_how: flags, mode, resolve."""
_RESOLVE_IN_ROOT = 0x10
_MEMORY_FILE = b"/memfd:"


_RECEIVING_ENDS = kernel_version() >= (6, 11)
"""Receiving returns when nobody is left under the filter (Linux 6.11); before, only polling does, at the price of a
sixth of the time of each call."""


def _poller(descriptor: int, wake: int) -> Callable[[], bool]:
    """Return what waits for a notification: False when nobody is left under the filter, or the run is over."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    poller.register(wake, 0)
    waiting = [(descriptor, select.POLLIN)]

    def wait() -> bool:
        events = poller.poll()
        return events == waiting or any(event & select.POLLIN for _, event in events)

    return wait


def _nobody_is_left(descriptor: int) -> bool:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return any(event & select.POLLHUP for _, event in poller.poll(0))


def problem() -> str:
    """Say why it cannot be used here; the engines say so themselves."""
    return ""


class Recorder(Noting):
    """The listener of one run. Collects accesses in the order of their first use."""

    calls = NAMES
    means: tuple[Means, ...] = ("calls",)

    def __init__(self, notes: Notes | None = None) -> None:
        super().__init__(notes)
        self._seen = self._notes.seen
        self._simple = self._simple_calls()
        self._names = Names()
        self._memory = Memory()
        self._root = Root()
        self._executed: set[bytes] = set()
        self._begun = False
        self._timer = False
        self._unread = 0
        self._serving = self._done = False
        self._others: list[Recorder] = []
        """Of commands that were started in the running container: each has a filter, so a listener, of its own."""

    def flags(self) -> tuple[str, ...]:
        """Say what this tracer may have missed or changed in this run."""
        theirs = (flag for other in self._others for flag in other.flags())
        return tuple(dict.fromkeys((*self._flags(), *theirs)))

    def _flags(self) -> tuple[str, ...]:
        sentences = (
            (
                self._timer,
                "it set a timer: a signal that interrupts a traced call may make it fail with EINTR, "
                "which does not happen without tracing",
            ),
            (self._notes.full, f"it named more than {MAX_ACCESSES} distinct paths; the rest was not recorded"),
            (
                bool(self._unread),
                f"{self._unread} names could not be read from the memory of its processes, so files that it used may "
                "be missing here; trace as root with the capability SYS_PTRACE",
            ),
        )
        return tuple(sentence for holds, sentence in sentences if holds)

    @contextlib.contextmanager
    def serve(self, means: Means, *descriptors: int) -> Iterator[None]:
        """Answer until every process under the filter ended."""
        if self._serving:
            self._others.append(Recorder(self._notes))
            with self._others[-1].serve(means, *descriptors):
                yield
            return
        self._serving = True
        wake, woken = os.pipe()
        thread = threading.Thread(target=self._serve, args=(*descriptors, wake), name="tracer", daemon=True)
        thread.start()
        try:
            yield
        finally:
            os.close(woken)
            thread.join(_JOIN_SECONDS)
            if not thread.is_alive():
                os.close(wake)
        if self._unread and not self._notes.any:
            raise EngineError(
                "cannot trace: the memory of the processes may not be read; run as root with the capability SYS_PTRACE "
                "(in a container: --cap-add SYS_PTRACE)"
            )
        if not self._done:
            raise EngineError("cannot trace: the tracer stopped before the run did; run it again")

    def _serve(self, descriptor: int, wake: int) -> None:
        try:
            with contextlib.suppress(OSError):  # Linux 6.6: saves a trip through the scheduler for each call
                fcntl.ioctl(descriptor, _SET_FLAGS, _SYNC_WAKE_UP)
            with contextlib.suppress(OSError):
                # A call that waits for us should not wait for whatever else keeps this machine busy.
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
            self._answer_all(descriptor, wake)
            self._done = True
        finally:
            # Nobody may wait for an answer that does not come.
            os.close(descriptor)
            self._memory.close()
            self._root.close()

    def _answer_all(self, descriptor: int, wake: int) -> None:
        """Receive, note, answer: every path call of the container waits for this loop, so it does little."""
        waits = None if _RECEIVING_ENDS else _poller(descriptor, wake)
        empty = bytes(_NOTIFICATION.size)
        notification = bytearray(empty)
        answer = bytearray(_ANSWER.pack(0, 0, 0, _CONTINUE))
        simple, string, ioctl, head = self._simple, self._memory.string, fcntl.ioctl, _HEAD.unpack_from
        while True:
            if waits is not None and not waits():
                return
            notification[:] = empty
            try:
                ioctl(descriptor, _RECEIVE, notification)
            except OSError as error:
                if error.errno == errno.ENOENT and waits is None and _nobody_is_left(descriptor):
                    return
                if error.errno in (errno.ENOENT, errno.EINTR):
                    continue  # killed in the meantime
                raise
            thread, call, first, second = head(notification)
            known = simple.get(call)
            if known is None or string(thread, second if known[0] else first) not in known[1]:
                self._note_call(notification, descriptor)
            answer[:8] = notification[:8]
            try:
                ioctl(descriptor, _SEND, answer)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise

    def _simple_calls(self) -> dict[int, tuple[int, set[bytes]]]:
        """Calls of one path that need no look when that path, absolute and as it is, was noted before."""
        return {
            architecture << 32 | number: (call.paths[0][1], self._seen[call.action])
            for architecture, names in BY_NUMBER.items()
            for number, name in names.items()
            if (call := CALLS.get(name)) is not None
            and len(call.paths) == 1
            and call.paths[0][1] in (0, 1)
            and call.action in (Action.OPENED, Action.LOOKED_UP)
            and name not in ("chroot", "openat2")
        }

    def _note_call(self, notification: bytearray, listener: int) -> None:
        identity, thread, _, number, architecture, _, *arguments = _NOTIFICATION.unpack(notification)
        self._note(BY_NUMBER[architecture][number], thread, arguments, listener, identity)

    def _note(self, name: str, thread: int, arguments: list[int], listener: int, identity: int) -> None:
        call = CALLS.get(name)
        if call is None:
            self._timer = self._timer or name in TIMERS
            if name == CONNECT and self._begun:
                length = min(arguments[2], ADDRESS_BYTES)
                self.outside.note(self._memory.content(thread, arguments[1], length))
            return
        if call.action is Action.EXECUTED:
            self._begun = True
        if not self._begun:
            return  # the runtime's own last steps before it becomes the command
        if call.action is Action.LISTED:
            listed = self._names.descriptor(thread, arguments[0])
            if listed is not None:
                self._add(listed, call.action, listener, identity)
            return
        paths = [self._path(thread, arguments, place, call, listener, identity) for place in call.paths]
        if call.action is Action.EXECUTED:
            if name == "execveat" and not paths[0] and arguments[4] & _AT_EMPTY_PATH:
                self._execute_open_file(thread, arguments[0], listener, identity)
            else:
                self._interpreters(thread, paths[0], listener, identity)
            self._memory.forget(thread)
        elif call.action is Action.CHANGED:
            self._follow_links(name, thread, arguments, paths)
        elif name == "chroot":
            self._names.roots_differ = True
            self._look_at_all()

    def _interpreters(self, thread: int, path: bytes | None, listener: int, identity: int) -> None:
        """Note what the kernel will open itself to execute a program: no system call shows it."""
        if path is None or path in self._executed:
            return
        if self._follow(thread, self._root.interpreter(thread, path), listener, identity):
            self._executed.add(path)

    def _execute_open_file(self, thread: int, number: int, listener: int, identity: int) -> None:
        path = self._names.descriptor(thread, number)
        if path is not None and not path.startswith(_MEMORY_FILE):
            self._add(path, Action.EXECUTED, listener, identity)
        self._follow(thread, self._root.interpreter_of(thread, number & 0x7FFFFFFF), listener, identity)

    def _follow(self, thread: int, interpreter: bytes, listener: int, identity: int) -> bool:
        """Note an interpreter, and its own; False when a signal took the call back: it comes again."""
        for _ in range(MAX_INTERPRETERS):
            path = self._names.absolute(thread, _AT_FDCWD, interpreter) if interpreter else None
            if path is None:
                break
            if not self._add(path, Action.EXECUTED, listener, identity):
                return False
            if self._names.roots_differ:
                path = self._add_below(thread, b"root", (_AT_FDCWD, interpreter), Action.EXECUTED, listener, identity)
            interpreter = self._root.interpreter(thread, path) if path else b""
        return True

    def _look_at_all(self) -> None:
        """From now on the same name may mean another file: nothing that was noted may be passed over."""
        self._simple.clear()

    def _path(
        self, thread: int, arguments: list[int], place: tuple[int, int], call: Call, listener: int, identity: int
    ) -> bytes | None:
        directory, position = place
        address = arguments[position]
        if not address:
            return None
        text = self._memory.string(thread, address)
        if not text:
            self._unread += text is None
            return None
        path: bytes | None = text
        start = _AT_FDCWD if directory == CWD else arguments[directory]
        if call.name == "openat2" and self._is_in_root(thread, arguments):
            return self._add_below(thread, base_of(start), (start, text), call.action, listener, identity)
        if text[0] != 0x2F or self._names.roots_differ or text.startswith(b"/proc/"):
            path = self._names.absolute(thread, start, text)
        if path is not None:
            self._add(path, call.action, listener, identity)
            if self._names.roots_differ:
                return self._add_below(thread, b"root", (start, text), call.action, listener, identity) or path
        return path

    def _is_in_root(self, thread: int, arguments: list[int]) -> bool:
        how = self._memory.content(thread, arguments[2], _HOW.size)
        return len(how) == _HOW.size and bool(_HOW.unpack(how)[2] & _RESOLVE_IN_ROOT)

    def _add_below(
        self, thread: int, root: bytes, named: tuple[int, bytes], action: Action, listener: int, identity: int
    ) -> bytes | None:
        """Note what a name means below another root than the container's, link by link; return where it leads."""
        below = self._names.below(thread, root, *named)
        if below is None:
            return None
        there, path = below
        for step in passed(thread, root, path):
            path = step
            self._add(there + step, action, listener, identity)
        return there + path

    def _add(self, path: bytes, action: Action, listener: int, identity: int) -> bool:
        """Note a path; False when its call is no longer there, so that what was read may be another process's."""
        seen = self._seen[action]
        for name in (path, self._names.behind_links(path)):
            if name is None or name in seen:
                continue
            try:
                # Had the thread died while we read, its number might already be another's.
                fcntl.ioctl(listener, _ID_VALID, _IDENTITY.pack(identity))
            except OSError:
                return False
            self._notes.add(name, action)
        return True

    def _follow_links(self, name: str, thread: int, arguments: list[int], paths: list[bytes | None]) -> None:
        if name in ("symlink", "symlinkat"):
            target = self._memory.string(thread, arguments[0])
            if target and paths[0]:
                self._names.made_link(paths[0], target)
                self._look_at_all()
        elif name in ("rename", "renameat", "renameat2") and paths[0] and paths[1]:
            old, new = paths[0], paths[1]
            if not self._names.moved(old, new) and stat.S_ISDIR(self._root.mode(thread, old)):
                # What lies in it keeps its old name in the image.
                self._names.made_link(new, old)
                self._look_at_all()
