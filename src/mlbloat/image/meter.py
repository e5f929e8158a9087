"""Count bytes for the progress bars, and stop every reader when one of them fails."""

import os
import threading
from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""Called with a short text, the bytes done and the bytes to do (None: unknown); never by two threads at once.

Texts that differ are done side by side: "reading layers", "layer 3"."""


class StoppedError(Exception):
    """Another reader failed or the user interrupted; that error is the one to show."""


class Meter:
    """Shared by the threads that read layers."""

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._whole: Meter | None = None
        self._text = ""
        self._done_bytes = 0
        self._total_bytes: int | None = None
        self._expanded_bytes = 0

    def begin(self, text: str, total_bytes: int | None) -> None:
        with self._lock:
            self._text, self._done_bytes, self._total_bytes = text, 0, total_bytes
            self._tell(0)

    def part(self, text: str, total_bytes: int) -> "Meter":
        """Return the meter of one layer: its bytes count for the whole, too, and stop with it."""
        part = Meter(self._progress)
        part._lock, part._stopped, part._whole = self._lock, self._stopped, self
        part._text, part._total_bytes = text, total_bytes
        return part

    def later(self, text: str, total_bytes: int) -> "Meter":
        """Return the meter of a layer that is counted already and may be read when somebody asks for a content."""
        meter = Meter(self._progress)
        meter._lock, meter._stopped = self._lock, self._stopped
        meter._text, meter._total_bytes = text, total_bytes
        return meter

    def __reduce__(self) -> tuple[type["Meter"], tuple[()]]:
        """Another process counts for itself, and tells nobody."""
        return Meter, ()

    def add(self, count: int) -> None:
        """Report bytes read; raise when reading is to stop."""
        if self._stopped.is_set():
            raise StoppedError
        with self._lock:
            self._tell(count)
            if self._whole is not None:
                self._whole._tell(count)

    def _tell(self, count: int) -> None:
        self._done_bytes += count
        # A copy of this process (fork) counts for itself: two that draw on one terminal leave it in disorder.
        if self._progress is not None and os.getpid() == self._process:
            self._progress(self._text, self._done_bytes, self._total_bytes)

    def expanded(self, count: int) -> int:
        """Add uncompressed bytes; return how many all layers have by now."""
        if self._whole is not None:
            return self._whole.expanded(count)
        with self._lock:
            self._expanded_bytes += count
            return self._expanded_bytes

    def stop(self) -> None:
        self._stopped.set()
