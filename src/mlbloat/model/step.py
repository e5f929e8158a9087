"""What became of one thing that was asked of a service."""

from dataclasses import dataclass
from typing import Literal

StepKind = Literal["ready", "request", "exec", "end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was asked, in the order of asking: ready, requests, commands, stop."""

    kind: StepKind
    what: str
    """As a user would call it, such as `GET http://127.0.0.1/`."""
    status: int | None = None
    """HTTP status, or exit status of a command; None when there is none."""
    body: bytes = b""
    """Of the response, or what the command wrote to stdout."""
    stderr: bytes = b""
    seconds: float = 0.0
    failure: str = ""
    """Why there is no answer; empty when there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One thing that was asked of a service."""

    kind: StepKind
    what: str
    status: int | None
    """HTTP status, or exit status of a command; None when there is none."""
    seconds: float
    failure: str
    """Why there is no answer; empty when there is one."""


def reports_of(steps: tuple[Step, ...]) -> tuple[StepReport, ...]:
    """What a report says of them: no contents, which may be large or secret."""
    return tuple(
        StepReport(
            kind=step.kind,
            what=step.what,
            status=step.status,
            seconds=round(step.seconds, 3),
            failure=step.failure,
        )
        for step in steps
    )
