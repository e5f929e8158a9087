"""What the user sees on stderr while the pipeline works."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from mlbloat.model.plain import plain


class Talker:
    """Says each stage on stderr: one line that is rewritten on a terminal, plain lines with times at `-v`."""

    def __init__(
        self, *, quiet: bool, verbose: bool, stream: TextIO | None = None, terminal: bool | None = None
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._verbose = verbose
        self._terminal = self._stream.isatty() if terminal is None else terminal
        self._said = 0.0

    @contextmanager
    def stage(self, text: str) -> Iterator[None]:
        self._rewrite(f"{text} …")
        started = time.monotonic()
        try:
            yield
        finally:
            self._rewrite("")
            if self._verbose and not self._quiet:
                print(f"{time.monotonic() - started:7.2f} s  {plain(text)}", file=self._stream, flush=True)

    def progress(self, what: str, done: int, total: int | None) -> None:
        from mlbloat.report.units import size

        now = time.monotonic()
        if now - self._said >= 0.1:
            self._said = now
            self._rewrite(f"{what}: {size(done)}" + (f" of {size(total)}" if total else ""))

    def _rewrite(self, text: str) -> None:
        if self._terminal and not self._quiet:
            print(f"\r\x1b[2K{plain(text)[:100]}", end="", file=self._stream, flush=True)
