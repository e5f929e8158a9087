"""`mlbloat cache`: what earlier runs learnt about layers, and how to get rid of it."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlbloat import __version__
from mlbloat.cli import output
from mlbloat.errors import UsageError

if TYPE_CHECKING:
    from mlbloat.cache import Store

app = typer.Typer(
    help="Show or prune what earlier runs learnt about layers.", invoke_without_command=True, rich_markup_mode=None
)
_SHOWN = 20
_DAY_SECONDS = 86400


@app.callback()
def show(context: typer.Context) -> None:
    """Show or prune what earlier runs learnt about layers.

    MLBLOAT_CACHE_DIR names another directory; --no-cache of a command leaves the cache alone.
    """
    if context.invoked_subcommand is None:
        store = _store()
        if store is None:
            output.put(f"{_directory()}: empty\n")
            return
        kept = store.kept()
        lines = [f"{store.path}: {_count(len(kept))}, {_size(sum(each.bytes for each in kept))}\n"]
        width = max((len(_layer(each.key)) for each in kept[:_SHOWN]), default=0)
        for each in kept[:_SHOWN]:
            used = time.strftime("%Y-%m-%d", time.localtime(each.used))
            lines.append(f"  {_layer(each.key):{width}}  {_size(each.bytes):>9}  last used {used}\n")
        if len(kept) > _SHOWN:
            lines.append(f"  and {len(kept) - _SHOWN} smaller\n")
        output.put("".join(lines))


@app.command()
def prune(
    unused_days: Annotated[
        float, typer.Option("--unused-days", metavar="DAYS", min=0, help="Drop layers not used for so many days.")
    ] = 30,
    max_size: Annotated[
        str | None, typer.Option("--max-size", metavar="S", help="Then the longest unused, until S is left: 200MB.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Drop everything.")] = False,
) -> None:
    """Drop what is old, or what does not fit a size."""
    from mlbloat import gate

    if everything and max_size is not None:
        raise UsageError("cannot prune both --all and to a --max-size; give one of them")
    most_bytes = 1 << 62 if max_size is None else gate.parse_size(max_size)
    store = _store()
    freed = 0
    if store is not None:
        unused_seconds = unused_days * _DAY_SECONDS
        freed = store.prune(unused_seconds=unused_seconds, most_bytes=0 if everything else most_bytes)
    output.put(f"{_size(freed)} freed\n")


def _store() -> "Store | None":
    """The cache, None where there is none yet: to look at it must not make it."""
    from mlbloat.cache import FILE_NAME, Store

    directory = _directory()
    return Store(directory, __version__) if (directory / FILE_NAME).exists() else None


def _directory() -> Path:
    from mlbloat.cache import default_directory

    return default_directory()


def _layer(key: str) -> str:
    """Shorten a key (`Layer.key`) as docker shortens digests; what was not verified is shown by itself."""
    words, _, digits = key.rpartition(":")
    return f"{words}:{digits[:12]}"


def _size(count: int) -> str:
    from mlbloat.report import units

    return units.size(count)


def _count(number: int) -> str:
    from mlbloat.report import units

    return units.count(number, "layer")
