"""Rows for spreadsheets: exact, one line each, and nothing that a spreadsheet would run."""

import csv
import io
from dataclasses import replace

import pytest

from mlbloat.errors import UsageError
from mlbloat.report import check, json, sheet
from tests.report.test_page import file
from tests.support.reports import report


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_package_is_a_row_with_the_fields_of_the_report() -> None:
    (row,) = rows(
        sheet.render(replace(report(), packages=(replace(report().packages[0], requires=("apt:a@/", "apt:b@/")),)))
    )
    assert (row["name"], row["size_bytes"], row["bloat_ratio"], row["direct"]) == ("libx", "100", "0.4", "true")
    assert (row["requires"], row["depth"]) == ("apt:a@/ apt:b@/", "1")


def test_what_is_not_known_is_an_empty_cell() -> None:
    (row,) = rows(
        sheet.render(replace(report(), packages=(replace(report().packages[0], depth=None, bloat_ratio=None),)))
    )
    assert (row["depth"], row["bloat_ratio"]) == ("", "")


def test_the_sizes_of_files_add_up_to_the_image() -> None:
    made = replace(report(), files=(file("/a", 60), file("/b", 40), file("/c", 0, same_as="/a")))
    found = rows(sheet.render_files(made))
    assert sum(int(row["size_bytes"]) for row in found) == made.totals.size_bytes
    assert [(row["path"], row["same_as"], row["reason"]) for row in found][-1] == ("/c", "/a", "opened by")


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("@scope/name", "@scope/name"),
        ("a\nb\x1b\udcff", "a\\nb\\x1b\\udcff"),
    ],
)
def test_names_are_one_line_and_no_formula(name: str, cell: str) -> None:
    (row,) = rows(sheet.render(replace(report(), packages=(replace(report().packages[0], name=name),))))
    assert row["name"] == cell


@pytest.mark.parametrize("name", ["csv-files", "json-files"])
def test_a_report_without_rows_of_files_cannot_give_them(name: str) -> None:
    with pytest.raises(
        UsageError, match=f"cannot print this report as {name}: it has no rows of files; scan the image"
    ):
        check(report(), name)


def test_json_with_files_reads_back_and_plain_json_has_none() -> None:
    made = replace(report(), files=(file("/a", 60), file("/b\udcff")))
    read = json.parse(json.render_files(made).encode(), "x")
    assert read.files is not None
    assert [each.path for each in read.files] == ["/a", "/b\\xff"]
    assert json.render(made) == json.render(report())
    assert json.parse(json.render_files(replace(made, files=())).encode(), "x").files == ()
