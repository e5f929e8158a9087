"""The options that commands share, each defined once. `MLBLOAT_…` variables stand in for flags."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlbloat.cli import output
from mlbloat.errors import UsageError
from mlbloat.model.level import Level
from mlbloat.model.workload import Workload

if TYPE_CHECKING:
    from mlbloat.image import Limits
    from mlbloat.model.report import Report
    from mlbloat.pipeline import Request
    from mlbloat.report import Output

_DURATION = re.compile(r"([0-9]{1,6})(s|m|h|)")
_UNIT_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def duration(text: str) -> float:
    """Read a time on the command line, in seconds."""
    found = _DURATION.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise UsageError(f"cannot record for {text!r}: it is a time such as 90s, 5m or 2h")
    return float(int(found[1]) * _UNIT_SECONDS[found[2]])


Image = Annotated[
    str,
    typer.Argument(
        metavar="IMAGE",
        help="docker:NAME, podman:NAME, containerd:NAME, registry:HOST/NAME, docker-archive:FILE, oci-archive:FILE, "
        "oci-dir:DIR, dir:DIR, a path, or a name in an engine or a registry.",
    ),
]
ImageOrNone = Annotated[
    str | None, typer.Argument(metavar="[IMAGE]", help="As for the other commands; left out with --attach.")
]
Attach = Annotated[
    str | None,
    typer.Option(
        "--attach",
        metavar="[docker:|podman:]NAME",
        help="Record a container that runs already (root).",
    ),
]
For = Annotated[
    float | None,
    typer.Option("--for", metavar="TIME", parser=duration, help="How long, as 90, 90s, 5m or 2h; else until Ctrl-C."),
]
Command = Annotated[
    list[str] | None,
    typer.Argument(metavar="CMD", help="After --: run this command as the profile, instead of a workload file."),
]
WorkloadFile = Annotated[
    Path | None,
    typer.Option("-w", "--workload", metavar="FILE", envvar="MLBLOAT_WORKLOAD", help="YAML file with the runs."),
]
Profiles = Annotated[
    list[Path] | None,
    typer.Option("--profile", metavar="FILE", help="Use a profile recorded by `mlbloat trace`; repeatable."),
]
Keep = Annotated[
    str,
    typer.Option(
        "--keep", metavar="LEVEL", envvar="MLBLOAT_KEEP", help="What to keep: traced, linked, safe or package."
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="ENGINE",
        envvar="MLBLOAT_ENGINE",
        help="What runs the image: auto, runc, embedded, docker or podman.",
    ),
]
Tracer = Annotated[
    str,
    typer.Option(
        "--tracer",
        metavar="TRACER",
        envvar="MLBLOAT_TRACER",
        help="What records a run: auto, seccomp, fuse, fanotify or strace.",
    ),
]
Platform = Annotated[
    str | None,
    typer.Option(
        "--platform",
        metavar="OS/ARCH",
        envvar="MLBLOAT_PLATFORM",
        help="Which image of an index; default: this machine's.",
    ),
]
GpuArch = Annotated[
    str,
    typer.Option(
        "--gpu-arch",
        metavar="GPU,…",
        envvar="MLBLOAT_GPU_ARCH",
        help="What the image is meant to run on, as in sm_90 or sm_80,sm_90: says what code for GPUs is for others.",
    ),
]
Limit = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="NAME=VALUE",
        envvar="MLBLOAT_LIMIT",
        help="Raise a limit for an image you trust, as in image_bytes=200GB; the error says which. Repeatable.",
    ),
]
Outputs = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FORMAT[=FILE]",
        help="table, html, markdown, json, json-files, csv, csv-files, sarif, junit or dot, to a file or stdout; "
        "repeatable.",
    ),
]
DifferenceOutputs = Annotated[
    list[str] | None,
    typer.Option("-o", "--output", metavar="FORMAT[=FILE]", help="table or json, to a file or stdout; repeatable."),
]
NoCache = Annotated[
    bool,
    typer.Option("--no-cache", envvar="MLBLOAT_NO_CACHE", help="Neither use nor keep what runs learn about layers."),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing on stderr but errors.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say each stage and its time on stderr.")]
Timeout = Annotated[
    float,
    typer.Option("--timeout", metavar="SECONDS", min=0.1, help="Limit for the command given after --."),
]


Dockerfile = Annotated[
    Path | None, typer.Option("--dockerfile", metavar="FILE", help="Write a Dockerfile that makes the slim image.")
]
Advice = Annotated[
    Path | None,
    typer.Option(
        "--advice", metavar="FILE", help="Write a Dockerfile that leaves out whole packages and caches, with the bytes."
    ),
]
Sbom = Annotated[
    Path | None, typer.Option("--sbom", metavar="FILE", help="Write a CycloneDX list of what is in the slim image.")
]
Restore = Annotated[
    str,
    typer.Option(
        "--restore", metavar="DEST", help="Write the slim image there too, with a layer that brings all files back."
    ),
]
Prefetch = Annotated[
    Path | None,
    typer.Option(
        "--prefetch",
        metavar="FILE",
        help="Write the files that the profile touches, in order of first use; JSON when it ends in .json.",
    ),
]
Layers = Annotated[str, typer.Option("--layers", metavar="HOW", help="keep the original's layers, or squash them.")]
Compression = Annotated[
    str,
    typer.Option(
        "--compression", metavar="HOW", help="gzip or zstd, or with a level, as in zstd:9; default: as the layer was."
    ),
]
Metadata = Annotated[
    str, typer.Option("--metadata", metavar="HOW", help="cut package databases to what is left, or keep them whole.")
]
Labels = Annotated[bool, typer.Option("--labels/--no-labels", help="Label the slim image with where it comes from.")]
Repair = Annotated[
    int,
    typer.Option(
        "--repair",
        metavar="N",
        min=0,
        max=20,
        help="When verification fails, add what the failed runs use on the original and verify again, at most N times.",
    ),
]


def choice(option: str, value: str, known: tuple[str, ...]) -> str:
    """UsageError for a value that an option does not know."""
    if value not in known:
        raise UsageError(f"cannot use {option} {value!r}: write {' or '.join(known)}")
    return value


def request(
    reference: str,
    command: list[str] | None,
    workload: Path | None,
    timeout: float,
    *,
    engine: str,
    platform: str | None,
    no_cache: bool,
    profile: list[Path] | None = None,
    keep: str = Level.SAFE.label,
    limit: list[str] | None = None,
    tracer: str = "auto",
    outputs: "tuple[Output, ...]" = (),
    gpu_arch: str = "",
) -> "Request":
    """What a command asks of the pipeline; UsageError for an option that is wrong in itself."""
    from mlbloat import cache, pipeline

    return pipeline.Request(
        reference=reference,
        workload=_workload(workload, command, timeout),
        profiles=tuple(profile or ()),
        keep=_level(keep),
        engine=_engine(engine),
        tracer=_tracer(tracer),
        platform=platform,
        cache=None if no_cache else cache.usual_directory(),
        limits=_limits(limit or []),
        with_files=output.want_files(outputs),
        gpus=_gpus(gpu_arch),
    )


def saved(
    reference: str, command: list[str] | None, workload: Path | None, profile: list[Path] | None
) -> "Report | None":
    """The saved report that a reference names, None when it names an image; a report runs nothing."""
    from mlbloat.report import json

    report = json.saved(reference)
    if report is not None and (command or workload or profile):
        raise UsageError(f"cannot run anything for {reference}: it is a report; give the image it was made of")
    return report


def files(reference: str, workload: Path | None, profile: list[Path] | None) -> list[Path]:
    """The files that a command reads, as far as their names tell."""
    image = [Path(reference), Path(reference.partition(":")[2].removeprefix("//"))]
    return [path for path in (*image, workload, *(profile or ())) if path is not None and output.kind(path)]


def _limits(texts: list[str]) -> "Limits":
    from mlbloat.gate import parse_size
    from mlbloat.image import LIMIT_NAMES, Limits

    values = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in LIMIT_NAMES:
            raise UsageError(
                f"cannot set the limit {text!r}: limits are {', '.join(LIMIT_NAMES)}, as in entries=5000000"
            )
        if name.endswith("_bytes") and not value:
            raise UsageError(f"cannot set the limit {text!r}: it is a size, as in {name}=2GB")
        values[name] = parse_size(value) if name.endswith("_bytes") else _whole(text, value)
        if values[name] < 1:
            raise UsageError(f"cannot set the limit {text!r}: it must be at least 1")
    return Limits(**values)


def _gpus(text: str) -> tuple[str, ...]:
    from mlbloat.model.gpuarch import gpu_of

    gpus = []
    for word in filter(None, re.split(r"[,;\s]+", text)):
        gpu = gpu_of(word)
        if gpu is None:
            raise UsageError(f"cannot tell which GPU {word!r} is: write --gpu-arch sm_90, or 9.0, or gfx942")
        gpus.append(gpu)
    return tuple(dict.fromkeys(gpus))


def _whole(text: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise UsageError(f"cannot set the limit {text!r}: it is a whole number, as in entries=5000000")
    return int(value)


def _level(name: str) -> Level:
    names = [known.label for known in Level]
    if name not in names:
        raise UsageError(f"cannot keep {name!r}: levels are {', '.join(names)}, as in --keep safe")
    return Level[name.upper()]


def _engine(name: str) -> str:
    from mlbloat import runtime

    names = ["auto", *(engine.name for engine in runtime.ENGINES)]
    if name not in names:
        raise UsageError(f"cannot run with {name!r}: engines are {', '.join(names)}, as in --engine auto")
    return name


def _tracer(name: str) -> str:
    if name != "auto":
        from mlbloat.usage.trace import tracers

        tracers.choose(name)
    return name


def check_attached(image: str | None, command: list[str] | None, workload: Path | None) -> None:
    """Raise UsageError for what does not go with --attach: the container has an image, and does what it does."""
    if image is not None or command or workload is not None:
        raise UsageError("cannot attach and run: --attach takes neither an IMAGE, nor -w, nor a command after --")


def _workload(file: Path | None, command: list[str] | None, timeout_seconds: float) -> Workload:
    """The runs that a command line asks for; both ways at once is an error, none is an empty workload."""
    from mlbloat import workload as workloads

    if file is not None and command:
        raise UsageError("cannot use both -w and a command after --; put the command into the workload file's profile")
    if command:
        return workloads.command(tuple(command), timeout_seconds)
    return workloads.load(file) if file is not None else Workload()
