"""JUnit XML: what a CI shows as passed and failed."""

from dataclasses import replace
from xml.etree.ElementTree import Element, fromstring

from mlbloat.model.report import LimitReport, Report
from mlbloat.report.junit import render
from tests.report.test_page import HOSTILE, full
from tests.support.reports import report, slimmed

LIMITS = (
    LimitReport(name="max-bloat", measured=0.4, limit=0.3, unit="ratio", passed=False, packages=("pip:x@/s",)),
    LimitReport(name="max-size", measured=100, limit=200, unit="bytes", passed=True),
)


def suites(made: Report) -> dict[str, Element]:
    root = fromstring(render(made))
    assert root.get("tests") == str(len(list(root.iter("testcase"))))
    assert root.get("failures") == str(len(list(root.iter("failure"))))
    return {suite.get("name", ""): suite for suite in root}


def test_each_limit_is_a_test_case() -> None:
    suite = suites(replace(report(), limits=LIMITS))["limits"]
    cases = {case.get("name"): case for case in suite}
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failure = cases["max-bloat"].find("failure")
    assert failure is not None
    assert failure.get("message") == "max-bloat: 40.0 %, limit 30.0 %; see pip:x"
    assert cases["max-size"].find("failure") is None
    assert cases["max-size"].findtext("system-out") == "max-size: 100 B, limit 200 B"


def test_a_warning_fails_and_a_note_does_not() -> None:
    made = report()
    note = replace(made.findings[0], severity="note", title="other")
    found = suites(replace(made, findings=(*made.findings, note)))["findings"]
    assert [case.find("failure") is not None for case in found] == [True, False]


def test_each_run_of_a_verification_is_a_test_case() -> None:
    assert [case.get("name") for case in suites(slimmed())["verification"]] == ["nothing but deletions", "verify check"]
    failed = suites(slimmed(passed=False))["verification"]
    assert (failed.get("failures"), failed[1].findtext("failure")) == ("1", "exit 1")


def test_a_report_with_nothing_to_judge_is_still_a_document() -> None:
    assert suites(replace(report(), findings=())) == {}


def test_text_of_an_image_is_text() -> None:
    assert set(suites(full(HOSTILE))) == {"findings", "verification"}
