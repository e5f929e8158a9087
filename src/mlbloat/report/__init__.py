"""Report to text. One module per format, each with `render(report) -> str`; adding one is a module and a line."""

from collections.abc import Callable
from dataclasses import dataclass

from mlbloat.errors import UsageError
from mlbloat.model.report import Report
from mlbloat.report import dot, json, table

FORMATS: dict[str, Callable[[Report], str]] = {
    "table": table.render,
    "json": json.render,
    "dot": dot.render,
}


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
