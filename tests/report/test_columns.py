"""Tables of any width: figures stay whole, a row of names stays one line."""

from dataclasses import replace

import pytest

from mlbloat.model.removal import SafeOnlyReport
from mlbloat.model.report import Report
from mlbloat.report.columns import middle
from mlbloat.report.table import render
from mlbloat.report.widths import NARROW, WIDEST
from mlbloat.report.words import made_by
from tests.support.reports import slimmed


def wide() -> Report:
    made = slimmed()
    (package,) = made.packages
    (layer,) = made.image.layers
    long = "/usr/lib/python3/dist-packages/" + "a-long-directory/" * 5 + "module.py"
    packages = tuple(
        replace(package, name="a-package-with-a-long-name" * 2, version="1.2.3-4+deb12u5" * 2, location=str(number),
                size_bytes=123_456_789, used_bytes=23_400_000, reachable_bytes=11_100_000, unused_bytes=98_700_000)
        for number in range(3)
    )  # fmt: skip
    group = SafeOnlyReport(
        group="pip:a-long-name@/x", files=1, size_bytes=9_870_000, reason=f"may be imported by {long}", largest=long
    )
    layers = (replace(layer, created_by="/bin/sh -c " + "apt-get install " * 20),)
    return replace(made, packages=packages, safe_only=(group,), image=replace(made.image, layers=layers))


@pytest.mark.parametrize("width", [NARROW, 80, 99, 100, 110, WIDEST])
def test_no_line_is_too_long_and_no_figure_is_cut(width: int) -> None:
    lines = render(wide(), width=width).splitlines()
    assert max(map(len, lines)) <= width
    rows = [line for line in lines if line.startswith("a-pa")]
    assert len(rows) == 3
    for figure in ("123 MB", "23.4 MB", "98.7 MB", "40.0 %", "directly"):
        assert all(figure in row for row in rows)
    (row,) = [line for line in lines if line.startswith("9.87 MB")]
    assert "may be imported by" in row and row.endswith("module.py")


def test_only_wide_tables_have_all_columns() -> None:
    assert "version" not in render(wide(), width=99)
    assert "version" in render(wide(), width=100)


def test_a_name_is_cut_out_of_its_middle() -> None:
    assert middle("/usr/lib/libx.so", 16) == "/usr/lib/libx.so"
    assert middle("/usr/lib/python3/libx.so", 13) == "/usr…/libx.so"
    assert middle("needed by /usr/lib/python3/libx.so", 21) == "needed by …n3/libx.so"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("/bin/sh -c #(nop) COPY dir:5f in /app ", "COPY dir:5f in /app"),
        ("/bin/sh -c apt-get  update", "RUN apt-get update"),
        ("RUN /bin/sh -c pip install x # buildkit", "RUN pip install x"),
        ("COPY app /app # buildkit", "COPY app /app"),
        ("", ""),
    ],
)
def test_a_layer_is_named_by_its_instruction(line: str, shown: str) -> None:
    assert made_by(line) == shown
