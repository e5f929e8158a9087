"""The report as JSON: the contract's names, the schema, and back."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.errors import UsageError
from mlbloat.model.report import Report
from mlbloat.report import json as report_json
from tests.support.reports import report, slimmed

CONTRACT = {
    "image": "reference id digest platform size_bytes compressed_bytes config layers",
    "evidence": "mode keep runs flags",
    "totals": "files size_bytes used_bytes reachable_bytes unused_bytes shadowed_bytes bloat_ratio removable_ratio",
    "levels": "traced linked safe package",
    "slim": "reference id digest size_bytes compressed_bytes reduction_ratio compressed_reduction_ratio removed_files",
    "verdict": "passed runs",
}


def test_the_names_of_the_contract_are_there() -> None:
    document = json.loads(report_json.render(slimmed()))
    assert (document["kind"], document["format"]) == ("mlbloat.report", 1)
    for part, names in CONTRACT.items():
        assert set(names.split()) <= document[part].keys()
    layer = "diff_id created_by size_bytes used_bytes reachable_bytes unused_bytes shadowed_bytes"
    assert set(layer.split()) == document["image"]["layers"][0].keys()
    package = (
        "manager name version location size_bytes used_bytes reachable_bytes unused_bytes bloat_ratio files used_files "
        "requested direct required depth requires required_by recommends"
    )
    assert set(package.split()) == document["packages"][0].keys()
    assert set("rule severity title bytes paths advice".split()) == document["findings"][0].keys()
    assert (
        set("name engine tracer seconds exit files new_files new_bytes steps phases".split())
        == document["evidence"]["runs"][0].keys()
    )
    run = document["verdict"]["runs"][0]
    assert set("name kind passed original slim differences missing".split()) == run.keys()
    assert set(run["slim"]) == {"exit", "seconds", "steps"}


@pytest.mark.parametrize("saved", [report(), slimmed(), report(used=0, reachable=0, unused=0)])
def test_a_report_meets_the_schema_that_ships_and_reads_back_equal(saved: Report) -> None:
    schema = json.loads(report_json.SCHEMA_FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    text = report_json.render(saved)
    jsonschema.validate(json.loads(text), schema)
    assert report_json.parse(text.encode(), "r.json") == saved


def test_the_schema_refuses_a_report_without_its_parts() -> None:
    schema = json.loads(report_json.SCHEMA_FILE.read_text())
    document = json.loads(report_json.render(report()))
    del document["totals"]
    with pytest.raises(jsonschema.ValidationError, match="'totals' is a required property"):
        jsonschema.validate(document, schema)


def test_a_name_that_is_not_utf_8_is_escaped_and_does_not_end_the_report() -> None:
    odd = replace(report(), problems=("cannot read /etc/\udcff",))
    assert json.loads(report_json.render(odd))["problems"] == ["cannot read /etc/\\xff"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("[]", "not an mlbloat report"),
        ('{"kind": "other"}', "not an mlbloat report"),
        ('{"kind": "mlbloat.report", "format": 99}', "has format 99, this version reads 1"),
        ('{"kind": "mlbloat.report", "format": 1}', "missing required field `image`"),
    ],
)
def test_what_is_not_a_report_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        report_json.parse(text.encode(), "r.json")
    assert str(caught.value).startswith("cannot read report r.json: ")
    assert says in str(caught.value)


def test_a_missing_report_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read report .*none\.json: No such file"):
        report_json.load(tmp_path / "none.json")


@settings(max_examples=40)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_report_or_a_usage_error(text: bytes) -> None:
    with pytest.raises(UsageError):
        report_json.parse(text, "r.json")
