"""What a user asks of the pipeline, and what slimming gives back."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlbloat.model.report import Report
from mlbloat.model.use import Level
from mlbloat.model.workload import Workload
from mlbloat.tarstream import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a user asks for, whatever the command."""

    reference: str
    workload: Workload = field(default_factory=Workload)
    profiles: tuple[Path, ...] = ()
    """Recorded profiles: used instead of running the workload's profile."""
    keep: Level = Level.SAFE
    engine: str = "auto"
    tracer: str = "auto"
    platform: str | None = None
    cache: Path | None = None
    """Directory of what earlier runs learnt about layers; None: learn everything again."""
    gpus: tuple[str, ...] = ()
    """What the image is meant to run on, as in sm_90; empty: not known."""
    limits: Limits = field(default_factory=Limits)
    """What an image may ask of this machine."""
    with_files: bool = False
    """The report has a row for each file."""
    today: datetime.date = field(default_factory=datetime.date.today)
    """Decides which `ignore:` entries of the workload are over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slimmed:
    report: Report
    failure: str
    """Why the slim image was not published; empty when it was."""
    dockerfile: Mapping[str, str]
    """Files of the slimmed Dockerfile, name to text; empty when none was asked for."""
    advice: str = ""
    """A Dockerfile; empty when none was asked for."""
    sbom: str = ""
    """CycloneDX; empty when none was asked for."""
    prefetch: tuple[str, ...] = ()
    """Files that the profile touched, in order of first use."""
