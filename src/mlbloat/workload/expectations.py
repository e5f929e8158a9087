"""What must hold after a run, checked before the first one: a typing error must not come to light after an hour."""

import re

import msgspec

from mlbloat.errors import UsageError
from mlbloat.model.workload import Expect
from mlbloat.workload import document


def expect_of(expect: document.Expect, problem: str, *, service: bool = False) -> Expect:
    """Return what a command must do; `problem` begins every error.

    How a service ends when it is told to is its own affair: unless the file says, it must end as the original does.
    """
    for stream in ("stdout", "stderr"):
        check_pattern(getattr(expect, stream), stream, problem)
    same = names(expect.same, ("stdout", "stderr", "exit"), problem)
    status = expect.exit
    if isinstance(status, msgspec.UnsetType):
        status = None if service else 0
        same += ("exit",) if service and "exit" not in same else ()
    return Expect(exit=status, stdout=expect.stdout, stderr=expect.stderr, same=same)


def check_pattern(pattern: str, what: str, problem: str) -> None:
    """Raise UsageError when it is no regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{problem} expects {what} by a wrong regular expression: {error}; fix it") from error


def names(same: str | list[str], known: tuple[str, ...], problem: str) -> tuple[str, ...]:
    """Return what `same` names; UsageError for anything else."""
    found = (same,) if isinstance(same, str) else tuple(same)
    if not set(found) <= set(known):
        raise UsageError(f"{problem} has `same: {same}`; it takes {' or '.join(known)}, or a list of them")
    return found


def seconds(value: float, problem: str) -> float:
    """Return a time that may pass; UsageError unless it is above 0 and has an end."""
    if not 0 < value < float("inf"):
        raise UsageError(f"{problem} has `timeout_seconds: {value}`; give a number above 0")
    return value
