"""The dependency graph of packages as SVG: columns by depth, boxes ordered so that arrows cross little.

A simple form of Sugiyama's layers: depth is given, order within a column comes from the mean place of neighbours.
https://doi.org/10.1109/TSMC.1981.4308636
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from mlbloat.model.report import PackageReport
from mlbloat.report.page.element import clipped, note, parts_of, section, tag
from mlbloat.report.units import percent, size

MAX_BOXES = 150
"""Largest packages drawn; more are a wall."""
HUB = 12
"""Arrows to what more packages than this require are counted in its box instead of drawn."""
ROWS = 24
"""Boxes on top of each other in one column."""
_SWEEPS = 4
_WIDTH, _HEIGHT, _GAP, _AISLE, _TOP = 168, 34, 8, 64, 30
_NAME = 24
"""Characters of a name that fit into a box."""

Edges = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Group:
    """Packages at one depth, or those that nothing that runs requires."""

    title: str
    keys: tuple[str, ...]
    """Top to bottom, column after column."""


@dataclass(frozen=True, slots=True)
class Layout:
    places: dict[str, tuple[int, int]]
    """Top left corner of each box."""
    titles: tuple[tuple[int, str], ...]
    """Where each group begins, and its title."""
    width: int
    height: int


def graph(packages: Sequence[PackageReport]) -> Element | None:
    """Draw the largest packages; None without any."""
    if not packages:
        return None
    shown = {
        key_of(each): each for each in sorted(packages, key=lambda each: (-each.size_bytes, key_of(each)))[:MAX_BOXES]
    }
    asked = _dependents(shown)
    edges = {
        key: tuple(
            each for each in package.requires if each in shown and asked[each] <= HUB and _drawn(package, shown[each])
        )
        for key, package in shown.items()
    }
    layout = lay_out(groups_of(shown, edges))
    arrows = {key: [_arrow(layout.places[key], layout.places[each]) for each in edges[key]] for key in layout.places}
    # Once below all boxes, and once with its box, where pointing at the box shows it.
    below = tag("g", *(tag("path", d=curve) for curves in arrows.values() for curve in curves), class_="arrows")
    boxes = [_box(shown[key], layout.places[key], arrows[key], asked[key]) for key in layout.places]
    heads = [tag("text", title, x=x, y=16, class_="head") for x, title in layout.titles]
    drawing = tag("svg", *heads, below, *boxes, width=layout.width, height=layout.height, class_="graph", role="img")
    return section("graph", "Dependencies", *_legend(len(shown), len(packages)), tag("div", drawing, class_="scroll"))


def _legend(shown: int, total: int) -> Iterator[Element]:
    left_out = f" The {shown} largest of {total} packages are drawn; `-o dot` has all." if shown < total else ""
    yield note(
        "Left to right: what the workload uses, what that requires, and what nothing that runs requires (dashed). "
        "Point at a box to see what it requires. The strip below a name is used, reachable and unused. "
        f"Arrows to packages that more than {HUB} others require are left out, and those from dashed boxes to needed "
        f"packages.{left_out}"
    )


def key_of(package: PackageReport) -> str:
    return f"{package.manager}:{package.name}@{package.location}"


def _dependents(shown: Mapping[str, PackageReport]) -> dict[str, int]:
    counted = dict.fromkeys(shown, 0)
    for package in shown.values():
        for key in package.requires:
            if key in counted:
                counted[key] += 1
    return counted


def _drawn(package: PackageReport, required: PackageReport) -> bool:
    return (package.depth is None) == (required.depth is None)


def groups_of(shown: Mapping[str, PackageReport], edges: Edges) -> tuple[Group, ...]:
    """Columns by depth, each in the order that brings neighbours to the same height."""
    by_depth: dict[int | None, list[str]] = {}
    for key, package in shown.items():
        by_depth.setdefault(package.depth, []).append(key)
    depths = sorted(by_depth, key=lambda depth: (depth is None, depth or 0))
    columns = [by_depth[depth] for depth in depths]
    neighbours = _both_ways(edges)
    for _ in range(_SWEEPS):
        height = {key: row for column in columns for row, key in enumerate(column)}
        for column in columns:
            means = {key: _mean((height[each] for each in neighbours[key]), height[key]) for key in column}
            column.sort(key=lambda key: (means[key], key))
            height.update((key, row) for row, key in enumerate(column))
    return tuple(Group(_title(depth), tuple(column)) for depth, column in zip(depths, columns, strict=True))


def _title(depth: int | None) -> str:
    if depth is None:
        return "required by nothing that runs"
    return "used" if depth == 1 else f"required, depth {depth}"


def _both_ways(edges: Edges) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {key: list(keys) for key, keys in edges.items()}
    for key, keys in edges.items():
        for each in keys:
            found[each].append(key)
    return found


def _mean(rows: Iterable[int], otherwise: int) -> float:
    held = list(rows)
    return sum(held) / len(held) if held else otherwise


def lay_out(groups: Iterable[Group]) -> Layout:
    """Place boxes in columns of at most ROWS, an aisle between groups."""
    places: dict[str, tuple[int, int]] = {}
    titles = []
    x, tallest = 2, 0
    for group in groups:
        titles.append((x, group.title))
        columns = -(-len(group.keys) // ROWS)
        rows = -(-len(group.keys) // columns)
        for number, key in enumerate(group.keys):
            column, row = divmod(number, rows)
            places[key] = (x + column * (_WIDTH + _GAP), _TOP + row * (_HEIGHT + _GAP))
        x += columns * (_WIDTH + _GAP) - _GAP + _AISLE
        tallest = max(tallest, rows)
    return Layout(places, tuple(titles), max(x - _AISLE, _WIDTH + 60) + 2, _TOP + tallest * (_HEIGHT + _GAP))


def _box(package: PackageReport, place: tuple[int, int], arrows: Iterable[str], asked: int) -> Element:
    """A box and its arrows in one group: pointing at it lights them up, without a script."""
    x, y = place
    name = package.name if len(package.name) <= _NAME else f"{package.name[: _NAME - 1]}…"
    bloat = "" if package.bloat_ratio is None else f", bloat {percent(package.bloat_ratio)}"
    hub = tag("text", f"← {asked}", x=x + _WIDTH - 7, y=y + 13, class_="small end") if asked > HUB else None
    classes = " ".join(["box", *(["direct"] if package.direct else []), *([] if package.required else ["idle"])])
    return tag(
        "g",
        tag(
            "title",
            f"{package.manager} {clipped(package.name)} {clipped(package.version)}: {size(package.size_bytes)}{bloat}, "
            f"required by {asked}",
        ),
        *(tag("path", d=curve) for curve in arrows),
        tag("rect", x=x, y=y, width=_WIDTH, height=_HEIGHT, rx=4),
        *_strip(package, x + 1, y + _HEIGHT - 4),
        tag("text", name, x=x + 7, y=y + 13),
        hub,
        tag("text", f"{package.manager} {size(package.size_bytes)}{bloat}", x=x + 7, y=y + 26, class_="small"),
        class_=classes,
        tabindex=0,
    )


def _strip(package: PackageReport, x: int, y: int) -> Iterator[Element]:
    total = package.size_bytes or 1
    left = float(x)
    for part, name in zip(parts_of(package), ("used", "reachable", "unused"), strict=True):
        width = (_WIDTH - 2) * part / total
        if width >= 0.05:
            yield tag("rect", x=f"{left:.1f}", y=y, width=f"{width:.1f}", height=3, class_=name)
        left += width


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    """From the side of a box that is nearer to the other; within a column around the right side."""
    (x1, y1), (x2, y2) = start, end
    y1, y2 = y1 + _HEIGHT // 2, y2 + _HEIGHT // 2
    if x2 > x1:
        x1, bend = x1 + _WIDTH, max(24, (x2 - x1 - _WIDTH) // 2)
    elif x2 < x1:
        x2, bend = x2 + _WIDTH, -max(24, (x1 - x2 - _WIDTH) // 2)
    else:
        x1, x2 = x1 + _WIDTH, x2 + _WIDTH
        return f"M{x1} {y1}C{x1 + 22} {y1} {x2 + 22} {y2} {x2} {y2}"
    return f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
