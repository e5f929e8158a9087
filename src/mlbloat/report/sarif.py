"""Findings, exceeded limits and failed runs as SARIF 2.1.0, for code scanning.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
"""

import hashlib
import posixpath
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from mlbloat import __version__
from mlbloat.model.plain import plain
from mlbloat.model.report import Report
from mlbloat.report.units import limit_sentence, size

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


@dataclass(frozen=True, slots=True)
class _Result:
    rule: str
    about: str
    """The rule in a sentence, the same for each of its results."""
    level: Literal["note", "warning", "error"]
    text: str
    help: str
    path: str
    """In the image; a result without one is about the image."""
    identity: str
    """What makes two results of a rule the same one in two scans."""


def render(report: Report) -> str:
    """One run; a path in the image is a location, relative to the image's root."""
    results = list(_results(report))
    rules = {each.rule: each for each in results}
    names = sorted(rules)
    run = {
        "tool": {
            "driver": {
                "name": "mlbloat",
                "semanticVersion": __version__,
                "rules": [_rule(rules[name]) for name in names],
            }
        },
        "automationDetails": {"id": f"mlbloat/{plain(report.image.reference)}/"},
        "originalUriBaseIds": {"IMAGE": {"description": {"text": f"root of {plain(report.image.reference)}"}}},
        "results": [_result(each, names.index(each.rule), report) for each in results],
        "columnKind": "unicodeCodePoints",
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _results(report: Report) -> Iterator[_Result]:
    for limit in report.limits:
        if not limit.passed:
            text = f"A limit of `mlbloat check` is exceeded: {limit_sentence(limit)}"
            yield _Result(limit.name, f"Limit {limit.name} of mlbloat check", "error", text, text, "", limit.name)
    for each in report.findings:
        about = f"Finding {each.rule} of mlbloat"
        path = next((path for path in each.paths if path.startswith("/")), "")
        text = f"{each.title}: {size(each.bytes)}"
        yield _Result(
            each.rule, about, each.severity, text, each.advice or each.title, path, path or _timeless(each.title)
        )
    for run in report.verdict.runs if report.verdict is not None else ():
        if not run.passed:
            text = f"The {run.kind} run '{run.name}' differs on the slim image: {'; '.join(run.differences)}"
            about = "A run does something else on the slim image"
            yield _Result("verification", about, "error", text, about, "", run.name)


def _rule(result: _Result) -> dict[str, Any]:
    return {
        "id": result.rule,
        "name": result.rule,
        "shortDescription": {"text": plain(result.about)},
        "help": {"text": plain(result.help)},
        "defaultConfiguration": {"level": result.level},
        "properties": {"tags": ["container", "bloat"]},
    }


def _result(result: _Result, index: int, report: Report) -> dict[str, Any]:
    advice = f"\n{plain(result.help)}" if result.help != result.text else ""
    return {
        "ruleId": result.rule,
        "ruleIndex": index,
        "level": result.level,
        "message": {"text": plain(result.text) + advice},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(result.path), "uriBaseId": "IMAGE"},
                    "region": {"startLine": 1},
                },
                "message": {"text": plain(f"{result.path or '/'} in {report.image.reference}")},
            }
        ],
        "partialFingerprints": {"primaryLocationLineHash": _fingerprint(result)},
    }


def _timeless(title: str) -> str:
    """A title without its counts, which differ from scan to scan."""
    return re.sub(r"[0-9]+", "#", title)


def _uri(path: str) -> str:
    """A relative reference; bytes that are not ASCII letters are percent-encoded as they are."""
    relative = posixpath.normpath(f"/{path}").lstrip("/")
    return urllib.parse.quote(relative.encode("utf-8", "surrogateescape"), safe="/") or "."


def _fingerprint(result: _Result) -> str:
    text = f"{result.rule}\0{result.identity}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
