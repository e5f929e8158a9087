"""A difference between two images as text."""

from pathlib import PurePosixPath

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlbloat.model.difference import Difference, FileChange, PackageChange
from mlbloat.report.columns import Fitted, plain_table, text
from mlbloat.report.json import printable
from mlbloat.report.table import ROWS
from mlbloat.report.units import count, percent, size
from mlbloat.report.widths import WIDTH
from mlbloat.report.words import made_by

FORMATS = ("table", "json")


def render(difference: Difference, format_: str, *, color: bool = False, width: int = WIDTH) -> str:
    """Render as one of FORMATS."""
    if format_ == "json":
        values = printable(msgspec.to_builtins(difference))
        return msgspec.json.format(msgspec.json.encode(values), indent=2).decode() + "\n"
    parts = (_headline(difference), _packages(difference), _layers(difference), _files(difference))
    return text([part for part in parts if part is not None], color=color, width=width)


def _headline(difference: Difference) -> RenderableType:
    before, after = difference.before, difference.after
    table = plain_table("", "image", "size", "files", "compressed", title="", numbers=("size", "files", "compressed"))
    for name, side in (("before", before), ("after", after)):
        table.add_row(name, side.reference, size(side.size_bytes), f"{side.files:,}", size(side.compressed_bytes))
    grown = after.size_bytes - before.size_bytes
    share = percent(grown / before.size_bytes) if before.size_bytes else "-"
    return Group(table, Text(), Text(f"{_signed(grown)} ({'+' if grown > 0 else ''}{share})", style="bold"))


def _signed(number: int) -> str:
    return f"{'+' if number > 0 else '-' if number < 0 else '±'}{size(abs(number))}"


def _packages(difference: Difference) -> RenderableType | None:
    if not difference.packages:
        return Text("No package differs.")
    title = f"Packages: {count(len(difference.packages), 'difference')}"
    table = plain_table("package", "manager", "before", "after", "size", title=title, numbers=("size",))
    for change in difference.packages[:ROWS]:
        table.add_row(change.name, change.manager, *_versions(change), _signed(change.grown_bytes))
    return Group(table, *_more(len(difference.packages)))


def _versions(change: PackageChange) -> tuple[str, str]:
    return (
        change.before.version if change.before else "-",
        change.after.version if change.after else "-",
    )


def _layers(difference: Difference) -> RenderableType:
    both = sum(layer.held_by == "both" for layer in difference.layers)
    table = plain_table("layer", "in", "size", "created by", title=f"Layers: {both} in both", numbers=("size",))
    others = [layer for layer in difference.layers if layer.held_by != "both"]
    for layer in others[:ROWS]:
        table.add_row(
            layer.diff_id[7:19],
            layer.held_by,
            size(layer.size_bytes),
            Fitted(made_by(layer.created_by), keep_end=False),
        )
    return Group(table, *_more(len(others)))


def _files(difference: Difference) -> RenderableType:
    if difference.files is None:
        return Text("Files cannot be compared: a report has none. Give two images.")
    files = [change for change in difference.files if change.kind == "file"]
    names = ("added", "removed", "content")
    told = [f"{sum(name in change.what for change in files):,} {name}" for name in names]
    told.append(f"{sum(not set(names).intersection(change.what) for change in files):,} otherwise changed")
    others = len(difference.files) - len(files)
    title = f"Files: {', '.join(told)}" + (f"; directories, links, devices: {others:,}" if others else "")
    table: Table = plain_table("path", "what", "size", title=title)
    for change in sorted(difference.files, key=_by_size)[:ROWS]:
        table.add_row(
            Fitted(str(PurePosixPath(change.path)), least=30), ", ".join(change.what), _signed(change.grown_bytes)
        )
    return Group(table, *_more(len(difference.files)))


def _by_size(change: FileChange) -> tuple[int, str]:
    return -abs(change.grown_bytes), change.path


def _more(total: int) -> tuple[Text, ...]:
    return (Text(f"and {total - ROWS:,} more: -o json has them"),) if total > ROWS else ()
