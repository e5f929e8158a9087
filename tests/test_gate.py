"""Thresholds: what is read, what passes."""

import pytest

from mlbloat.errors import UsageError
from mlbloat.gate import Limits, judge, parse_ratio, parse_size
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
