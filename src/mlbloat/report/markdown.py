"""The report for a pull request or a job summary: what matters on top, the rest folded.

GitHub takes 65,536 characters in a comment and 1 MiB in a job summary; this stays far below both.
https://github.github.com/gfm/
"""

import html
import re
from collections.abc import Iterable, Iterator

from mlbloat.model.plain import plain
from mlbloat.model.report import Report
from mlbloat.report import devicecode
from mlbloat.report.units import change, count, limit_sentence, percent, short_key, size
from mlbloat.report.words import judgement, made_by, used_means

ROWS = 15
_MAX_TEXT = 160
_MARKUP = re.compile(r"[|`*_~\\\[\]@:]")
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~@:<>-])")


def render(report: Report) -> str:
    """GitHub-flavoured Markdown; text of the image is escaped, and mentions nobody."""
    parts = (
        _head,
        _limits,
        _slim,
        _verdict,
        _classes,
        _levels,
        _findings,
        _device_code,
        _removed,
        _packages,
        _safe_only,
        _layers,
        _notes,
    )
    return "\n".join(line for part in parts for line in part(report)).rstrip() + "\n"


def _head(report: Report) -> Iterator[str]:
    totals = report.totals
    yield f"## mlbloat: {_code(report.image.reference)}"
    yield ""
    yield (
        f"**{size(totals.size_bytes)}** in {count(totals.files, 'file')}, "
        f"{count(len(report.image.layers), 'layer')}, {report.image.platform}. "
        f"**Bloat {percent(totals.bloat_ratio)}**, removable {percent(totals.removable_ratio)}."
    )
    yield ""


def _limits(report: Report) -> Iterator[str]:
    for limit in report.limits:
        yield f"- {'✅' if limit.passed else '❌'} {_text(limit_sentence(limit))}"
    if report.limits:
        yield ""


def _slim(report: Report) -> Iterator[str]:
    slim = report.slim
    if slim is not None:
        yield (
            f"**Slim image** {_code(slim.reference)}: {size(slim.size_bytes)} ({change(slim.reduction_ratio)}), "
            f"compressed {size(slim.compressed_bytes)}, {count(slim.removed_files, 'file')} removed."
        )
        yield ""


def _verdict(report: Report) -> Iterator[str]:
    verdict = report.verdict
    if verdict is None:
        return
    proved = verdict.passed and verdict.runs and verdict.held_out
    yield f"{'✅' if proved else '⚠️' if verdict.passed else '❌'} {judgement(verdict)}"
    yield ""
    for run in verdict.runs:
        yield f"- {'✅' if run.passed else '❌'} {run.kind} {_code(run.name)}"
        yield from (f"  - {_text(each)}" for each in run.differences[:ROWS])
    yield from (f"- ❌ {_text(each)}" for each in verdict.differences[:ROWS])
    yield ""


def _classes(report: Report) -> Iterator[str]:
    totals = report.totals
    yield from _table(
        ("", ">size", ">share", ""),
        (
            (name, size(part), percent(part / totals.size_bytes if totals.size_bytes else None), meaning)
            for name, part, meaning in (
                ("used", totals.used_bytes, used_means(report)),
                ("reachable", totals.reachable_bytes, "another input may need it: kept at safe"),
                ("unused", totals.unused_bytes, "nothing reaches it"),
                ("shadowed", totals.shadowed_bytes, "overwritten or deleted by later layers; on top of the image"),
            )
            if name != "shadowed" or part
        ),
    )


def _levels(report: Report) -> Iterator[str]:
    total = report.totals.size_bytes
    rows = (
        (f"**{name}**" if name == report.evidence.keep else name, size(level.size_bytes),
         percent(level.size_bytes / total if total else None))
        for name, level in report.levels.items()
    )  # fmt: skip
    yield from _folded("Size at each keep level", _table(("level", ">size", ">of the image"), rows))


def _findings(report: Report) -> Iterator[str]:
    if not report.findings:
        return
    shown = report.findings[:ROWS]
    rows = (
        (size(each.bytes), each.severity, _text(each.rule),
         _text(each.title) + (f"<br>{_code(each.advice)}" if each.advice else ""))
        for each in shown
    )  # fmt: skip
    title = f"Findings ({_of(len(shown), len(report.findings))})"
    yield from _folded(title, _table((">bytes", "severity", "rule", "what, and what to change"), rows), opened=True)


