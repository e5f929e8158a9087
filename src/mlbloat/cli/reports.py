"""The commands that take no image: a saved report, this machine, the image that ships with mlbloat."""

from pathlib import Path
from typing import Annotated

import typer

from mlbloat.cli import options, output, root
from mlbloat.cli.talk import Talker
from mlbloat.errors import VerificationError


@root.command("mlbloat convert report.json -o table")
def convert(
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="A report saved with -o json=FILE.")],
    outputs: options.Outputs = None,
) -> None:
    """Print a saved report again, in another format."""
    from mlbloat.report import json

    output.write(json.load(report), output.outputs(outputs))


@root.command("mlbloat doctor")
def doctor() -> None:
    """Say what works on this machine: engines, tracing, GPU."""
    from mlbloat import runtime

    for check in runtime.doctor():
        output.put(f"{'ok  ' if check.ok else 'no  '}  {check.name:<22} {check.detail}\n")
        if not check.ok and check.remedy:
            output.put(f"      {'':<22} → {check.remedy}\n")


@root.command("mlbloat demo")
def demo(
    outputs: options.Outputs = None,
    engine: options.Engine = "embedded",
    to: Annotated[str, typer.Option("-t", "--to", metavar="DEST", help="Keep the slim image here.")] = "",
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Do the main job on the small image that ships with mlbloat.

    It is scanned, traced, slimmed and verified; nothing else needs to be installed.
    """
    from mlbloat import pipeline
    from mlbloat.cli import demonstration

    wanted = output.outputs(outputs)
    with demonstration.request(engine, to, wanted) as (asked, destination):
        result = pipeline.slim(asked, destination, Talker(quiet=quiet, verbose=verbose))
    output.write(result.report if to else demonstration.not_kept(result.report), wanted)
    if result.failure:
        raise VerificationError(result.failure)
