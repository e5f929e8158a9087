"""What the user sees on stderr while the pipeline works."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from mlbloat.model.plain import plain

if TYPE_CHECKING:
    from mlbloat.cli.bars import Bars

_PAUSE_SECONDS = 0.1
"""Between two looks of the terminal; what is shorter needs no bar."""


class Talker:
    """Says each stage on stderr: a line and bars that go away on a terminal, plain lines with times at `-v`."""

    def __init__(
        self,
        *,
        quiet: bool,
        verbose: bool,
        stream: TextIO | None = None,
        terminal: bool | None = None,
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._verbose = verbose
        self._terminal = not quiet and (_is_terminal(self._stream) if terminal is None else terminal)
        self._pause_seconds = pause_seconds
        self._said = 0.0
        self._rows: dict[str, tuple[int, int | None]] = {}
        self._bars: Bars | None = None

    @contextmanager
    def stage(self, text: str) -> Iterator[None]:
        self._end_bars()
        self._rewrite(f"{text} …")
        started = self._said = time.monotonic()
        try:
            yield
        finally:
            self._end_bars()
            self._rewrite("")
            if self._verbose and not self._quiet:
                print(f"{time.monotonic() - started:7.2f} s  {plain(text)}", file=self._stream, flush=True)

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Show bytes done of what is named; several may be under way."""
        if not self._terminal:
            return
        self._rows[what] = (done, total)
        now = time.monotonic()
        if now - self._said < self._pause_seconds:
            return
        self._said = now
        if self._bars is None:
            from mlbloat.cli.bars import Bars

            self._rewrite("")
            self._bars = Bars(self._stream)
        self._bars.show(self._rows)

    def _end_bars(self) -> None:
        bars, self._bars, self._rows = self._bars, None, {}
        if bars is not None:
            bars.end()

    def tell(self, text: str) -> None:
        """Say what whoever waits wants to know, unless they asked for silence."""
        if not self._quiet:
            self._rewrite("")
            print(plain(text), file=self._stream, flush=True)

    def say(self, text: str) -> None:
        if self._verbose and not self._quiet:
            self._rewrite("")
            print(f"           {plain(text)}", file=self._stream, flush=True)

    def _rewrite(self, text: str) -> None:
        if self._terminal:
            print(f"\r\x1b[2K{plain(text)[:100]}", end="", file=self._stream, flush=True)


def _is_terminal(stream: TextIO) -> bool:
    """Tell whether a line may be written again: in CI even a terminal is read as a log."""
    return stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")
