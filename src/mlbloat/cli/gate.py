"""`mlbloat check`: limits on the command line, a line for each, and exit status 3."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlbloat.cli import options, output, root
from mlbloat.cli.talk import Talker
from mlbloat.errors import GateError, UsageError

if TYPE_CHECKING:
    from mlbloat.gate import Limits
    from mlbloat.model.report import Report
    from mlbloat.report import Output


@root.command("mlbloat check report.json --max-bloat 30% --max-size 2GB --baseline main.json --max-growth 5%")
def check(
    subject: Annotated[
        str, typer.Argument(metavar="IMAGE|REPORT", help="An image, or a report saved with -o json=FILE.")
    ],
    command: options.Command = None,
    max_bloat: Annotated[
        str | None,
        typer.Option("--max-bloat", metavar="R", envvar="MLBLOAT_MAX_BLOAT", help="Largest bloat ratio: 0.3 or 30%."),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option("--max-size", metavar="S", envvar="MLBLOAT_MAX_SIZE", help="Largest size: 500MB, 2GiB or bytes."),
    ] = None,
    max_shadowed: Annotated[
        str | None,
        typer.Option(
            "--max-shadowed",
            metavar="S",
            envvar="MLBLOAT_MAX_SHADOWED",
            help="Most bytes that later layers may overwrite or delete.",
        ),
    ] = None,
    max_package_bloat: Annotated[
        str | None,
        typer.Option(
            "--max-package-bloat",
            metavar="R",
            envvar="MLBLOAT_MAX_PACKAGE_BLOAT",
            help="Largest bloat ratio of any package.",
        ),
    ] = None,
    min_package_size: Annotated[
        str,
        typer.Option(
            "--min-package-size",
            metavar="S",
            envvar="MLBLOAT_MIN_PACKAGE_SIZE",
            help="--max-package-bloat looks at packages from this size on.",
        ),
    ] = "1MB",
    max_growth: Annotated[
        str | None,
        typer.Option(
            "--max-growth",
            metavar="R|S",
            envvar="MLBLOAT_MAX_GROWTH",
            help="How much larger than the baseline: 5%, 0.05 or 50MB.",
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="REPORT", envvar="MLBLOAT_BASELINE", help="An earlier report."),
    ] = None,
    workload: options.WorkloadFile = None,
    profile: options.Profiles = None,
    engine: options.Engine = "auto",
    tracer: options.Tracer = "auto",
    platform: options.Platform = None,
    no_cache: options.NoCache = False,
    timeout: options.Timeout = 300.0,
    limit: options.Limit = None,
    outputs: options.Outputs = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Hold an image or a report against limits, for CI.

    Exit status 3 says that one is exceeded. Standard output has a line for each limit, or what -o asks for.
    """
    from dataclasses import replace

    from mlbloat import gate, pipeline
    from mlbloat.report import json

    limits = _limits(
        max_bloat=max_bloat,
        max_size=max_size,
        max_shadowed=max_shadowed,
        max_package_bloat=max_package_bloat,
        min_package_size=min_package_size,
        max_growth=max_growth,
    )
    if (baseline is None) != (max_growth is None):
        raise UsageError("cannot compare: --baseline REPORT and --max-growth belong together; give both, as in 5%")
    wanted = output.outputs(outputs) if outputs else ()
    earlier = None if baseline is None else json.load(baseline)
    output.check_apart(
        output.files(wanted), [*options.files(subject, workload, profile), *([baseline] if baseline else [])]
    )
    report = options.saved(subject, command, workload, profile)
    if report is None:
        asked = options.request(
            subject,
            command,
            workload,
            timeout,
            engine=engine,
            tracer=tracer,
            platform=platform,
            no_cache=no_cache,
            limit=limit,
            profile=profile,
            outputs=wanted,
        )
        report = pipeline.scan(asked, Talker(quiet=quiet, verbose=verbose))
    report = replace(report, limits=gate.judge(report, limits, earlier))
    _print(report, wanted)
    exceeded = [judged.name for judged in report.limits if not judged.passed]
    if exceeded:
        raise GateError(
            f"cannot pass {report.image.reference}: {' and '.join(exceeded)} exceeded; `mlbloat scan` shows where"
        )


def _limits(
    *,
    max_bloat: str | None,
    max_size: str | None,
    max_shadowed: str | None,
    max_package_bloat: str | None,
    min_package_size: str,
    max_growth: str | None,
) -> "Limits":
    from mlbloat import gate

    limits = gate.Limits(
        max_bloat_ratio=None if max_bloat is None else gate.parse_ratio(max_bloat),
        max_size_bytes=None if max_size is None else gate.parse_size(max_size),
        max_shadowed_bytes=None if max_shadowed is None else gate.parse_size(max_shadowed),
        max_package_bloat_ratio=None if max_package_bloat is None else gate.parse_ratio(max_package_bloat),
        min_package_bytes=gate.parse_size(min_package_size),
        max_growth=None if max_growth is None else gate.parse_growth(max_growth),
    )
    if limits.empty:
        raise UsageError("cannot check without a limit; give --max-bloat, --max-size or another, as in --max-bloat 30%")
    return limits


def _print(report: "Report", wanted: "tuple[Output, ...]") -> None:
    """A line for each limit, unless a report goes to standard output."""
    from mlbloat.report.units import limit_sentence

    if wanted:
        output.write(report, wanted)
    if all(each.file for each in wanted):
        for judged in report.limits:
            word = "PASS" if judged.passed else "FAIL"
            output.put(f"{word}  {limit_sentence(judged)} (evidence: {report.evidence.mode})\n")
