"""Note what is opened on the container's file system, from the kernel's own queue of events. fanotify(7).

Nothing waits for this tracer, so a run costs next to nothing more. In return it sees opening and executing alone.
"""

import contextlib
import os
import select
import stat
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

from mlbloat.errors import EngineError
from mlbloat.model.use import Access, Action
from mlbloat.usage.trace.outside import Attempts

name = "fanotify"

BLIND = (
    "the tracer fanotify sees what is opened, listed and executed, and neither look-ups (stat, access, readlink), nor "
    "the links that lead to a file, nor names that do not exist: what static reach does not find of them may be "
    "missing here; take --tracer seccomp for a complete record"
)

_EVENT = struct.Struct("=IBBHQii")
"""struct fanotify_event_metadata: length, version, reserved, its own length, mask, descriptor, process."""
_OPEN_EXEC, _OVERFLOW = 0x1000, 0x4000
_DELETED = b" (deleted)"
_READ_BYTES = 1 << 16
_MAX_ACCESSES = 1_000_000
_JOIN_SECONDS = 20.0


def problem() -> str:
    """Say why it cannot be used here; empty when it can."""
    if os.geteuid() != 0:
        return "it needs root with the capability SYS_ADMIN; run as root, or take seccomp"
    # The kernel tells names as they are outside of a chroot, where the container's are none.
    mounted = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return "" if "/" in mounted else "in a chroot the files of a container have no names for it; take seccomp"


class Recorder:
    """The listener of one run. Collects accesses in the order of their first use."""

    calls: frozenset[str] = frozenset()
    watches = True

    def __init__(self) -> None:
        self._accesses: dict[tuple[bytes, Action], None] = {}
        self.outside = Attempts()
        self._lost = self._full = False
        self._done = False

    def accesses(self) -> tuple[Access, ...]:
        """Return what was opened; complete when serving ended."""
        return tuple(Access(os.fsdecode(path), action) for path, action in self._accesses)

    def flags(self) -> tuple[str, ...]:
        """Say what this tracer cannot see, and what it lost."""
        sentences = (
            (True, BLIND),
            (
                self._lost,
                "events were lost, because they came faster than they were read; run it again, or take seccomp",
            ),
            (self._full, f"it opened more than {_MAX_ACCESSES} distinct paths; the rest was not recorded"),
        )
        return tuple(sentence for holds, sentence in sentences if holds)

    @contextlib.contextmanager
    def serve(self, descriptor: int) -> Iterator[None]:
        """Read events until the run is over, then what is left of them."""
        wake, woken = os.pipe()
        thread = threading.Thread(target=self._serve, args=(descriptor, wake), name="tracer", daemon=True)
        thread.start()
        try:
            yield
        finally:
            os.close(woken)
            thread.join(_JOIN_SECONDS)
            if not thread.is_alive():
                os.close(wake)
        if not self._done:
            raise EngineError("cannot trace: the tracer stopped before the run did; run it again")

    def _serve(self, descriptor: int, wake: int) -> None:
        try:
            over = False
            while not over:
                ready, _, _ = select.select([descriptor, wake], [], [])
                over = wake in ready
                while events := self._read(descriptor):
                    self._note_all(events)
            self._done = True
        finally:
            os.close(descriptor)

    def _read(self, descriptor: int) -> bytes:
        try:
            return os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return b""

    def _note_all(self, events: bytes) -> None:
        position = 0
        while position + _EVENT.size <= len(events):
            length, _, _, _, mask, opened, _ = _EVENT.unpack_from(events, position)
            position += max(length, _EVENT.size)
            if opened < 0:
                self._lost = self._lost or bool(mask & _OVERFLOW)
                continue
            try:
                path = os.readlink(b"/proc/self/fd/%d" % opened)  # noqa: PTH115  bytes in, bytes out
                self._note(mask, os.fstat(opened).st_mode, path)
            finally:
                os.close(opened)

    def _note(self, mask: int, mode: int, path: bytes) -> None:
        if not path.startswith(b"/") or b"/merged/" in path:
            return  # what the runtime did to set the container up went through another mount
        action = Action.OPENED
        if mask & _OPEN_EXEC:
            action = Action.EXECUTED
        elif stat.S_ISDIR(mode):
            action = Action.LISTED
        if len(self._accesses) >= _MAX_ACCESSES:
            self._full = True
            return
        self._accesses[path.removesuffix(_DELETED), action] = None
