"""Figures as people read them."""

import pytest

from mlbloat.model.report import LimitReport
from mlbloat.report.units import change, limit_sentence


def test_what_grew_is_not_called_less() -> None:
    said = [change(ratio) for ratio in (0.121, 0.0, -0.121)]
    assert said == ["12.1 % less", "0.0 % less", "12.1 % more"]


@pytest.mark.parametrize(
    ("unit", "measured", "limit", "said"),
    [
        ("ratio", 0.4, 0.3, "40.0 %, limit 30.0 %"),
        ("ratio", 0.3004, 0.3, "30.04 %, limit 30.00 %"),
        ("ratio", 0.30000001, 0.3, "30.000001 %, limit 30.000000 %"),
        ("ratio", 0.3, 0.3, "30.0 %, limit 30.0 %"),
        ("bytes", 2_000_001.0, 2_000_000.0, "2,000,001 bytes, limit 2,000,000 bytes"),
        ("bytes", 2_000_000.0, 2_000_000.0, "2.00 MB, limit 2.00 MB"),
    ],
)
def test_two_figures_that_differ_look_different(unit: str, measured: float, limit: float, said: str) -> None:
    report = LimitReport(name="x", measured=measured, limit=limit, unit=unit, passed=measured <= limit)  # type: ignore[arg-type]
    assert limit_sentence(report) == f"x: {said}"
