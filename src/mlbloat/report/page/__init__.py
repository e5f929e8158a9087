"""The report as one page: whole without a script, and nothing in it is loaded from elsewhere.

Its policy allows the style and the script of this page by their digests, and nothing else: whatever a name in an image
holds, a browser runs none of it. https://www.w3.org/TR/CSP3/
"""

import base64
import hashlib
from importlib import resources
from xml.etree.ElementTree import Element

from mlbloat.model.report import Report, Verdict
from mlbloat.report.page import parts
from mlbloat.report.page.device_code import device_code
from mlbloat.report.page.element import bar, document, raw, section, tag
from mlbloat.report.page.graph import graph
from mlbloat.report.units import change, count, limit_sentence, percent, size
from mlbloat.report.words import judgement, used_means


def render(report: Report) -> str:
    """A whole HTML document."""
    style, script = (resources.files(__name__).joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    allowed = f"style-src {_digest(style)}; script-src {_digest(script)}"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
    sections = [
        part
        for part in (
            parts.levels(report),
            _verification(report),
            parts.findings(report),
            device_code(report),
            parts.removed(report),
            parts.safe_only(report),
            parts.managers(report),
            parts.packages(report),
            graph(report.packages),
            parts.layers(report),
            parts.kinds(report),
            parts.directories(report),
            parts.orphans(report),
            parts.runs(report),
            parts.files(report),
        )
        if part is not None
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"mlbloat: {report.image.reference}"),
        raw("style", style),
    )
    body = tag("body", *_summary(report), _contents(sections), tag("main", *sections), _foot(), raw("script", script))
    return document(tag("html", head, body, lang="en"))


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _contents(sections: list[Element]) -> Element:
    titles = [
        (each.get("id", ""), each.findtext("h2", "").partition(" (")[0].partition(", and")[0]) for each in sections
    ]
    return tag("nav", *(tag("a", title, href=f"#{name}") for name, title in titles), aria_label="Sections")


def _summary(report: Report) -> list[Element | None]:
    totals, image = report.totals, report.image
    whole = totals.size_bytes
    figures = (
        ("used", totals.used_bytes, used_means(report)),
        ("reachable", totals.reachable_bytes, "another input may need it: kept at safe"),
        ("unused", totals.unused_bytes, "nothing reaches it"),
    )
    legend = [
        tag("li", tag("strong", size(part)), f"{percent(part / whole if whole else None)} {name}", tag("br"),
            tag("span", meaning, class_="quiet"), class_=name)
        for name, part, meaning in figures
    ]  # fmt: skip
    total = bar((totals.used_bytes, totals.reachable_bytes, totals.unused_bytes), whole, "used, reachable, unused")
    total.set("class", "total")
    shadowed = f", and {size(totals.shadowed_bytes)} in lower layers that later layers overwrote or deleted"
    return [
        tag("h1", image.reference),
        tag("p", f"{size(whole)} in {count(totals.files, 'file')}, {count(len(image.layers), 'layer')}, "
            f"{image.platform}{shadowed if totals.shadowed_bytes else ''}. Bloat {percent(totals.bloat_ratio)}, "
            f"removable {percent(totals.removable_ratio)}. ", tag("code", image.id, class_="quiet")),
        total,
        tag("ul", *legend, class_="legend"),
        _limits(report),
        _slim(report),
    ]  # fmt: skip


def _limits(report: Report) -> Element | None:
    if not report.limits:
        return None
    lines = [
        tag("li", tag("span", "PASS" if each.passed else "FAIL", class_=f"risk {'low' if each.passed else 'high'}"),
            f" {limit_sentence(each)}")
        for each in report.limits
    ]  # fmt: skip
    passed = all(each.passed for each in report.limits)
    return tag("div", tag("ul", *lines), class_="state" if passed else "state failed")


def _slim(report: Report) -> Element | None:
    slim, verdict = report.slim, report.verdict
    if slim is None:
        return None
    compressed = f", compressed {size(slim.compressed_bytes)}"
    if slim.compressed_reduction_ratio is not None:
        compressed += f" ({change(slim.compressed_reduction_ratio)})"
    text = (
        f": {size(slim.size_bytes)} ({change(slim.reduction_ratio)}){compressed}; "
        f"{count(slim.removed_files, 'file')} removed."
    )
    said = "" if verdict is None else f" {judgement(verdict)}."
    return tag(
        "div", tag("p", tag("strong", "Slim image "), tag("code", slim.reference), text, said), class_=_state(verdict)
    )


def _state(verdict: Verdict | None) -> str:
    if verdict is None or (verdict.passed and not (verdict.runs and verdict.held_out)):
        return "state partly"
    return "state" if verdict.passed else "state failed"


def _verification(report: Report) -> Element | None:
    verdict = report.verdict
    if verdict is None:
        return None
    items = []
    for run in verdict.runs:
        found = [*run.differences, *(f"missing: {path}" for path in run.missing)]
        items.append(
            tag(
                "li",
                tag("span", "PASS" if run.passed else "FAIL", class_=f"risk {'low' if run.passed else 'high'}"),
                f" {run.kind} ", tag("strong", run.name),
                f" ({run.original.seconds:.1f} s before, {run.slim.seconds:.1f} s after)",
                tag("pre", *[child for line in found for child in (line, tag("br"))]) if found else None,
            )
        )  # fmt: skip
    items += [tag("li", tag("span", "FAIL", class_="risk high"), f" {each}") for each in verdict.differences]
    if verdict.repaired is not None:
        items.append(
            tag("li", f"repaired: {count(verdict.repaired.files, 'file')} were added because runs missed them")
        )
    return section("verification", "Verification", tag("p", f"{judgement(verdict)}."), tag("ul", *items))


def _foot() -> Element:
    return tag(
        "footer",
        tag("p", "Made by mlbloat. Sizes are content of regular files, each inode once; 1 MB is 1,000,000 bytes."),
    )
