"""What a user wants run: recorded for the profile, or held against the slim image."""

import datetime
from dataclasses import dataclass, field

from mlbloat.model.conditions import Conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What must hold after a run."""

    exit: int | None = 0
    """None: any."""
    stdout: str = ""
    """Regular expression searched in the decoded output; empty: anything."""
    stderr: str = ""
    same: tuple[str, ...] = ()
    """Streams (`stdout`, `stderr`) that must equal the original's byte for byte; `exit`: the same exit status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """When a service may be asked; exactly one of the first three is set."""

    http: str = ""
    """A URL that answers with a status below 400."""
    tcp: tuple[str, int] | None = None
    """An address that accepts connections."""
    log: str = ""
    """A regular expression that a line of stdout or stderr matches."""
    timeout_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, sent from inside the container's network."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    status: int | None = None
    """Expected; None: anything below 400."""
    pattern: str = ""
    """Regular expression searched in the decoded body of the response; empty: anything."""
    same_body: bool = False
    """The body must equal the original's byte for byte."""
    timeout_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exec:
    """One command in the running container, as the image's user."""

    run: tuple[str, ...]
    expect: Expect
    timeout_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    signal: str = ""
    """Its name without SIG; empty: the one that the image names, or TERM."""
    timeout_seconds: float = 10.0
    """Then it is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    ready: Ready | None = None
    """None: as soon as it is started."""
    requests: tuple[Request, ...] = ()
    exec: tuple[Exec, ...] = ()
    """After the requests."""
    stop: Stop = Stop()


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
    service: Service | None = None
    """What to do with a run that does not end by itself; None: wait for its end."""
    conditions: Conditions = field(default_factory=Conditions)


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
    keep_packages: tuple[str, ...] = ()
    """Names of packages kept at every level, `manager:name` or `name`."""
    drop: tuple[str, ...] = ()
    """Globs of paths removed unless a run touched them."""
    ignore: tuple[Ignore, ...] = ()
    image: str = ""
