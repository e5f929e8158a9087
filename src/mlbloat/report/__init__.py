"""Report to text. One module per format, each with `render(report) -> str`; adding one is a module and a line below."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mlbloat.errors import UsageError
from mlbloat.model.report import Report
from mlbloat.report import dot, json, junit, markdown, page, sarif, sheet, table
from mlbloat.report.columns import WIDTH


@dataclass(frozen=True, slots=True)
class Format:
    render: Callable[[Report], str]
    rows: Literal["", "shown", "needed"] = ""
    """Whether it shows a row for each file, or is nothing without them."""


FORMATS: dict[str, Format] = {
    "table": Format(table.render),
    "html": Format(page.render, "shown"),
    "markdown": Format(markdown.render),
    "json": Format(json.render),
    "json-files": Format(json.render_files, "needed"),
    "csv": Format(sheet.render),
    "csv-files": Format(sheet.render_files, "needed"),
    "sarif": Format(sarif.render),
    "junit": Format(junit.render),
    "dot": Format(dot.render),
}


def render(report: Report, name: str, *, color: bool = False, width: int = WIDTH) -> str:
    """Print a report in one of FORMATS; `color` and `width` are a terminal's."""
    check(report, name)
    return table.render(report, color=color, width=width) if name == "table" else FORMATS[name].render(report)


def check(report: Report, name: str) -> None:
    """UsageError when a format shows what the report does not hold."""
    if FORMATS[name].rows == "needed" and report.files is None:
        raise UsageError(
            f"cannot print this report as {name}: it has no rows of files; scan the image with -o {name}, or save the "
            f"report with -o json-files=FILE"
        )


@dataclass(frozen=True, slots=True)
class Output:
    """One `-o FORMAT[=FILE]`."""

    format: str
    file: str
    """Empty or `-` is standard output."""


def parse_output(text: str) -> Output:
    """Read `FORMAT[=FILE]`; UsageError for a format that does not exist."""
    name, equals, file = text.partition("=")
    if equals and not file:
        raise UsageError(
            f"cannot print a report to {text!r}: no file is named; write {name}=FILE, or {name} for stdout"
        )
    if name not in FORMATS:
        raise UsageError(
            f"cannot print a report as {name!r}; formats are {', '.join(FORMATS)}, as in -o json=report.json"
        )
    return Output(name, "" if file == "-" else file)
