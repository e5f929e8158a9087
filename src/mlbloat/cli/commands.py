"""The commands. Each one parses, calls the pipeline and prints; none decides anything about images."""

from pathlib import Path
from typing import Annotated

import typer

from mlbloat.cli import attaching, beside, options, output, root
from mlbloat.cli.talk import Talker
from mlbloat.errors import UsageError, VerificationError
from mlbloat.model.plain import plain

SAFE = "safe"


@root.command("mlbloat scan oci-archive:app.tar -o table -o json=report.json -- python3 /app/main.py")
def scan(
    image: options.Image,
    command: options.Command = None,
    workload: options.WorkloadFile = None,
    profile: options.Profiles = None,
    keep: options.Keep = SAFE,
    engine: options.Engine = "auto",
    tracer: options.Tracer = "auto",
    platform: options.Platform = None,
    gpu_arch: options.GpuArch = "",
    no_cache: options.NoCache = False,
    timeout: options.Timeout = 300.0,
    limit: options.Limit = None,
    outputs: options.Outputs = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Say what is in an image, what is used of it, what is bloat.

    Without a workload nothing is run: used is what the image's command reaches.
    """
    from mlbloat import pipeline

    wanted = output.outputs(outputs)
    asked = options.request(
        image,
        command,
        workload,
        timeout,
        engine=engine,
        tracer=tracer,
        platform=platform,
        gpu_arch=gpu_arch,
        no_cache=no_cache,
        limit=limit,
        profile=profile,
        keep=keep,
        outputs=wanted,
    )
    output.check_apart(output.files(wanted), options.files(image, workload, profile))
    output.write(pipeline.scan(asked, Talker(quiet=quiet, verbose=verbose)), wanted)


@root.command("mlbloat slim docker:app:1 -w app.yaml -t app:slim --dockerfile Dockerfile.slim")
def slim(
    image: options.Image,
    to: Annotated[
        str,
        typer.Option(
            "-t",
            "--to",
            metavar="DEST",
            help="docker:TAG, podman:TAG, registry:HOST/TAG, docker-archive:FILE, oci-archive:FILE, oci-dir:DIR, "
            "or a tag.",
        ),
    ],
    command: options.Command = None,
    workload: options.WorkloadFile = None,
    profile: options.Profiles = None,
    dockerfile: options.Dockerfile = None,
    advice: options.Advice = None,
    sbom: options.Sbom = None,
    restore: options.Restore = "",
    prefetch: options.Prefetch = None,
    layers: options.Layers = "keep",
    compression: options.Compression = "",
    metadata: options.Metadata = "cut",
    labels: options.Labels = True,
    repair: options.Repair = 0,
    keep: options.Keep = SAFE,
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
    """Write an image without what nothing reaches, and verify it.

    The slim image is published only when every profile and verify run does the same on it as on the original.
    """
    from mlbloat import pipeline
    from mlbloat.slim import SlimOptions, parse_method

    wanted = output.outputs(outputs)
    extras = [path for path in (dockerfile, advice, sbom, prefetch) if path is not None]
    for path in extras:
        output.check_writable(path)
    asked = options.request(
        image,
        command,
        workload,
        timeout,
        engine=engine,
        tracer=tracer,
        platform=platform,
        no_cache=no_cache,
        limit=limit,
        profile=profile,
        keep=keep,
        outputs=wanted,
    )
    images = [Path(place.partition(":")[2]) for place in (to, restore) if place]
    output.check_apart(output.files(wanted) + extras, [*options.files(image, workload, profile), *images])
    result = pipeline.slim(
        asked,
        to,
        Talker(quiet=quiet, verbose=verbose),
        wanted=SlimOptions(
            squash=options.choice("--layers", layers, ("keep", "squash")) == "squash",
            method=parse_method(compression),
            cut_metadata=options.choice("--metadata", metadata, ("cut", "keep")) == "cut",
            labels=labels,
            repair_rounds=repair,
            dockerfile="" if dockerfile is None else dockerfile.name,
            advice=advice is not None,
            sbom=sbom is not None,
            restore=restore,
        ),
    )
    if not result.failure:
        beside.write(result, dockerfile, advice, sbom, prefetch)
    output.write(result.report, wanted)
    if result.failure:
        raise VerificationError(result.failure)


@root.command("mlbloat trace docker:app:1 -t usage.json -- python3 /app/main.py")
def trace(
    to: Annotated[Path, typer.Option("-t", "--to", metavar="FILE", help="Where the profile goes.")],
    image: options.ImageOrNone = None,
    command: options.Command = None,
    workload: options.WorkloadFile = None,
    profile: options.Profiles = None,
    append: Annotated[
        bool, typer.Option("--append", help="Keep the runs that FILE has already; the new ones go after them.")
    ] = False,
    attach: options.Attach = None,
    seconds: options.For = None,
    engine: options.Engine = "auto",
    tracer: options.Tracer = "auto",
    platform: options.Platform = None,
    no_cache: options.NoCache = False,
    timeout: options.Timeout = 300.0,
    limit: options.Limit = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Record what a workload or a running container touches."""
    from mlbloat import pipeline

    output.check_writable(to)
    talker = Talker(quiet=quiet, verbose=verbose)
    earlier = [*(profile or ()), *([to] if append and to.exists() else ())]
    if attach is not None:
        options.check_attached(image, command, workload)
        output.write_file(to, attaching.record(attach, seconds, earlier, talker))
        return
    if image is None or seconds is not None:
        raise UsageError("cannot trace: name an IMAGE, or a running container with --attach, which --for goes with")
    asked = options.request(
        image,
        command,
        workload,
        timeout,
        profile=earlier,
        engine=engine,
        tracer=tracer,
        platform=platform,
        no_cache=no_cache,
        limit=limit,
    )
    output.check_apart([to], options.files(image, workload, profile))
    output.write_file(to, pipeline.trace(asked, talker))


@root.command("mlbloat verify docker:app:1 docker:app:slim -w app.yaml")
def verify(
    original: options.Image,
    slim: Annotated[str, typer.Argument(metavar="SLIM", help="The image to hold against it, in the same forms.")],
    command: options.Command = None,
    workload: options.WorkloadFile = None,
    engine: options.Engine = "auto",
    platform: options.Platform = None,
    no_cache: options.NoCache = False,
    timeout: options.Timeout = 300.0,
    limit: options.Limit = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Run a workload on two images and compare files, exits, output."""
    from mlbloat import pipeline
    from mlbloat.report import table

    asked = options.request(
        original, command, workload, timeout, engine=engine, platform=platform, no_cache=no_cache, limit=limit
    )
    verdict = pipeline.verify(asked, slim, Talker(quiet=quiet, verbose=verbose))
    output.put(table.render_verdict(verdict, color=output.color(), width=output.width()))
    if not verdict.passed:
        raise VerificationError(f"cannot verify {slim}: it is not {original}'s equal; the lines above say where")


@root.command("mlbloat explain docker:app:1 /usr/lib/x86_64-linux-gnu/libc.so.6 -- python3 /app/main.py")
def explain(
    image: Annotated[
        str, typer.Argument(metavar="IMAGE|REPORT", help="An image, or a report saved with -o json-files=FILE.")
    ],
    path: Annotated[str | None, typer.Argument(metavar="PATH", help="Absolute path of a file in the image.")] = None,
    command: options.Command = None,
    package: Annotated[
        str | None,
        typer.Option(
            "--package", metavar="NAME", help="Explain a package instead: its name, or manager:name@location."
        ),
    ] = None,
    workload: options.WorkloadFile = None,
    profile: options.Profiles = None,
    engine: options.Engine = "auto",
    tracer: options.Tracer = "auto",
    platform: options.Platform = None,
    no_cache: options.NoCache = False,
    timeout: options.Timeout = 300.0,
    limit: options.Limit = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Say why a file is kept, or a package is there.

    Of a saved report: packages, and files when it was saved with -o json-files=FILE.
    """
    from mlbloat import pipeline
    from mlbloat.report import explaining

    if package is not None and path is not None:
        command, path = [path, *(command or [])], None  # the first word after -- has filled PATH
    if not path and not package:
        raise UsageError("cannot explain: give one PATH in the image, or --package NAME")
    if path and not path.startswith("/"):  # the first word after -- when PATH was forgotten, too
        raise UsageError(f"cannot explain {path!r}: a path in the image begins with /; give it before --")
    report = options.saved(image, command, workload, profile)
    if report is not None:
        sentences = explaining.explain(report, path) if path else explaining.explain_package(report, package or "")
    else:
        asked = options.request(
            image,
            command,
            workload,
            timeout,
            engine=engine,
            tracer=tracer,
            platform=platform,
            no_cache=no_cache,
            limit=limit,
            profile=profile,
        )
        talk = Talker(quiet=quiet, verbose=verbose)
        sentences = (
            pipeline.explain(asked, path, talk) if path else pipeline.explain_package(asked, package or "", talk)
        )
    output.put("".join(f"{plain(sentence)}\n" for sentence in sentences))


@root.command("mlbloat diff docker:app:1 docker:app:slim -o table -o json=diff.json")
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="An image, or a report saved with -o json=FILE.")],
    after: Annotated[str, typer.Argument(metavar="B", help="What it became, in the same forms.")],
    outputs: options.DifferenceOutputs = None,
    platform: options.Platform = None,
    no_cache: options.NoCache = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Compare two images or reports by package, layer and file."""
    from mlbloat import pipeline
    from mlbloat.report import difference

    wanted = output.outputs(outputs, formats=difference.FORMATS)
    asked = options.request(before, None, None, 0.0, engine="auto", platform=platform, no_cache=no_cache)
    output.check_apart(output.files(wanted), [*options.files(before, None, None), *options.files(after, None, None)])
    found = pipeline.diff(asked, after, Talker(quiet=quiet, verbose=verbose))
    for each in sorted(wanted, key=lambda each: not each.file):
        if each.file:
            output.write_file(Path(each.file), difference.render(found, each.format))
        else:
            output.put(difference.render(found, each.format, color=output.color(), width=output.width()))
