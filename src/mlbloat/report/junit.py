"""The report as JUnit XML, which every CI shows: limits, findings and runs are test cases.

https://github.com/testmoapp/junitxml
"""

import re
from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from mlbloat.model.plain import plain
from mlbloat.model.report import Report
from mlbloat.report.units import limit_sentence, size


def render(report: Report) -> str:
    """One suite for each of limits, findings and verification that the report has; a note is no failure."""
    root = Element("testsuites", name="mlbloat")
    _suite(root, "limits", (_case(each.name, limit_sentence(each), not each.passed) for each in report.limits))
    _suite(
        root,
        "findings",
        (
            _case(
                f"{each.rule}: {each.title}",
                f"{size(each.bytes)}: {each.title}. {each.advice}",
                each.severity != "note",
            )
            for each in report.findings
        ),
    )
    if report.verdict is not None:
        runs = [
            _case(
                f"{run.kind} {run.name}", "\n".join(run.differences) or "it differs", not run.passed, run.slim.seconds
            )
            for run in report.verdict.runs
        ]
        differences = report.verdict.differences
        _suite(root, "verification", [_case("nothing but deletions", "\n".join(differences), bool(differences)), *runs])
    for name in ("tests", "failures"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _suite(root: Element, name: str, cases: Iterable[Element]) -> None:
    held = list(cases)
    if held:
        failures = sum(case.find("failure") is not None for case in held)
        suite = SubElement(root, "testsuite", name=name, tests=str(len(held)), failures=str(failures), errors="0")
        for case in held:
            case.set("classname", f"mlbloat.{name}")
            suite.append(case)


def _case(name: str, text: str, failed: bool, seconds: float = 0.0) -> Element:
    case = Element("testcase", name=plain(name), time=f"{seconds:.3f}")
    lines = [plain(line) for line in re.split(r"\n", text)]
    if failed:
        SubElement(case, "failure", message=lines[0]).text = "\n".join(lines)
    elif text:
        SubElement(case, "system-out").text = "\n".join(lines)
    return case