def _device_code(report: Report) -> Iterator[str]:
    gpu = report.gpu
    if gpu is None:
        return
    found = devicecode.rows(gpu)
    rows = (
        (_text(row.code), size(row.size_bytes), percent(row.share),
         "" if row.loaded_bytes is None else size(row.loaded_bytes))
        for row in found[:ROWS]
    )  # fmt: skip
    needed = devicecode.needed(gpu)
    head = ("code for", ">size", ">of the code", ">such a GPU loads")
    lines = [*_table(head, rows), *([_text(needed), ""] if needed else [])]
    yield from _folded(f"Code for GPUs: {devicecode.summary(report, gpu)}", lines)


def _removed(report: Report) -> Iterator[str]:
    removed = report.removed
    if removed is None or not removed.size_bytes:
        return
    rows = ((part.risk, size(part.size_bytes), part.what, part.needed_if) for part in removed.parts)
    lines = [*_table(("risk", ">size", "what goes", "is needed if"), rows), _text(removed.advice), ""]
    share = percent(removed.low_risk_ratio)
    yield from _folded(f"What goes: {size(removed.size_bytes)}, {share} of it of low risk", lines)


def _packages(report: Report) -> Iterator[str]:
    ranked = sorted(report.packages, key=lambda each: (-each.unused_bytes, each.manager, each.name, each.location))
    shown = [each for each in ranked if each.unused_bytes][:ROWS]
    if not shown:
        return
    rows = (
        (_code(each.name), _text(each.version), each.manager, size(each.size_bytes), size(each.unused_bytes),
         percent(each.bloat_ratio), "directly" if each.direct else f"depth {each.depth}" if each.required else "no")
        for each in shown
    )  # fmt: skip
    head = ("package", "version", "manager", ">size", ">unused", ">bloat", "needed")
    yield from _folded(f"Packages with most unused bytes ({_of(len(shown), len(ranked))})", _table(head, rows))


def _safe_only(report: Report) -> Iterator[str]:
    shown = report.safe_only[:ROWS]
    if shown:
        rows = ((_code(short_key(each.group)), size(each.size_bytes), _text(each.reason)) for each in shown)
        title = f"Kept only at safe ({_of(len(shown), len(report.safe_only))})"
        yield from _folded(title, _table(("of", ">size", "why"), rows))


def _layers(report: Report) -> Iterator[str]:
    shown = report.image.layers[: 2 * ROWS]
    rows = (
        (str(number), size(each.size_bytes), size(each.unused_bytes), size(each.shadowed_bytes),
         _code(made_by(each.created_by)) if each.created_by else "")
        for number, each in enumerate(shown)
    )  # fmt: skip
    head = (">layer", ">size", ">unused", ">shadowed", "made by")
    yield from _folded(f"Layers ({_of(len(shown), len(report.image.layers))})", _table(head, rows))


def _notes(report: Report) -> Iterator[str]:
    notes = (*report.evidence.flags, *report.problems)
    if notes:
        yield from _folded("Notes", [*(f"- {_text(note)}" for note in notes[: 2 * ROWS]), ""])


def _of(shown: int, total: int) -> str:
    return str(total) if shown == total else f"{shown} of {total}"


def _table(head: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """A column whose title begins with `>` is flush right."""
    columns = list(head)
    yield f"| {' | '.join(column.removeprefix('>') for column in columns)} |"
    yield f"| {' | '.join('--:' if column.startswith('>') else ':--' for column in columns)} |"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _folded(title: str, lines: Iterable[str], *, opened: bool = False) -> Iterator[str]:
    yield f"<details{' open' if opened else ''}><summary>{html.escape(title)}</summary>"
    yield ""
    yield from lines
    yield "</details>"
    yield ""


def _text(text: str) -> str:
    """Plain text: nothing in it is markup, a link or a mention."""
    return _SPECIAL.sub(r"\\\1", _short(text)).replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\@", "@\u200b")


def _code(text: str) -> str:
    """HTML with entities, not backticks: a name may have backticks and bars in it."""
    escaped = html.escape(_short(text))
    return f"<code>{_MARKUP.sub(_entity, escaped)}</code>"


def _entity(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};"


def _short(text: str) -> str:
    shown = plain(" ".join(text.split()))
    return shown if len(shown) <= _MAX_TEXT else f"{shown[: _MAX_TEXT // 2]}…{shown[-_MAX_TEXT // 2 + 1 :]}"
