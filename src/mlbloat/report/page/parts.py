"""The parts of the page that are tables; each returns None where a report has nothing to say."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from mlbloat.model.report import FileReport, PackageReport, Report
from mlbloat.report.page.element import (
    bar,
    bar_cell,
    bytes_,
    clipped,
    file_bytes,
    note,
    number,
    path_cell,
    prose,
    section,
    table,
    tag,
)
from mlbloat.report.units import count, percent, short_key, size
from mlbloat.report.words import made_by

MAX_FILES = 1000
"""Largest files with a row; the page stays small enough to be attached to a mail."""
MAX_PACKAGES = 1000

_SUMS = (("size", "n"), ("", "b"), ("used", "n w"), ("reachable", "n w"), ("unused", "n"))


def levels(report: Report) -> Element:
    total = report.totals.size_bytes
    rows = []
    for name, level in report.levels.items():
        chosen = name == report.evidence.keep
        share = level.size_bytes / total if total else None
        rows.append(
            tag(
                "tr",
                tag("td", tag("strong", name) if chosen else name, " ← --keep" if chosen else None),
                bytes_(level.size_bytes),
                tag("td", bar((level.size_bytes, 0, 0), total), class_="b"),
                number(percent(share), share),
                number(f"{level.files:,}", level.files, "n w"),
            )
        )
    columns = (("keep level", ""), ("size", "n"), ("", "b"), ("of the image", "n"), ("files", "n w"))
    text = "What a slim image holds at each level: the price of safety."
    return section("levels", "Keep levels", note(text), table(columns, rows))


def removed(report: Report) -> Element | None:
    found = report.removed
    if found is None or not found.size_bytes:
        return None
    rows = [
        tag(
            "tr",
            tag("td", tag("span", part.risk, class_=f"risk {part.risk}")),
            bytes_(part.size_bytes),
            number(f"{part.files:,}", part.files),
            tag("td", part.what),
            tag("td", part.needed_if, class_="quiet p"),
        )
        for part in found.parts
    ]
    risky = [
        tag(
            "tr",
            tag("td", tag("span", each.risk, class_=f"risk {each.risk}")),
            bytes_(each.size_bytes),
            number(f"{each.files:,}", each.files, "n w"),
            tag("td", tag("code", short_key(each.group)), ": ", each.what),
            path_cell(each.largest, "p w"),
        )
        for each in found.riskiest[:10]
    ]
    columns = (("risk", ""), ("size", "n"), ("files", "n"), ("what", ""), ("is needed if", ""))
    risky_columns = (("risk", ""), ("size", "n"), ("files", "n w"), ("what", ""), ("largest", "w"))
    return section(
        "removed",
        f"What goes at {report.evidence.keep}, and how sure it is",
        prose(
            f"{size(found.size_bytes)} in {count(found.files, 'file')}, {percent(found.low_risk_ratio)} of it of low "
            f"risk. {found.advice}"
        ),
        table(columns, rows, stack=True),
        *((tag("h3", "Riskiest"), table(risky_columns, risky)) if risky else ()),
    )  # fmt: skip


def safe_only(report: Report) -> Element | None:
    if not report.safe_only:
        return None
    rows = [
        tag(
            "tr",
            tag("td", tag("code", short_key(group.group))),
            bytes_(group.size_bytes),
            number(f"{group.files:,}", group.files),
            tag("td", group.reason, class_="p"),
        )
        for group in report.safe_only
    ]
    columns = (("of", ""), ("size", "n"), ("files", "n"), ("why", ""))
    text = (
        "No run needed it, another input may. To do without, give it to `drop:` in the workload file, and prove it "
        "with `verify` runs."
    )
    return section("safe-only", "Kept only at safe", note(text), table(columns, rows, stack=True))


def findings(report: Report) -> Element | None:
    if not report.findings and not report.silenced:
        return None
    made = [
        tag(
            "details",
            tag(
                "summary",
                tag("span", finding.severity, class_=f"risk {_SEVERITY[finding.severity]}"),
                " ",
                tag("strong", size(finding.bytes)),
                f" {finding.title} ",
                tag("span", finding.rule, class_="quiet"),
            ),
            tag("pre", finding.advice) if finding.advice else None,
            tag("ul", *(tag("li", tag("code", path)) for path in finding.paths)),
        )
        for finding in report.findings
    ]
    silent = [
        tag("li", f"{size(each.bytes)} {each.title} ({each.rule}){f', until {each.until}' if each.until else ''}: ",
            each.reason)
        for each in report.silenced
    ]  # fmt: skip
    quiet = (tag("h3", "Silenced"), tag("ul", *silent)) if silent else ()
    text = "Each opens to the line of a Dockerfile that avoids it. They may overlap: do not add them up."
    return section("findings", f"Findings ({len(report.findings)})", note(text), *made, *quiet)


_SEVERITY = {"note": "low", "warning": "medium", "error": "high"}


def managers(report: Report) -> Element:
    held = {name: sums for name, sums in report.managers.items() if sums.packages or sums.files}
    most = max((sums.size_bytes for sums in held.values()), default=0)
    rows = [
        tag(
            "tr",
            tag("td", name),
            number(f"{sums.packages:,}" if name != "unowned" else "", sums.packages),
            bytes_(sums.size_bytes),
            bar_cell(sums, most),
            bytes_(sums.used_bytes, "n w"),
            bytes_(sums.reachable_bytes, "n w"),
            bytes_(sums.unused_bytes),
            number(percent(sums.bloat_ratio), sums.bloat_ratio),
        )
        for name, sums in held.items()
    ]
    return section(
        "managers", "Package managers", table((("manager", ""), ("packages", "n"), *_SUMS, ("bloat", "n")), rows)
    )


def packages(report: Report) -> Element | None:
    if not report.packages:
        return None
    ranked = sorted(report.packages, key=lambda each: (-each.size_bytes, each.manager, each.name, each.location))
    shown = ranked[:MAX_PACKAGES]
    rows = [_package(package) for package in shown]
    columns = (
        ("package", ""),
        ("version", "w"),
        ("manager", ""),
        *_SUMS,
        ("bloat", "n"),
        ("needed", ""),
        ("required by", "n w"),
    )
    return section(
        "packages",
        f"Packages ({len(report.packages):,})",
        _left_out(len(shown), len(ranked), "packages", "csv"),
        table(columns, rows, id_="package-table"),
    )


def _package(package: PackageReport) -> Element:
    needed = "directly" if package.direct else f"depth {package.depth}" if package.required else "no"
    return tag(
        "tr",
        tag("td", tag("code", clipped(package.name))),
        tag("td", clipped(package.version), class_="w"),
        tag("td", package.manager),
        bytes_(package.size_bytes),
        bar_cell(package, package.size_bytes),
        bytes_(package.used_bytes, "n w"),
        bytes_(package.reachable_bytes, "n w"),
        bytes_(package.unused_bytes),
        number(percent(package.bloat_ratio), package.bloat_ratio),
        tag("td", needed, data_v=str(package.depth or 99)),
        number(f"{len(package.required_by):,}", len(package.required_by), "n w"),
    )


def layers(report: Report) -> Element:
    found = report.image.layers
    most = max((layer.size_bytes for layer in found), default=0)
    rows = [
        tag(
            "tr",
            number(str(place), place),
            bytes_(layer.size_bytes),
            bar_cell(layer, most),
            bytes_(layer.used_bytes, "n w"),
            bytes_(layer.reachable_bytes, "n w"),
            bytes_(layer.unused_bytes),
            bytes_(layer.shadowed_bytes, "n w"),
            tag("td", tag("code", made_by(layer.created_by) or "-"), class_="p"),
        )
        for place, layer in enumerate(found)
    ]
    columns = (("layer", "n"), *_SUMS, ("shadowed", "n w"), ("made by", ""))
    text = "Lowest first. Shadowed is what a later layer overwrote or deleted: it is pulled and never seen."
    return section("layers", "Layers", note(text), table(columns, rows, stack=True))


def kinds(report: Report) -> Element | None:
    if not report.kinds:
        return None
    ranked = sorted(report.kinds.items(), key=lambda item: (-item[1].size_bytes, item[0]))
    rows = [
        tag(
            "tr",
            tag("td", name),
            bytes_(sums.size_bytes),
            bar_cell(sums, ranked[0][1].size_bytes),
            bytes_(sums.used_bytes, "n w"),
            bytes_(sums.reachable_bytes, "n w"),
            bytes_(sums.unused_bytes),
            number(f"{sums.files:,}", sums.files, "n w"),
        )
        for name, sums in ranked
    ]
    return section("kinds", "Kinds of files", table((("kind", ""), *_SUMS, ("files", "n w")), rows))


def directories(report: Report) -> Element | None:
    if not report.directories:
        return None
    total = report.totals.size_bytes
    rows = [
        tag(
            "tr",
            path_cell(each.path),
            bytes_(each.size_bytes),
            bar_cell(each, total),
            bytes_(each.used_bytes, "n w"),
            bytes_(each.reachable_bytes, "n w"),
            bytes_(each.unused_bytes),
            number(f"{each.files:,}", each.files, "n w"),
        )
        for each in report.directories
    ]
    text = "Those with at least 1 % of the image; a directory's sum holds those of the directories in it."
    columns = (("directory", ""), *_SUMS, ("files", "n w"))
    return section("directories", "Directories", note(text), table(columns, rows))


def orphans(report: Report) -> Element | None:
    if not report.orphans:
        return None
    rows = [
        tag("tr", path_cell(each.path), bytes_(each.size_bytes), bytes_(each.unused_bytes),
            number(f"{each.files:,}", each.files))
        for each in report.orphans
    ]  # fmt: skip
    columns = (("directory", ""), ("size", "n"), ("unused", "n"), ("files", "n"))
    return section("orphans", "Owned by no package", table(columns, rows))


def files(report: Report) -> Element:
    if report.files is None:
        text = "This report has no rows of files. Save it with -o json-files=FILE, or scan the image with -o html."
        return section("files", "Files", note(text))
    ranked = sorted(report.files, key=lambda each: (-each.size_bytes, each.path))
    shown = ranked[:MAX_FILES]
    most = ranked[0].size_bytes if ranked else 0
    columns = (
        ("path", ""),
        ("size", "n"),
        ("", "b w"),
        ("class", ""),
        ("level", ""),
        ("layer", "n w"),
        ("owner", "w"),
        ("why", "w"),
    )
    return section(
        "files",
        f"Files ({len(ranked):,})",
        _left_out(len(shown), len(ranked), "files", "csv-files"),
        table(columns, [_file(each, most) for each in shown], id_="file-table"),
    )


def _file(file: FileReport, most: int) -> Element:
    return tag(
        "tr",
        path_cell(file.path),
        bytes_(file.size_bytes),
        tag("td", bar(file_bytes(file), most), class_="b w"),
        tag("td", tag("span", file.file_class, class_=f"class {file.file_class}")),
        tag("td", "pinned" if file.pinned_by else file.level or "-"),
        number(str(file.layer), file.layer, "n w"),
        tag("td", clipped(", ".join(map(short_key, file.owners)) or "-"), class_="w"),
        tag("td", clipped(because(file)), class_="p w"),
    )


def because(file: FileReport) -> str:
    """Why a file is kept, or goes."""
    if file.same_as:
        return f"another name of {file.same_as}"
    if file.dropped_by:
        return f"removed by the rule drop: {file.dropped_by}"
    return f"{file.reason} {file.by}" if file.reason else "nothing reaches it"


def _left_out(shown: int, total: int, what: str, format_: str) -> Element | None:
    if shown == total:
        return None
    text = f"The {shown:,} largest; {total - shown:,} smaller {what} are left out here: -o {format_} has them all."
    return note(text)


def runs(report: Report) -> Element:
    rows = [
        tag(
            "tr",
            tag("td", run.name),
            tag("td", run.engine),
            tag("td", run.tracer or "-"),
            number(f"{run.seconds:.1f}", run.seconds),
            number(str(run.exit), run.exit),
            number(f"{run.files:,}", run.files),
            number(f"{run.new_files:,}", run.new_files),
            bytes_(run.new_bytes),
        )
        for run in report.evidence.runs
    ]
    columns = (
        ("run", ""),
        ("engine", ""),
        ("tracer", ""),
        ("seconds", "n"),
        ("exit", "n"),
        ("files", "n"),
        ("new files", "n"),
        ("new bytes", "n"),
    )
    return section(
        "evidence", "Evidence", tag("p", *_mode(report)), table(columns, rows) if rows else None, *_notes(report)
    )


def _mode(report: Report) -> Iterator[str]:
    if report.evidence.mode == "static":
        yield "static: nothing was run. Used is what the image's command reaches."
    else:
        yield "traced: used is what the runs of the profile touched."


def _notes(report: Report) -> Iterator[Element]:
    notes = (*report.evidence.flags, *report.problems)
    if notes:
        yield tag("h3", "Notes")
        yield tag("ul", *(tag("li", note) for note in notes))
