"""Progress bars of a stage: one for the whole, one for each layer that is being read."""

from collections.abc import Mapping
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column

from mlbloat.model.plain import plain

_TEXT_WIDTH = 30
_WIDE = 84
"""Columns of a terminal with room for all; a row that filled its line would make the echo of Ctrl-C begin another."""


def _column() -> Column:
    return Column(no_wrap=True)


class Bars:
    """Rows by name, drawn only when asked to: no thread of its own. NO_COLOR holds."""

    def __init__(self, stream: TextIO) -> None:
        self._rows: dict[str, TaskID] = {}
        console = Console(file=stream, force_terminal=True, highlight=False)
        wide = (TransferSpeedColumn(_column()), TimeRemainingColumn(compact=True, table_column=_column()))
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=_column()),
            BarColumn(bar_width=20),
            DownloadColumn(table_column=_column()),
            *(wide if console.width >= _WIDE else ()),
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._progress.start()

    def show(self, rows: Mapping[str, tuple[int, int | None]]) -> None:
        """Draw bytes done and to do by name, in this order; a row that is done goes away."""
        for what, (done, total) in tuple(rows.items()):
            visible = total is None or done < total
            if what in self._rows:
                self._progress.update(self._rows[what], completed=done, total=total, visible=visible)
            elif visible:
                name = plain(what)[:_TEXT_WIDTH]
                self._rows[what] = self._progress.add_task(name, total=total, completed=done)
        self._progress.refresh()

    def end(self) -> None:
        """Erase the bars and bring the cursor back."""
        self._progress.stop()
