"""The root of a running container, looked into from outside. openat2(2), RESOLVE_IN_ROOT.

What a run makes and then executes is in no image, but the interpreter that it names may be.
"""

import contextlib
import ctypes
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from mlbloat.usage.trace.interpreters import interpreter_in
from mlbloat.usage.trace.owner import looked_up

_OPENAT2 = 437
_RESOLVE_IN_ROOT = 0x10
_libc = ctypes.CDLL(None)


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class Root:
    """The root directory that the first process of a container has. No link leads out of it; close it."""

    def __init__(self) -> None:
        self._descriptor: int | None = None

    def interpreter(self, process: int, path: bytes) -> bytes:
        """Return the interpreter that a program names; empty when it names none or cannot be read."""
        if self._descriptor is None:
            with contextlib.suppress(OSError):
                self._descriptor = looked_up(
                    process, lambda: os.open(f"/proc/{process}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                )
        with self._opened(path) as descriptor:
            # Only what is seen to be a regular file is opened: opening a pipe or a device does something.
            if descriptor < 0 or not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return b""
            try:
                with Path(f"/proc/self/fd/{descriptor}").open("rb") as stream:
                    return os.fsencode(interpreter_in(stream))
            except OSError:
                return b""

    @contextlib.contextmanager
    def _opened(self, path: bytes) -> Iterator[int]:
        how = _How(os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
        arguments = (ctypes.c_int(-1 if self._descriptor is None else self._descriptor), path, ctypes.byref(how))
        descriptor = int(_libc.syscall(ctypes.c_long(_OPENAT2), *arguments, ctypes.c_size_t(ctypes.sizeof(how))))
        try:
            yield descriptor
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
