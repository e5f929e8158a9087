"""The root of a running container, looked into from outside. openat2(2), RESOLVE_IN_ROOT.

What a run makes and then executes is in no image, but the interpreter that it names may be.
"""

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from mlbloat.usage.trace.interpreters import interpreter_in
from mlbloat.usage.trace.owner import looked_up

_OPENAT2 = 437
_RESOLVE_IN_ROOT = 0x10
_MAX_LINKS = 40
"""The kernel follows no more in one name: path_resolution(7)."""
_ATTEMPTS = 10
_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class Root:
    """The root directory that the first process of a container has. No link leads out of it; close it."""

    def __init__(self) -> None:
        self._descriptor: int | None = None

    def open(self, process: int) -> None:
        """Hold the root from now on: when the process has ended, nobody finds it any more."""
        self._of(process)

    def copy(self) -> "Root":
        """Return the same root, to be closed by itself."""
        other = Root()
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # closed meanwhile, because the run is over
                other._descriptor = os.dup(self._descriptor)
        return other

    def interpreter(self, process: int, path: bytes) -> bytes:
        """Return the interpreter that a program names; empty when it names none or cannot be read."""
        with _opened(self._of(process), path) as descriptor:
            return _interpreter(descriptor)

    def interpreter_of(self, process: int, number: int) -> bytes:
        """Return the interpreter of a program that a process has open, which may have no name any more."""
        try:
            descriptor = _open_link(process, b"fd/%d" % number)
        except OSError:
            return b""
        try:
            return _interpreter(descriptor)
        finally:
            os.close(descriptor)

    def mode(self, process: int, path: bytes) -> int:
        """Return the mode of what a name means, no link followed; 0 when there is nothing."""
        with _opened(self._of(process), path, os.O_NOFOLLOW) as descriptor:
            return os.fstat(descriptor).st_mode if descriptor >= 0 else 0

    def passed(self, process: int, root: bytes, path: bytes) -> tuple[bytes, ...]:
        """Return the links that a path passes below a directory of the container, and where it ends."""
        with _opened(self._of(process), root or b"/") as top:
            return tuple(_walk(top, path)) if top >= 0 else ()

    def _of(self, process: int) -> int:
        if self._descriptor is None:
            with contextlib.suppress(OSError):
                self._descriptor = _open_link(process, b"root")
        return -1 if self._descriptor is None else self._descriptor

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def passed(process: int, root: bytes, path: bytes) -> tuple[bytes, ...]:
    """Return the links that an absolute path passes below another root than the container's, and where it ends.

    `root` is an entry of /proc/PID. The links are followed here because they mean something else to the image.
    """
    try:
        top = _open_link(process, root)
    except OSError:
        return ()
    try:
        return tuple(_walk(top, path))
    finally:
        os.close(top)


def _walk(top: int, path: bytes) -> Iterator[bytes]:
    here, ahead, links = b"", path.split(b"/"), 0
    while ahead:
        part = ahead.pop(0)
        if part == b"..":
            here = here.rpartition(b"/")[0]
        elif part not in (b"", b"."):
            there = here + b"/" + part
            target = _target(top, there)
            links += bool(target)
            if links > _MAX_LINKS:
                return
            if target:
                yield there
                ahead = target.split(b"/") + ahead
            here = there if not target else b"" if target.startswith(b"/") else here
    yield here or b"/"


def _target(top: int, path: bytes) -> bytes:
    with _opened(top, path, os.O_NOFOLLOW) as descriptor:
        if descriptor < 0 or not stat.S_ISLNK(os.fstat(descriptor).st_mode):
            return b""
        return os.readlink(b"", dir_fd=descriptor)


def _open_link(process: int, what: bytes) -> int:
    path = b"/proc/%d/%s" % (process, what)
    return looked_up(process, lambda: os.open(path, os.O_PATH | os.O_CLOEXEC))


@contextlib.contextmanager
def _opened(top: int, path: bytes, flags: int = 0) -> Iterator[int]:
    how = _How(os.O_PATH | os.O_CLOEXEC | flags, 0, _RESOLVE_IN_ROOT)
    arguments = (ctypes.c_int(top), path, ctypes.byref(how))
    for _ in range(_ATTEMPTS):
        descriptor = int(_libc.syscall(ctypes.c_long(_OPENAT2), *arguments, ctypes.c_size_t(ctypes.sizeof(how))))
        # A rename anywhere in the system may disturb the way over "..".
        if descriptor >= 0 or ctypes.get_errno() != errno.EAGAIN:
            break
    try:
        yield descriptor
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _interpreter(descriptor: int) -> bytes:
    # Only what is seen to be a regular file is opened: opening a pipe or a device does something.
    if descriptor < 0 or not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return b""
    try:
        with Path(f"/proc/self/fd/{descriptor}").open("rb") as stream:
            return os.fsencode(interpreter_in(stream))
    except OSError:
        return b""
