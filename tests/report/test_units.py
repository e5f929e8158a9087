"""Figures as people read them."""

from mlbloat.report.units import change


def test_what_grew_is_not_called_less() -> None:
    said = [change(ratio) for ratio in (0.121, 0.0, -0.121)]
    assert said == ["12.1 % less", "0.0 % less", "12.1 % more"]
