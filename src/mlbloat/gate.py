"""Thresholds for CI: a report and limits in, a judgement per limit out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mlbloat.errors import UsageError
from mlbloat.model.report import LimitReport, PackageReport, Report

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)B?")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
MIN_PACKAGE_BYTES = 1_000_000
"""Packages below it are not worth a failed build, however much of them is bloat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What a size may grow by since the baseline."""

    amount: float
    unit: Literal["bytes", "ratio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    max_bloat_ratio: float | None = None
    max_size_bytes: int | None = None
    max_shadowed_bytes: int | None = None
    max_package_bloat_ratio: float | None = None
    min_package_bytes: int = MIN_PACKAGE_BYTES
    """Smaller packages are not held against `max_package_bloat_ratio`."""
    max_growth: Growth | None = None

    @property
    def empty(self) -> bool:
        limits = (self.max_bloat_ratio, self.max_size_bytes, self.max_shadowed_bytes, self.max_package_bloat_ratio)
        return all(limit is None for limit in (*limits, self.max_growth))


def judge(report: Report, limits: Limits, baseline: Report | None = None) -> tuple[LimitReport, ...]:
    """Hold a report against the limits that were asked for. An empty image has no bloat."""
    totals = report.totals
    judged = []
    if limits.max_bloat_ratio is not None:
        judged.append(_limit("max-bloat", totals.bloat_ratio or 0.0, limits.max_bloat_ratio, "ratio"))
    if limits.max_size_bytes is not None:
        judged.append(_limit("max-size", totals.size_bytes, limits.max_size_bytes, "bytes"))
    if limits.max_shadowed_bytes is not None:
        judged.append(_limit("max-shadowed", totals.shadowed_bytes, limits.max_shadowed_bytes, "bytes"))
    if limits.max_package_bloat_ratio is not None:
        judged.append(_package_bloat(report, limits.max_package_bloat_ratio, limits.min_package_bytes))
    if limits.max_growth is not None and baseline is not None:
        judged.append(_growth(report, baseline, limits.max_growth))
    return tuple(judged)


def _limit(
    name: str, measured: float, limit: float, unit: Literal["bytes", "ratio"], packages: tuple[str, ...] = ()
) -> LimitReport:
    return LimitReport(
        name=name, measured=measured, limit=limit, unit=unit, passed=measured <= limit, packages=packages
    )


def _package_bloat(report: Report, limit: float, least: int) -> LimitReport:
    """The worst package decides; those above the limit are named, most unused bytes first."""
    ratios = {_key(each): each.bloat_ratio for each in report.packages if each.size_bytes >= least}
    wasted = {_key(each): each.size_bytes - each.used_bytes for each in report.packages}
    above = [key for key, ratio in ratios.items() if ratio is not None and ratio > limit]
    above.sort(key=lambda key: (-wasted[key], key))
    worst = max((ratio for ratio in ratios.values() if ratio is not None), default=0.0)
    return _limit("max-package-bloat", worst, limit, "ratio", tuple(above))


def _growth(report: Report, baseline: Report, limit: Growth) -> LimitReport:
    """The image decides; the packages that grew are named, most bytes first."""
    before, after = baseline.totals.size_bytes, report.totals.size_bytes
    grown = after - before
    measured = grown if limit.unit == "bytes" else grown / before if before else float(grown > 0)
    sizes, earlier = _sizes(report), _sizes(baseline)
    grew = {key: size - earlier.get(key, 0) for key, size in sizes.items() if size > earlier.get(key, 0)}
    named = sorted(grew, key=lambda key: (-grew[key], key))
    return _limit("max-growth", measured, limit.amount, limit.unit, tuple(named) if measured > limit.amount else ())


def _sizes(report: Report) -> Mapping[str, int]:
    return {_key(package): package.size_bytes for package in report.packages}


def _key(package: PackageReport) -> str:
    return f"{package.manager}:{package.name}@{package.location}"


def parse_growth(text: str) -> Growth:
    """Read a ratio as `5%` or `0.05`, or a size as `50MB`; 0 is no growth at all."""
    if text.strip().endswith("%") or re.fullmatch(r"\s*(?:0?\.\d+|0|1|1\.0+)\s*", text):
        return Growth(amount=parse_ratio(text), unit="ratio")
    try:
        return Growth(amount=parse_size(text), unit="bytes")
    except UsageError as error:
        raise UsageError(f"cannot use {text!r} as growth; give a ratio or a size, as in 5% or 50MB") from error


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
