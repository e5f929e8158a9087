"""The report for a terminal: readable without colour, widest first, nothing that needs a manual."""

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from mlbloat.model.plain import plain
from mlbloat.model.report import PackageReport, Repair, Report, Verdict
from mlbloat.model.step import StepReport
from mlbloat.model.use import Phase
from mlbloat.report import devicecode
from mlbloat.report.columns import Fitted, plain_table, text
from mlbloat.report.units import change, count, limit_sentence, percent, short_key, size
from mlbloat.report.widths import WIDTH
from mlbloat.report.words import judgement, made_by, used_means

ROWS = 12
"""Packages, layers and findings shown; the JSON has all of them."""

ADVICE = 240
"""Characters of an advice; the longest list ten paths."""
BAR = 40
_CODE_NUMBERS = ("size", "of the code", "such a GPU loads")
_RUN_NUMBERS = ("seconds", "files", "new files", "new bytes")


def render(report: Report, *, color: bool = False, width: int = WIDTH) -> str:
    """Text of the whole report; with `color` it carries terminal escapes."""
    parts = (
        _headline, _levels, _runs, _phases, _managers, _packages, _safe_only, _layers, _device_code, _findings,
        _removed, _slim, _verdict, _limits, _notes,
    )  # fmt: skip
    shown = [renderable for part in parts if (renderable := part(report)) is not None]
    return text(shown, color=color, width=width)


def render_verdict(verdict: Verdict, *, color: bool = False, width: int = WIDTH) -> str:
    """Text of a verdict alone."""
    return text([_verdict_lines(verdict)], color=color, width=width)


def _headline(report: Report) -> RenderableType:
    totals, image = report.totals, report.image
    what = used_means(report)
    lines = [
        Text(image.reference, style="bold"),
        Text(
            f"{size(totals.size_bytes)} in {count(totals.files, 'file')}, {count(len(image.layers), 'layer')}, "
            f"{image.platform}, {image.id[:19]}"
        ),
        Text(),
        _bar(report),
        _legend("█", "used", totals.used_bytes, totals.size_bytes, what),
        _legend("▒", "reachable", totals.reachable_bytes, totals.size_bytes, "another input may need it: kept at safe"),
        _legend("·", "unused", totals.unused_bytes, totals.size_bytes, "nothing reaches it: `mlbloat slim` removes it"),
    ]
    if totals.shadowed_bytes:
        lines.append(Text(f"  + {size(totals.shadowed_bytes)} in lower layers that later layers overwrote or deleted"))
    lines.append(Text(f"bloat {percent(totals.bloat_ratio)}, removable {percent(totals.removable_ratio)}"))
    return Group(*lines)


def _bar(report: Report) -> Text:
    total = report.totals.size_bytes or 1
    used = round(BAR * report.totals.used_bytes / total)
    reachable = round(BAR * (report.totals.used_bytes + report.totals.reachable_bytes) / total) - used
    return Text.assemble(("█" * used, "green"), ("▒" * reachable, "yellow"), ("·" * (BAR - used - reachable), "red"))


def _legend(mark: str, name: str, part: int, whole: int, meaning: str) -> Text:
    return Text(f"  {mark} {name:<10}{size(part):>9}  {percent(part / whole if whole else None):>7}  {meaning}")


def _levels(report: Report) -> RenderableType:
    table = plain_table(
        "keep level", "size", "files", "of the image", title="Size at each keep level", numbers=_NUMBERS
    )
    for name, level in report.levels.items():
        chosen = " ←" if name == report.evidence.keep else ""
        share = level.size_bytes / report.totals.size_bytes if report.totals.size_bytes else None
        table.add_row(name + chosen, size(level.size_bytes), f"{level.files:,}", percent(share))
    return table


_NUMBERS = (
    "size",
    "used",
    "reachable",
    "unused",
    "files",
    "bloat",
    "packages",
    "of the image",
    "bytes",
    "shadowed",
    "depth",
)


def _managers(report: Report) -> RenderableType:
    table = plain_table(
        "manager",
        "packages",
        "size",
        "used",
        "reachable",
        "unused",
        "bloat",
        title="By package manager",
        numbers=_NUMBERS,
    )
    for name, manager in report.managers.items():
        if manager.packages or manager.files:
            table.add_row(
                name,
                f"{manager.packages:,}" if name != "unowned" else "",
                *map(size, (manager.size_bytes, manager.used_bytes, manager.reachable_bytes, manager.unused_bytes)),
                percent(manager.bloat_ratio),
            )
    return table


