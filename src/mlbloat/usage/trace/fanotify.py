"""Note what is opened on the container's file system, from the kernel's own queue of events. fanotify(7).

Nothing waits for this tracer, so a run costs next to nothing more. In return it sees opening and executing alone.
"""

import contextlib
import os
import select
import stat
import struct
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from mlbloat.errors import EngineError
from mlbloat.model.use import Action, Phase
from mlbloat.runtime import Means
from mlbloat.usage.trace.notes import Noting

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
_READ_BYTES = 128 * _EVENT.size
"""Each event of a read is an open file, of which a process may have a thousand; what does not fit is lost."""
_WITNESS_SECONDS = 0.25
_JOIN_SECONDS = 120.0


def problem() -> str:
    """Say why it cannot be used here; empty when it can."""
    if os.geteuid() != 0:
        return "it needs root with the capability SYS_ADMIN; run as root, or take seccomp"
    # The kernel tells names as they are outside of a chroot, where the container's are none.
    mounted = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return "" if "/" in mounted else "in a chroot the files of a container have no names for it; take seccomp"


class Recorder(Noting):
    """The listener of one run. Collects accesses in the order of their first use.

    As a witness beside another tracer it reads now and then only, and nothing from before the command was executed.
    """

    calls: frozenset[str] = frozenset()
    means: tuple[Means, ...] = ("events",)

    def __init__(self, *, witness: bool = False) -> None:
        if witness:
            self.means = ("witness",)
        super().__init__()
        self._begun = not witness
        self._every_seconds = _WITNESS_SECONDS if witness else None
        self._lost = self._done = False
        self._descriptor: int | None = None
        self._reading = threading.Lock()

    def enter(self, phase: Phase) -> None:
        """Note where a phase begins: what is in the queue by now belongs to the one before."""
        with self._reading:
            if self._descriptor is not None:
                self._drain(self._descriptor)
            super().enter(phase)

    def flags(self) -> tuple[str, ...]:
        """Say what this tracer cannot see, and what it lost."""
        lost = "events were lost, because they came faster than they were read; run it again, or take seccomp"
        return (BLIND, *((lost,) if self._lost else ()), *self._notes.flags())

    @contextlib.contextmanager
    def serve(self, means: Means, *descriptors: int) -> Iterator[None]:
        """Read events until the run is over, then what is left of them."""
        wake, woken = os.pipe()
        (descriptor,) = descriptors
        self._descriptor = descriptor
        thread = threading.Thread(target=self._serve, args=(descriptor, wake), name=means, daemon=True)
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
                watched = [wake] if self._every_seconds else [descriptor, wake]
                over = wake in select.select(watched, [], [], self._every_seconds)[0]
                with self._reading:
                    self._drain(descriptor)
            self._done = True
        finally:
            with self._reading:
                self._descriptor = None
                os.close(descriptor)

    def _drain(self, descriptor: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while events := os.read(descriptor, _READ_BYTES):
                self._note_all(events)

    def _note_all(self, events: bytes) -> None:
        found = deque(_opened(events))
        try:
            while found:
                mask, opened = found[0]
                if opened < 0:
                    self._lost = self._lost or bool(mask & _OVERFLOW)
                else:
                    path = os.readlink(b"/proc/self/fd/%d" % opened)  # noqa: PTH115  bytes in, bytes out
                    self._note(mask, os.fstat(opened).st_mode, path)
                    os.close(opened)
                found.popleft()
        finally:
            for _, opened in found:
                if opened >= 0:
                    os.close(opened)

    def _note(self, mask: int, mode: int, path: bytes) -> None:
        if not path.startswith(b"/") or _is_from_outside(path):
            return
        self._begun = self._begun or bool(mask & _OPEN_EXEC)
        action = Action.OPENED
        if mask & _OPEN_EXEC:
            action = Action.EXECUTED
        elif stat.S_ISDIR(mode):
            action = Action.LISTED
        if self._begun:
            self._notes.add(path.removesuffix(_DELETED), action)


def _is_from_outside(path: bytes) -> bool:
    """Tell what a runtime did to set the container up: it went through a mount of ours, which is called `merged`.

    A directory of the image may have that name too, but then there is none outside at the same place.
    """
    before, found, _ = (path + b"/").partition(b"/merged/")
    return bool(found) and os.path.isdir(before + b"/merged")  # noqa: PTH112  bytes


def _opened(events: bytes) -> Iterator[tuple[int, int]]:
    """Yield what was done, and a descriptor of the file; -1 where there is none."""
    position = 0
    while position + _EVENT.size <= len(events):
        length, _, _, _, mask, opened, _ = _EVENT.unpack_from(events, position)
        position += max(length, _EVENT.size)
        yield mask, opened
