"""The drawn graph: boxes in columns by depth, none over another, arrows that can be followed."""

from dataclasses import replace
from xml.etree.ElementTree import Element

from mlbloat.model.report import PackageReport
from mlbloat.report.page.graph import HUB, MAX_BOXES, ROWS, Group, graph, groups_of, key_of, lay_out
from tests.support.reports import report

(PLAIN,) = report().packages


def package(name: str, depth: int | None = 1, *requires: str, size_bytes: int = 100) -> PackageReport:
    return replace(
        PLAIN,
        name=name,
        depth=depth,
        direct=depth == 1,
        required=depth is not None,
        requires=tuple(f"apt:{each}@/" for each in requires),
        size_bytes=size_bytes,
    )


def drawn(*packages: PackageReport) -> Element:
    made = graph(packages)
    assert made is not None
    return made


def boxes(made: Element) -> list[Element]:
    return [each for each in made.iter("g") if "box" in each.get("class", "").split()]


def test_columns_are_depths_and_what_nothing_requires_is_last() -> None:
    made = drawn(package("idle", None), package("b", 2), package("a", 1, "b"), package("c", 3))
    heads = [each.text for each in made.iter("text") if each.get("class") == "head"]
    assert heads == ["used", "required, depth 2", "required, depth 3", "required by nothing that runs"]
    names = [box.findtext("text") for box in boxes(made)]
    assert names == ["a", "b", "c", "idle"]
    assert [box.get("class") for box in boxes(made)] == ["box direct", "box", "box", "box idle"]


def test_boxes_do_not_overlap_however_many_there_are() -> None:
    groups = [Group("one", tuple(f"a{n}" for n in range(3 * ROWS + 1))), Group("two", ("b",))]
    layout = lay_out(groups)
    assert len(set(layout.places.values())) == len(layout.places) == 3 * ROWS + 2
    assert max(x for x, _ in layout.places.values()) + 168 <= layout.width
    assert max(y for _, y in layout.places.values()) + 34 <= layout.height
    assert layout.places["b"][0] > max(layout.places[f"a{n}"][0] for n in range(3 * ROWS + 1)) + 168


def test_neighbours_come_to_the_same_height() -> None:
    packages = {key_of(each): each for each in (
        package("a", 1, "z"), package("b", 1, "y"), package("x", 2), package("y", 2), package("z", 2),
    )}  # fmt: skip
    edges = {key: tuple(each for each in packages[key].requires) for key in packages}
    first, second = groups_of(packages, edges)
    order = [key for key in second.keys if key != "apt:x@/"]
    pairs = {"apt:a@/": "apt:z@/", "apt:b@/": "apt:y@/"}
    assert order == [pairs[key] for key in first.keys]


def test_arrows_to_what_everything_requires_are_counted_not_drawn() -> None:
    many = [package(f"p{number}", 1, "libc", "own") for number in range(HUB + 1)]
    few = [replace(each, requires=("apt:libc@/",)) for each in many[2:]]
    made = drawn(*many[:2], *few, package("libc", 2), package("own", 2))
    arrows = [path for box in boxes(made) for path in box.findall("path")]
    assert len(arrows) == 2
    assert f"← {HUB + 1}" in [each.text for each in made.iter("text")]


def test_only_the_largest_are_drawn_and_the_page_says_so() -> None:
    made = drawn(*(package(f"p{number:03}", size_bytes=number) for number in range(MAX_BOXES + 5)))
    assert len(boxes(made)) == MAX_BOXES
    assert "p004" not in [box.findtext("text") for box in boxes(made)]
    assert f"The {MAX_BOXES} largest of {MAX_BOXES + 5} packages are drawn" in "".join(made.itertext())


def test_packages_that_require_each_other_are_drawn() -> None:
    made = drawn(package("a", 1, "b", "a"), package("b", 1, "a"))
    assert sum(len(box.findall("path")) for box in boxes(made)) == 3


def test_without_packages_there_is_no_graph() -> None:
    assert graph(()) is None