def _packages(report: Report) -> RenderableType | None:
    ranked = sorted(report.packages, key=lambda package: (-package.unused_bytes, package.manager, package.name))
    shown = [package for package in ranked if package.unused_bytes][:ROWS]
    if not shown:
        return None
    table = plain_table(
        "package", "version", "manager", "size", "used", "reachable", "unused", "bloat", "needed",
        title=f"Packages with most unused bytes ({len(shown)} of {len(report.packages)})", numbers=_NUMBERS,
        wide=("version", "reachable"),
    )  # fmt: skip
    for package in shown:
        table.add_row(
            Fitted(package.name),
            Fitted(package.version),
            package.manager,
            *map(size, (package.size_bytes, package.used_bytes, package.reachable_bytes, package.unused_bytes)),
            percent(package.bloat_ratio),
            _needed(package),
        )
    return table


def _needed(package: PackageReport) -> str:
    if package.direct:
        return "directly"
    return f"at depth {package.depth}" if package.required else "no"


def _layers(report: Report) -> RenderableType:
    table = plain_table(
        "layer", "size", "used", "reachable", "unused", "shadowed", "made by", title="Layers", numbers=_NUMBERS
    )
    for number, layer in enumerate(report.image.layers):
        sizes = (layer.size_bytes, layer.used_bytes, layer.reachable_bytes, layer.unused_bytes, layer.shadowed_bytes)
        table.add_row(str(number), *map(size, sizes), Fitted(made_by(layer.created_by), keep_end=False))
    return table


def _safe_only(report: Report) -> RenderableType | None:
    """The price of safety, for whoever may decide to pay less."""
    shown = report.safe_only[:ROWS]
    if not shown:
        return None
    title = f"Kept only at safe ({len(shown)} of {len(report.safe_only)}): another input may need it"
    table = plain_table("size", "files", "of", "because", title=title, numbers=_NUMBERS)
    for group in shown:
        table.add_row(size(group.size_bytes), f"{group.files:,}", Fitted(short_key(group.group)), Fitted(group.reason))
    return table


def _removed(report: Report) -> RenderableType | None:
    """What goes, how sure that is, and what to do about the rest."""
    removed = report.removed
    if removed is None or not removed.size_bytes:
        return None
    share = percent(removed.low_risk_ratio)
    title = f"What goes at {report.evidence.keep}: {size(removed.size_bytes)}, {share} of it of low risk"
    table = plain_table(
        "risk", "size", "files", "what", "is needed if", title=title, numbers=_NUMBERS, wide=("is needed if",)
    )
    for part in removed.parts:
        table.add_row(
            part.risk,
            size(part.size_bytes),
            f"{part.files:,}",
            part.what,
            Fitted(part.needed_if, least=40, style="dim"),
        )
    lines = [
        Text(f"riskiest: {size(each.size_bytes)} of {short_key(each.group)}, {each.what}")
        for each in removed.riskiest[:3]
    ]
    return Group(table, *lines, Text(removed.advice))


def _device_code(report: Report) -> RenderableType | None:
    gpu = report.gpu
    if gpu is None:
        return None
    table = plain_table("code for", "size", "of the code", "such a GPU loads", title="", numbers=_CODE_NUMBERS)
    found = devicecode.rows(gpu)
    for row in found[:ROWS]:
        loaded = "" if row.loaded_bytes is None else size(row.loaded_bytes)
        table.add_row(row.code, size(row.size_bytes), percent(row.share), loaded)
    rest = sum(row.size_bytes for row in found[ROWS:])
    if rest:
        share = devicecode.share(rest, gpu.device_bytes)
        table.add_row(f"{len(found) - ROWS} more", size(rest), percent(share), "")
    needed = devicecode.needed(gpu)
    head = Text(f"Code for GPUs: {devicecode.summary(report, gpu)}", style="bold")
    return Group(head, *([Text(needed)] if needed else []), table)


