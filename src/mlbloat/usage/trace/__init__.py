"""Run a workload and record what it touches."""

from dataclasses import replace
from pathlib import Path

from mlbloat.errors import RunError
from mlbloat.model.filetree import FileTree
from mlbloat.model.image import Image, ImageConfig
from mlbloat.model.use import Access, Origin, Phase, RunRecord
from mlbloat.model.workload import Run
from mlbloat.runtime import Engine, container_of
from mlbloat.usage.trace import covered, tracers, witness
from mlbloat.usage.trace.attach import attach
from mlbloat.usage.trace.listed import listed_by, seen_directories
from mlbloat.usage.trace.profile import load_profile, profile_file, profile_text
from mlbloat.usage.trace.touched import missing_of, uses_of

__all__ = [
    "attach",
    "listed_by",
    "load_profile",
    "missing_of",
    "origin_of",
    "profile_file",
    "profile_text",
    "seen_directories",
    "trace",
    "uses_of",
]


def trace(
    run: Run, config: ImageConfig, tree: FileTree, rootfs: Path, scratch: Path, engine: Engine, tracer: str = "auto"
) -> RunRecord:
    """Run a workload's run on an image unpacked at `rootfs`, every path call noted. RunError when it does not end."""
    chosen = tracers.choose(tracer, watched_only=engine.watched_only)
    recorder = tracers.recorder(chosen)
    container = container_of(config, run, tree, engine)
    outcome = engine.run(container, rootfs, scratch, recorder)
    if outcome.timed_out:
        raise RunError(
            f"cannot record run {run.name!r}: it did not end within {run.timeout_seconds:g} seconds; "
            "raise timeout_seconds (--timeout for a command after --), or profile something shorter"
        )
    named = recorder.accesses()
    accesses, covered_flags = covered.leave_out(named, container, tree)
    refused = recorder.outside.flags() if container.conditions.network == "none" else ()
    record = RunRecord(
        name=run.name,
        engine=engine.name,
        tracer=chosen.name,
        seconds=outcome.seconds,
        exit=outcome.exit,
        stdout=outcome.stdout,
        stderr=outcome.stderr,
        accesses=accesses,
        phases=_phases_among(accesses, named, recorder.phases()),
        gpus=run.conditions.gpus,
        steps=outcome.steps,
        flags=(*outcome.flags, *recorder.flags(), *covered_flags, *refused),
    )
    return _witnessed(recorder, record, tree, config)


def _phases_among(
    kept: tuple[Access, ...], all_of_them: tuple[Access, ...], phases: tuple[tuple[Phase, int], ...]
) -> tuple[tuple[Phase, int], ...]:
    """Return where the phases begin among the accesses that were kept."""
    if len(kept) == len(all_of_them):
        return phases
    stay = frozenset(kept)
    return tuple((phase, sum(access in stay for access in all_of_them[:first])) for phase, first in phases)


def _witnessed(recorder: tracers.Tracing, record: RunRecord, tree: FileTree, config: ImageConfig) -> RunRecord:
    """Add what a witness saw and the tracer did not, and say so."""
    if not isinstance(recorder, witness.Recorder):
        return record
    found = witness.holes(recorder.witnessed(), record, tree, config)
    return replace(record, accesses=(*record.accesses, *found), flags=(*record.flags, *witness.flags(found)))


def origin_of(image: Image) -> Origin:
    """What a profile remembers of the image that it was recorded on."""
    return Origin(id=str(image.id), diff_ids=tuple(str(layer.diff_id) for layer in image.layers))
