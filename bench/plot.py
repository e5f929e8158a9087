"""A picture of a few lines over one axis, as SVG."""

from collections.abc import Mapping, Sequence
from html import escape

_WIDE, _HIGH, _EDGE = 720, 420, 60
_COLORS = ("#0050a0", "#a05000", "#308030", "#803080")
_STEPS = 5


def draw(across: Sequence[float], title: str, lines: Mapping[str, Sequence[float]]) -> str:
    """Draw each line's values over `across`; both axes begin at zero."""
    right, top = max(across), max(max(values) for values in lines.values())
    parts = [_axes(right, top, title)]
    for number, (name, values) in enumerate(lines.items()):
        points = [(_x(x / right), _y(y / top)) for x, y in zip(across, values, strict=True)]
        parts.append(_line(points, _COLORS[number % len(_COLORS)]))
        parts.append(_text(_EDGE + 10, _EDGE + 16 * number, name, "start", _COLORS[number % len(_COLORS)]))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDE}" height="{_HIGH}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _axes(right: float, top: float, title: str) -> str:
    below = _HIGH - _EDGE
    marks = [f'<path d="M{_EDGE},{_EDGE}V{below}H{_WIDE - _EDGE}" fill="none" stroke="black"/>']
    for step in range(1, _STEPS + 1):
        marks.append(_text(_x(step / _STEPS), below + 18, f"{right * step / _STEPS:.3g}"))
        marks.append(_text(_EDGE - 8, _y(step / _STEPS) + 4, f"{top * step / _STEPS:.3g}", "end"))
    marks.append(_text(_WIDE / 2, below + 40, title))
    return "".join(marks)


def _line(points: Sequence[tuple[float, float]], color: str) -> str:
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in points)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>{dots}'


def _text(x: float, y: float, words: str, anchor: str = "middle", color: str = "black") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{escape(words)}</text>'


def _x(part: float) -> float:
    return _EDGE + part * (_WIDE - 2 * _EDGE)


def _y(part: float) -> float:
    return _HIGH - _EDGE - part * (_HIGH - 2 * _EDGE)
