"""The `mlbloat` command itself, and how others join it."""

import itertools
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from mlbloat import __version__
from mlbloat.cli import cache, output, settings

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


class _Command(TyperCommand):
    """Takes what the settings say, unless it is asked for help: somebody with a broken settings file needs that.

    What stands on the command line wins over a workload that the environment or the settings name.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if {"-h", "--help"}.isdisjoint(itertools.takewhile("--".__ne__, args)):
            ctx.default_map = settings.defaults(ctx.parent.command).get(ctx.info_name)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        found = ctx.params.get("workload") is not None
        if found and ctx.get_parameter_source("workload").name != "COMMANDLINE" and _runs_otherwise(ctx.params):
            ctx.params["workload"] = None
        return super().invoke(ctx)


def _runs_otherwise(given: dict[str, Any]) -> bool:
    """Say whether a command line names a command, a running container or a report: what a workload does not go with."""
    if given.get("command") or given.get("attach"):
        return True
    from mlbloat.report import json

    subject = given.get("subject") or given.get("image")
    return subject is not None and json.is_report(subject)


def command(example: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command with its example below the options; `\\b` keeps the lines as they are."""
    return app.command(cls=_Command, epilog=f"\b\nExample:\n  {example}")
