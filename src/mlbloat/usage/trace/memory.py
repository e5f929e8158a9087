"""Read strings from the memory of stopped threads. proc_pid_mem(5)."""

import os
import time

from mlbloat.usage.trace.owner import looked_up

PATH_MAX = 4096
_PAGE_BYTES = 4096
_FIRST_BYTES = 256
"""Nearly every path is shorter; the rest takes a second read."""
_MAX_OPEN = 256
_KEEP_SECONDS = 0.2
"""An open file stays with the memory it was opened for, while a thread number may come to mean another process: not
sooner than the kernel has given out all other numbers, for which this is too short."""


class Memory:
    """Reads what a thread has at an address. Keeps files open between reads, which halves the cost; close it."""

    def __init__(self) -> None:
        self._files: dict[int, int] = {}
        self._since = 0.0

    def string(self, thread: int, address: int) -> bytes | None:
        """Return the bytes up to the first zero, at most PATH_MAX; None when they cannot be read."""
        # A read stops before a page that is not there, and a string may end just before one.
        found = self._read(thread, address, _FIRST_BYTES)
        while found is not None:
            end = found.find(b"\0")
            if end >= 0:
                return found[:end]
            if len(found) >= PATH_MAX:
                return None
            after = address + len(found)
            more = self._read(thread, after, _PAGE_BYTES - after % _PAGE_BYTES)
            found = found + more if more else None
        return None

    def content(self, thread: int, address: int, length: int) -> bytes:
        """Return the bytes at an address, fewer when a page is missing, none when they cannot be read."""
        return self._read(thread, address, length) or b""

    def forget(self, thread: int) -> None:
        """Drop what is open of a thread that is about to execute, and so to get another memory."""
        descriptor = self._files.pop(thread, None)
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def _read(self, thread: int, address: int, length: int) -> bytes | None:
        now = time.monotonic()
        if now - self._since > _KEEP_SECONDS or len(self._files) > _MAX_OPEN:
            self.close()
            self._since = now
        try:
            descriptor = self._files.get(thread)
            if descriptor is not None:
                chunk = os.pread(descriptor, length, address)
                if chunk:
                    return chunk
                self.forget(thread)  # that memory is gone: the thread has executed
            path = f"/proc/{thread}/mem"
            descriptor = looked_up(thread, lambda: os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            self._files[thread] = descriptor
            return os.pread(descriptor, length, address) or None
        except (OSError, OverflowError):
            return None
