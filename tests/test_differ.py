"""Two images side by side: by package, layer and file."""

import json
from pathlib import Path

import pytest

from mlbloat import pipeline
from mlbloat.errors import UsageError
from mlbloat.image import load, squash
from mlbloat.model.difference import Difference
from mlbloat.pipeline import Request
from mlbloat.report import difference as rendering
from mlbloat.report import json as report_json
from tests.slim.installed import LAYER, SITE
from tests.support import images
from tests.support.elf import elf_file
from tests.support.images import Member, Members
from tests.support.trees import Link

BEFORE: Members = {
    "/same": "same",
    "/gone": "gone",
    "/text": "aaaa",
    "/grown": "x",
    "/tool": Member(value="t", mode=0o755, mtime=5),
    "/link": Link("same"),
}
AFTER: Members = {
    "/same": "same",
    "/text": "aaab",
    "/grown": "x" * 100,
    "/tool": Member(value="t", mode=0o4755, uid=3, mtime=6, xattrs={"user.a": b"1"}),
    "/link": Link("text"),
    "/new\x1b": "n",
}


def different(directory: Path, before: list[Members], after: list[Members]) -> Difference:
    first = images.oci_archive(directory / "first.tar", before)
    second = images.oci_archive(directory / "second.tar", after)
    return pipeline.diff(Request(reference=str(first)), str(second))


def test_every_kind_of_change_of_a_file_is_named(tmp_path: Path) -> None:
    found = different(tmp_path, [BEFORE], [AFTER])
    assert [(change.path, change.what, change.grown_bytes) for change in found.files or ()] == [
        ("/gone", ("removed",), -4),
        ("/grown", ("content",), 99),
        ("/link", ("link",), 0),
        ("/new\x1b", ("added",), 1),
        ("/text", ("content",), 0),
        ("/tool", ("mode", "owner", "attributes", "time"), 0),
    ]


def test_layers_that_both_have_are_told_from_those_of_one(tmp_path: Path) -> None:
    found = different(tmp_path, [{"/base": "b"}, {"/a": "aa"}], [{"/base": "b"}, {"/b": "bbb"}])
    assert [(layer.held_by, layer.size_bytes) for layer in found.layers] == [("both", 1), ("before", 2), ("after", 3)]


def test_packages_differ_by_version_size_or_being_there(tmp_path: Path) -> None:
    after = {
        path: value for path, value in dict(LAYER).items() if "pyextra" not in path and path != f"{SITE}/pylib/rest.py"
    }
    found = different(tmp_path, [LAYER], [after])
    assert [(change.name, change.before is None, change.after is None) for change in found.packages] == [
        ("pyextra", False, True),
        ("pylib", False, False),
    ]
    assert found.packages[1].grown_bytes == -3


def test_an_image_does_not_differ_from_itself(tmp_path: Path) -> None:
    found = different(tmp_path, [LAYER], [LAYER])
    assert (found.packages, found.files) == ((), ())
    assert {layer.held_by for layer in found.layers} == {"both"}


def test_reports_are_compared_as_far_as_they_go(tmp_path: Path) -> None:
    first = images.oci_archive(tmp_path / "first.tar", [LAYER])
    (tmp_path / "report.json").write_text(report_json.render(pipeline.scan(Request(reference=str(first)))))
    found = pipeline.diff(Request(reference=str(tmp_path / "report.json")), str(first))
    assert found.files is None
    assert found.packages == ()
    assert found.before.size_bytes == found.after.size_bytes
    assert "a report has none" in rendering.render(found, "table")


def test_the_table_has_the_largest_and_the_json_has_all(tmp_path: Path) -> None:
    many: Members = {f"/file{number:02}": "x" * number for number in range(30)}
    found = different(tmp_path, [many], [AFTER])
    text = rendering.render(found, "table")
    assert "/file29" in text and "/file01" not in text
    assert "and 24 more: -o json has them" in text
    assert "\x1b" not in text
    document = json.loads(rendering.render(found, "json"))
    assert (document["kind"], document["format"], len(document["files"])) == ("mlbloat.diff", 1, 36)


def test_the_sum_of_the_files_is_the_difference_of_the_images(tmp_path: Path) -> None:
    found = different(tmp_path, [BEFORE, LAYER], [AFTER])
    assert sum(change.grown_bytes for change in found.files or ()) == found.after.size_bytes - found.before.size_bytes
    (tmp_path / "work").mkdir()
    assert found.after.files == len(list(squash(load(str(tmp_path / "second.tar"), tmp_path / "work")).files()))


def test_files_are_counted_apart_from_what_else_is_there(tmp_path: Path) -> None:
    found = different(tmp_path, [{**dict(BEFORE), "/d": None, "/d/e": None}], [AFTER])
    title = "Files: 1 added, 1 removed, 2 content, 1 otherwise changed; directories, links, devices: 3"
    assert title in " ".join(rendering.render(found, "table").split())


def test_diff_says_what_slim_says(tmp_path: Path) -> None:
    """Also where a later layer hides content, and directories go with the last file in them."""
    layers: list[Members] = [
        {**dict(LAYER), "/hidden": "h" * 9000, "/app": Member(value=elf_file(), mode=0o755)},
        {"/hidden": "x"},
    ]
    archive = images.oci_archive(tmp_path / "app.tar", layers, config={"Cmd": ["/app"]})
    slim = pipeline.slim(Request(reference=str(archive)), f"oci-archive:{tmp_path}/slim.tar").report.slim
    found = pipeline.diff(Request(reference=str(archive)), str(tmp_path / "slim.tar"))
    assert slim is not None and found.files is not None
    removed = [change.kind for change in found.files if change.what == ("removed",)]
    assert slim.removed_files == removed.count("file") > 0
    assert removed.count("directory") > 0
    assert slim.size_bytes == found.after.size_bytes
    before, after = found.before.size_bytes, found.after.size_bytes
    assert slim.reduction_ratio == (before - after) / before


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    from mlbloat.cli import output

    with pytest.raises(UsageError, match="cannot print a report as 'xml'"):
        output.outputs(["xml"], formats=rendering.FORMATS)
