"""Tables and lines for a terminal of any width: figures stay whole, long names lose their middle, not their line."""

import io
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from mlbloat.model.plain import plain

_WIDE = 100
"""Columns that only wide tables have appear from here on."""


def text(renderables: Iterable[RenderableType], *, color: bool, width: int) -> str:
    """Text of tables and lines, an empty line after each."""
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=color, no_color=not color, highlight=False, emoji=False, markup=False
    )
    for renderable in renderables:
        console.print(_Plain(renderable))
        console.print()
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines()) + "\n"


class _Plain:
    """What it wraps, without the escapes that names in an image may carry."""

    def __init__(self, renderable: RenderableType) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._renderable, options):
            yield Segment("\n".join(map(plain, segment.text.split("\n"))), segment.style)


class Fitted:
    """A cell of one line: what does not fit is cut out of its middle, as a path ends in what counts, or off its end."""

    def __init__(self, text: str, *, least: int = 14, keep_end: bool = True, style: str = "") -> None:
        self._text, self._least = plain(" ".join(text.split())), least
        self._keep_end, self._style = keep_end, style

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        length = len(self._text)
        return Measurement(min(self._least, length), length).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        fitted = middle(self._text, options.max_width) if self._keep_end else self._text
        yield Text(fitted, style=self._style, no_wrap=True, overflow="ellipsis")


def middle(text: str, width: int) -> str:
    """Cut a text to a width: words before a path stay, and the end of the path."""
    if len(text) <= width:
        return text
    words, slash, _ = text.partition(" /")
    head = f"{words} " if slash and len(words) <= width // 2 else text[: (width - 1) // 3]
    return f"{head}…{text[len(text) - (width - 1 - len(head)) :]}"


def plain_table(*columns: str, title: str, numbers: Iterable[str] = (), wide: Iterable[str] = ()) -> Table:
    """A table without lines; columns of numbers are flush right, those of `wide` are left out where it is narrow."""
    table = _Columns(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
    )
    table.wide = frozenset(wide)
    for column in columns:
        right = column in numbers
        table.add_column(column, justify="right" if right else "left", overflow="fold", no_wrap=right)
    return table


class _Columns(Table):
    wide: frozenset[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.max_width < _WIDE:
            self.columns = [column for column in self.columns if column.header not in self.wide]
            for index, column in enumerate(self.columns):
                column._index = index  # what rich pads by; it has no way to take a column out
        yield from super().__rich_console__(console, options)