def _findings(report: Report) -> RenderableType | None:
    if not report.findings and not report.silenced:
        return None
    shown = report.findings[:ROWS]
    title = f"Findings ({len(shown)} of {len(report.findings)})"
    table = plain_table("bytes", "rule", "what, and what to change in the Dockerfile", title=title, numbers=_NUMBERS)
    for finding in shown:
        advice = Padding(Text(_shortened(finding.advice, ADVICE), style="dim"), (0, 0, 0, 2))
        table.add_row(size(finding.bytes), finding.rule, Group(Text(finding.title), advice))
    for silent in report.silenced:
        until = f" until {silent.until}" if silent.until else ""
        table.add_row(size(silent.bytes), silent.rule, Text(f"silenced{until}: {silent.reason}", style="dim"))
    return table


def _slim(report: Report) -> RenderableType | None:
    slim = report.slim
    if slim is None:
        return None
    compressed = f", compressed {size(slim.compressed_bytes)}"
    if slim.compressed_reduction_ratio is not None:
        compressed += f" ({change(slim.compressed_reduction_ratio)})"
    return Group(
        Text("Slim image", style="bold"),
        Text(slim.reference),
        Text(
            f"{size(slim.size_bytes)} ({change(slim.reduction_ratio)}){compressed}; "
            f"{count(slim.removed_files, 'file')} removed"
        ),
    )


def _verdict(report: Report) -> RenderableType | None:
    return None if report.verdict is None else _verdict_lines(report.verdict)


def _verdict_lines(verdict: Verdict) -> RenderableType:
    lines = [Text(judgement(verdict), style="bold green" if verdict.passed else "bold red")]
    for run in verdict.runs:
        word = "PASS" if run.passed else "FAIL"
        seconds = f"({run.original.seconds:.1f} s before, {run.slim.seconds:.1f} s after)"
        lines.append(Text(f"  {word}  {run.kind:<8} {run.name}  {seconds}"))
        lines.extend(Text(f"        {_answer(step)}") for step in run.slim.steps if step.kind in ("request", "exec"))
        lines.extend(Text(f"        {difference}") for difference in run.differences)
    lines.extend(Text(f"  FAIL  {difference}") for difference in verdict.differences)
    if verdict.repaired is not None:
        lines.append(Text(f"  {_repair(verdict.repaired)}"))
    return Group(*lines)


def _limits(report: Report) -> RenderableType | None:
    if not report.limits:
        return None
    lines = [Text(f"  {'PASS' if each.passed else 'FAIL'}  {limit_sentence(each)}") for each in report.limits]
    return Group(Text("Limits", style="bold"), *lines)


def _runs(report: Report) -> RenderableType | None:
    """Whether the profile has converged: what each run added to those before it."""
    runs = report.evidence.runs
    if len(runs) < 2:
        return None
    shown = plain_table(
        "run", "seconds", "files", "new files", "new bytes", title="Runs of the profile", numbers=_RUN_NUMBERS
    )
    for run in runs:
        seconds, files = f"{run.seconds:.1f}", f"{run.files:,}"
        shown.add_row(_shortened(plain(run.name), 60), seconds, files, f"{run.new_files:,}", size(run.new_bytes))
    return shown


def _phases(report: Report) -> RenderableType | None:
    """What services need to start, and what only answering takes."""
    names = [phase.value for phase in Phase]
    runs = [run for run in report.evidence.runs if run.phases]
    if not runs:
        return None
    shown = plain_table("run", *names, title="Files by the phase that named them first", numbers=tuple(names))
    for run in runs:
        shown.add_row(_shortened(plain(run.name), 60), *(f"{run.phases.get(name, 0):,}" for name in names))
    return shown


def _answer(step: StepReport) -> str:
    return f"{_shortened(plain(step.what), 90)}  {'no answer' if step.status is None else step.status}"


def _repair(repair: Repair) -> str:
    times = "once" if repair.rounds == 1 else f"{repair.rounds} times"
    return (
        f"repaired {times}: {repair.files} files, {size(repair.size_bytes)}, were added because runs missed "
        f"{len(repair.paths)} of them; add those to the profile, or to `keep`"
    )


def _notes(report: Report) -> RenderableType | None:
    notes = [*report.evidence.flags, *report.problems]
    return Group(Text("Notes", style="bold"), *(Text(f"  - {note}") for note in notes)) if notes else None


def _shortened(text: str, limit: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
