"""Report to text. One module per format, each with `render(report) -> str`; adding one is a module and a line below."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, cast

from mlbloat.errors import UsageError
from mlbloat.model.report import Report
from mlbloat.report.widths import WIDTH


@dataclass(frozen=True, slots=True)
class Format:
    module: str
    """Loaded when it is asked for: what others draw with would take longer to load than a known report to print."""
    rows: Literal["", "shown", "needed"] = ""
    """Whether it shows a row for each file, or is nothing without them."""
    function: str = "render"

    @property
    def render(self) -> Callable[[Report], str]:
        """What prints a report."""
        return cast(Callable[[Report], str], getattr(import_module(f"{__name__}.{self.module}"), self.function))


FORMATS: dict[str, Format] = {
    "table": Format("table"),
    "html": Format("page", "shown"),
    "markdown": Format("markdown"),
    "json": Format("json"),
    "json-files": Format("json", "needed", "render_files"),
    "csv": Format("sheet"),
    "csv-files": Format("sheet", "needed", "render_files"),
    "sarif": Format("sarif"),
    "junit": Format("junit"),
    "dot": Format("dot"),
}


def render(report: Report, name: str, *, color: bool = False, width: int = WIDTH) -> str:
    """Print a report in one of FORMATS; `color` and `width` are a terminal's."""
    check(report, name)
    if name == "table":
        from mlbloat.report import table

        return table.render(report, color=color, width=width)
    return FORMATS[name].render(report)


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
