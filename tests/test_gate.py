"""Thresholds: what is read, what passes."""

from dataclasses import replace

import pytest

from mlbloat.errors import UsageError
from mlbloat.gate import Growth, Limits, judge, parse_growth, parse_ratio, parse_size
from mlbloat.model.report import PackageReport, Report
from tests.support.reports import report


@pytest.mark.parametrize(("text", "ratio"), [("0.3", 0.3), ("30%", 0.3), ("0", 0.0), ("1", 1.0), ("100%", 1.0)])
def test_a_ratio_is_a_number_or_a_percentage(text: str, ratio: float) -> None:
    assert parse_ratio(text) == pytest.approx(ratio)


@pytest.mark.parametrize("text", ["", "30", "-1", "x", "101%", "nan", "0,3"])
def test_anything_else_is_no_ratio(text: str) -> None:
    with pytest.raises(UsageError, match="as a ratio; give a number from 0 to 1"):
        parse_ratio(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("123", 123),
        ("1kB", 1000),
        ("500MB", 500_000_000),
        ("1.5 GB", 1_500_000_000),
        ("2GiB", 2 << 30),
        ("3M", 3_000_000),
    ],
)
def test_a_size_is_bytes_or_has_a_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1 PB", "0x10", "1,5GB"])
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="as a size; give bytes or a unit"):
        parse_size(text)


def test_a_limit_passes_when_it_is_met_exactly_and_fails_above() -> None:
    limits = Limits(max_bloat_ratio=0.4, max_size_bytes=99)
    bloat, size = judge(report(used=60, reachable=30, unused=10), limits)
    assert (bloat.name, bloat.measured, bloat.passed) == ("max-bloat", 0.4, True)
    assert (size.name, size.measured, size.passed) == ("max-size", 100, False)


def test_only_limits_that_were_asked_for_are_judged() -> None:
    assert judge(report(), Limits()) == ()


def test_an_empty_image_has_no_bloat() -> None:
    (rule,) = judge(report(used=0, reachable=0, unused=0), Limits(max_bloat_ratio=0.0))
    assert rule.passed


def package(name: str, *, size: int, used: int) -> PackageReport:
    return replace(
        report().packages[0],
        name=name,
        size_bytes=size,
        used_bytes=used,
        bloat_ratio=(size - used) / size if size else None,
    )


def with_packages(*packages: PackageReport, size: int = 100) -> Report:
    made = report()
    return replace(made, packages=packages, totals=replace(made.totals, size_bytes=size))


def test_the_worst_package_decides_and_those_above_are_named_by_waste() -> None:
    made = with_packages(
        package("good", size=5_000_000, used=4_500_000),
        package("small-waste", size=1_000_000, used=0),
        package("large-waste", size=9_000_000, used=1_000_000),
        package("tiny", size=999_999, used=0),
        package("empty", size=0, used=0),
    )
    (limit,) = judge(made, Limits(max_package_bloat_ratio=0.5))
    assert (limit.measured, limit.passed) == (1.0, False)
    assert limit.packages == ("apt:large-waste@/", "apt:small-waste@/")


def test_small_packages_are_looked_at_when_asked_for() -> None:
    made = with_packages(package("tiny", size=10, used=0))
    assert judge(made, Limits(max_package_bloat_ratio=0.5))[0].passed
    assert not judge(made, Limits(max_package_bloat_ratio=0.5, min_package_bytes=10))[0].passed


@pytest.mark.parametrize(
    ("before", "after", "growth", "measured", "passed"),
    [
        (100, 105, Growth(amount=0.05, unit="ratio"), 0.05, True),
        (100, 106, Growth(amount=0.05, unit="ratio"), 0.06, False),
        (100, 106, Growth(amount=6, unit="bytes"), 6, True),
        (100, 107, Growth(amount=6, unit="bytes"), 7, False),
        (100, 50, Growth(amount=0, unit="ratio"), -0.5, True),
        (0, 1, Growth(amount=0.5, unit="ratio"), 1.0, False),
        (0, 0, Growth(amount=0, unit="ratio"), 0.0, True),
    ],
)
def test_growth_is_held_against_the_baseline(
    before: int, after: int, growth: Growth, measured: float, passed: bool
) -> None:
    (limit,) = judge(with_packages(size=after), Limits(max_growth=growth), with_packages(size=before))
    assert limit.measured == pytest.approx(measured)
    assert limit.passed is passed


def test_the_packages_that_grew_are_named() -> None:
    before = with_packages(package("same", size=5, used=0), package("grew", size=5, used=0), size=10)
    after = with_packages(
        package("same", size=5, used=0), package("grew", size=7, used=0), package("new", size=9, used=0), size=21
    )
    (limit,) = judge(after, Limits(max_growth=Growth(amount=0, unit="bytes")), before)
    assert limit.packages == ("apt:new@/", "apt:grew@/")


def test_shadowed_bytes_have_a_limit() -> None:
    (limit,) = judge(report(), Limits(max_shadowed_bytes=4))
    assert (limit.name, limit.measured, limit.passed) == ("max-shadowed", 5, False)


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("5%", 0.05, "ratio"),
        ("0.05", 0.05, "ratio"),
        ("0", 0, "ratio"),
        ("1", 1, "ratio"),
        ("50MB", 50_000_000, "bytes"),
        ("1000", 1000, "bytes"),
    ],
)
def test_growth_is_a_ratio_or_a_size(text: str, amount: float, unit: str) -> None:
    growth = parse_growth(text)
    assert growth.amount == pytest.approx(amount)
    assert growth.unit == unit
