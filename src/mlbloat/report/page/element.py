"""Elements of a page: text and attributes are escaped because there is no other way to put them in.

https://html.spec.whatwg.org/multipage/parsing.html
"""

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, tostring

from mlbloat.model.plain import plain
from mlbloat.model.report import DirectoryReport, FileReport, KindReport, LayerReport, ManagerReport, PackageReport
from mlbloat.report.units import size

Child = str | Element | None
MAX_TEXT = 4000
"""Characters of one text shown: texts are written by strangers."""
MAX_NAME = 200
"""The same in a row of a long table."""
LONG = 20
"""Rows of a table that is shown whole."""
Sums = DirectoryReport | KindReport | LayerReport | ManagerReport | PackageReport
Bytes = tuple[int, int, int]
"""Used, reachable, unused."""


def tag(name: str, *children: Child, **attributes: str | int | None) -> Element:
    """Make an element; `class_` is class and `data_v` is data-v, None leaves an attribute or a child out."""
    made = Element(name)
    for key, value in attributes.items():
        if value is not None:
            made.set(key.rstrip("_").replace("_", "-"), clipped(str(value), MAX_TEXT))
    last: Element | None = None
    for child in children:
        if isinstance(child, Element):
            made.append(child)
            last = child
        elif child is not None:
            text = clipped(child, MAX_TEXT)
            if last is None:
                made.text = (made.text or "") + text
            else:
                last.tail = (last.tail or "") + text
    return made


def raw(name: str, text: str) -> Element:
    """A style or script of our own, which is not escaped; never text of an image."""
    made = Element(name)
    made.text = text
    return made


def prose(text: str) -> Element:
    """A paragraph; what is between backticks is code."""
    parts = text.split("`")
    return tag("p", *(tag("code", part) if number % 2 else part for number, part in enumerate(parts)))


def note(text: str) -> Element:
    made = prose(text)
    made.set("class", "note")
    return made


def document(page: Element) -> str:
    return "<!DOCTYPE html>\n" + tostring(page, encoding="unicode", method="html") + "\n"


def section(name: str, title: str, *children: Child) -> Element:
    return tag("section", tag("h2", title), *children, id=name)


def table(
    columns: Iterable[tuple[str, str]], rows: Sequence[Element], *, id_: str | None = None, stack: bool = False
) -> Element:
    """A table in a box that scrolls, down too when it is long.

    A column is a title and classes: `n` number, `w` on wide screens only. With `stack` the cells of class `p` have a
    line of their own on narrow screens.
    """
    head = tag("tr", *(tag("th", title, class_=classes or None, scope="col") for title, classes in columns))
    return tag(
        "div",
        tag("table", tag("thead", head), tag("tbody", *rows), id_=id_, class_="stack" if stack else None),
        class_="scroll long" if len(rows) > LONG else "scroll",
    )


def number(shown: str, value: float | None, classes: str = "n") -> Element:
    """A cell of a figure; its exact value is what sorting goes by."""
    return tag("td", shown, class_=classes, data_v="-1" if value is None else repr(value))


def bytes_(value: int | None, classes: str = "n") -> Element:
    return number(size(value), value, classes)


def bar(parts: Bytes, whole: int, title: str = "") -> Element:
    """A bar as long as its share of `whole`, in the colours of the three classes."""
    drawn, x = [], 0.0
    for part, name in zip(parts, ("used", "reachable", "unused"), strict=True):
        width = 100 * part / whole if whole else 0.0
        drawn.append(tag("rect", x=f"{x:.2f}", width=f"{width:.2f}", height=10, class_=name))
        x += width
    described = tag("title", title) if title else None
    return tag("svg", described, *drawn, class_="bar", viewBox="0 0 100 10", preserveAspectRatio="none", role="img")


def parts_of(sums: Sums) -> Bytes:
    return sums.used_bytes, sums.reachable_bytes, sums.unused_bytes


def bar_cell(sums: Sums, whole: int) -> Element:
    used, reachable, unused = parts_of(sums)
    title = f"used {size(used)}, reachable {size(reachable)}, unused {size(unused)}"
    return tag("td", bar((used, reachable, unused), whole, title), class_="b")


def path_cell(path: str, classes: str = "p") -> Element:
    return tag("td", tag("code", clipped(path)), class_=classes)


def file_bytes(file: FileReport) -> Bytes:
    size_bytes = file.size_bytes
    return (
        size_bytes if file.file_class == "used" else 0,
        size_bytes if file.file_class == "reachable" else 0,
        size_bytes if file.file_class == "unused" else 0,
    )


def clipped(text: str, most: int = MAX_NAME) -> str:
    """Keep both ends: the end of a path says more than its middle."""
    shown = plain(text)
    return shown if len(shown) <= most else f"{shown[: most // 4]}…{shown[-3 * most // 4 :]}"
