"""Rows for spreadsheets and data frames: CSV as in RFC 4180, with a header, lines ending in LF.

https://www.rfc-editor.org/rfc/rfc4180
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

from mlbloat.model.plain import plain
from mlbloat.model.report import FileReport, PackageReport, Report

_FORMULA = re.compile(r"[=+\-@\t\r]")
_SCOPED = re.compile(r"@[a-z0-9._~-]+/[a-z0-9._~-]+")
"""A name of npm, which begins like a formula and is none."""


def render(report: Report) -> str:
    """One row for each package, with the fields of the JSON report; lists are separated by spaces."""
    return _sheet(PackageReport, report.packages)


def render_files(report: Report) -> str:
    """One row for each name of a regular file; `size_bytes` adds up to the image."""
    return _sheet(FileReport, report.files or ())


def _sheet(kind: type[PackageReport] | type[FileReport], rows: Iterable[PackageReport | FileReport]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [field.name for field in fields(kind)]
    writer.writerow(names)
    writer.writerows(_cells([getattr(row, name) for name in names]) for row in rows)
    return out.getvalue()


def _cells(values: Sequence[Any]) -> Iterator[str]:
    for value in values:
        if value is None:
            yield ""
        elif isinstance(value, bool):
            yield str(value).lower()
        elif isinstance(value, int | float):
            yield repr(value)
        else:
            yield _text(value if isinstance(value, str) else " ".join(value))


def _text(text: str) -> str:
    """One line; what a spreadsheet would run as a formula begins with an apostrophe: names are written by strangers.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    shown = plain(text)
    return f"'{shown}" if _FORMULA.match(shown) and not _SCOPED.fullmatch(shown) else shown
