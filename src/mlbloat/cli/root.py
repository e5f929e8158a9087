"""The `mlbloat` command itself, and how others join it."""

from collections.abc import Callable
from typing import Annotated

import typer

from mlbloat import __version__
from mlbloat.cli import cache, output

app = typer.Typer(
    help="Measure and remove what container images carry for nothing.",
    epilog="Start with: mlbloat demo",
    invoke_without_command=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cache.app, name="cache")


def _version(asked: bool) -> None:
    if asked:
        output.put(f"mlbloat {__version__}\n")
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        output.put(f"{context.get_help()}\n")
        raise typer.Exit(2)


def command(example: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command with its example below the options; `\\b` keeps the lines as they are."""
    return app.command(epilog=f"\b\nExample:\n  {example}")
