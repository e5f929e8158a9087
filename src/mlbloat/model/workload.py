"""What a user wants run: recorded for the profile, or held against the slim image."""

import datetime
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What must hold after a run."""

    exit: int | None = 0
    """None: any."""
    stdout: str = ""
    """Regular expression searched in the decoded output; empty: anything."""
    stderr: str = ""
    same: tuple[str, ...] = ()
    """Streams (`stdout`, `stderr`) that must equal the original's byte for byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    name: str
    run: tuple[str, ...] | None = None
    """The whole command line; None: the image's entrypoint, followed by `args` or the image's command."""
    args: tuple[str, ...] | None = None
    """Replaces the image's command only."""
    environment: tuple[tuple[str, str], ...] = ()
    timeout_seconds: float = 300.0
    expect: Expect = Expect()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    """Findings that somebody decided to live with."""

    rule: str
    reason: str
    path: str = ""
    """Glob that all paths of a finding must match; empty: any."""
    until: datetime.date | None = None
    """Last day of it; None: for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    profile: tuple[Run, ...] = ()
    """Recorded; they must hold on the slim image too."""
    verify: tuple[Run, ...] = ()
    """Never recorded; they must hold on the slim image."""
    keep: tuple[str, ...] = ()
    """Globs of paths kept at every level."""
    drop: tuple[str, ...] = ()
    """Globs of paths removed unless a run touched them."""
    ignore: tuple[Ignore, ...] = ()
    image: str = ""
