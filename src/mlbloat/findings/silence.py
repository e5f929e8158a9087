"""Findings that somebody decided to live with: each with a reason, and until a day."""

import datetime
import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlbloat.errors import UsageError
from mlbloat.model.report import Finding, SilencedReport
from mlbloat.model.workload import Ignore


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Findings that are left, those that are silenced, and what is wrong with the `ignore:` entries themselves."""

    findings: tuple[Finding, ...]
    silenced: tuple[SilencedReport, ...]
    flags: tuple[str, ...]


def check(ignores: Iterable[Ignore], known: Sequence[str]) -> None:
    """UsageError for an entry that names no rule; known before an hour of work, not after it."""
    for ignore in ignores:
        if ignore.rule not in known:
            raise UsageError(f"cannot ignore {ignore.rule!r}: rules are {', '.join(known)}; correct `ignore:`")


def silence(found: Iterable[Finding], ignores: Sequence[Ignore], today: datetime.date) -> Heard:
    """Take out what is ignored today. An entry with a path holds for findings all of whose paths match."""
    valid = [ignore for ignore in ignores if ignore.until is None or today <= ignore.until]
    left, silenced, matching = [], [], set()
    for finding in found:
        ignore = next((each for each in valid if _matches(each, finding)), None)
        if ignore is None:
            left.append(finding)
            continue
        matching.add(ignore)
        until = None if ignore.until is None else ignore.until.isoformat()
        silenced.append(
            SilencedReport(
                rule=finding.rule, title=finding.title, bytes=finding.bytes, reason=ignore.reason, until=until
            )
        )
    ended = (
        f"ignoring {each.rule} ended on {each.until}: it is reported again" for each in ignores if each not in valid
    )
    idle = (
        f"ignoring {each.rule} is for nothing: no finding matches; remove it" for each in valid if each not in matching
    )
    return Heard(findings=tuple(left), silenced=tuple(silenced), flags=(*ended, *idle))


def _matches(ignore: Ignore, finding: Finding) -> bool:
    if ignore.rule != finding.rule:
        return False
    return not ignore.path or all(fnmatch.fnmatchcase(path, ignore.path) for path in finding.paths)
