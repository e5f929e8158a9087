"""Thresholds for CI: a report and limits in, one PASS or FAIL line per limit out."""

import re
from dataclasses import dataclass

from mlbloat.errors import UsageError
from mlbloat.model.report import Report

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)B?")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    max_bloat_ratio: float | None = None
    max_size_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    name: str
    measured: float
    limit: float
    unit: str
    """`bytes` or `ratio`."""

    @property
    def passed(self) -> bool:
        return self.measured <= self.limit


def judge(report: Report, limits: Limits) -> tuple[Rule, ...]:
    """Hold a report against the limits that were asked for. An empty image has no bloat."""
    rules = []
    if limits.max_bloat_ratio is not None:
        measured = report.totals.bloat_ratio or 0.0
        rules.append(Rule(name="max-bloat", measured=measured, limit=limits.max_bloat_ratio, unit="ratio"))
    if limits.max_size_bytes is not None:
        measured = report.totals.size_bytes
        rules.append(Rule(name="max-size", measured=measured, limit=limits.max_size_bytes, unit="bytes"))
    return tuple(rules)


def parse_ratio(text: str) -> float:
    """Read `0.3` or `30%`; UsageError for anything outside 0 to 1."""
    number = text.strip()
    try:
        ratio = float(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise UsageError(f"cannot use {text!r} as a ratio; give a number from 0 to 1 or a percentage, as in 0.3 or 30%")
    return ratio


def parse_size(text: str) -> int:
    """Read `500MB`, `1.5 GB`, `2GiB` or plain bytes; k, M, G, T are powers of 1000, Ki, Mi, Gi, Ti of 1024."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise UsageError(f"cannot use {text!r} as a size; give bytes or a unit, as in 500MB, 1.5GB or 2GiB")
    number, prefix, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS[prefix.upper()])
