"""Formats of a Python distribution's record.

RECORD and dist-info: https://packaging.python.org/specifications/recording-installed-packages/
METADATA: https://packaging.python.org/specifications/core-metadata/
egg-info (`requires.txt`, `installed-files.txt`, `.egg-link`): https://setuptools.pypa.io/en/latest/deprecated/python_eggs.html
"""

import configparser
import csv
import io
import re
from dataclasses import dataclass

from packaging.metadata import parse_email
from packaging.utils import InvalidName, canonicalize_name

from mlbloat.packages.database import text_of

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_SECTION = re.compile(r"\[([^\]:]*)(?::(.*))?\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    name: str
    """Normalised."""
    version: str
    requires: tuple[str, ...]
    """Dependency specifiers (PEP 508), markers included."""


def metadata(content: bytes) -> Metadata:
    """Parse METADATA or PKG-INFO; raise ValueError when it names no package."""
    # The description below the headers may be long, and may be anything.
    headers, _ = parse_email(_BLANK_LINE.split(content, maxsplit=1)[0] + b"\n\n")
    return Metadata(
        name=_normalised(headers.get("name", "")),
        version=_version(headers.get("version", "")),
        requires=tuple(headers.get("requires_dist", ())),
    )


def from_directory(name: str) -> Metadata:
    """Tell name and version from `name-version.dist-info`; raise ValueError when it does not look like that."""
    parts = name.rpartition(".")[0].split("-")
    return Metadata(name=_normalised(parts[0]), version=_version(parts[1] if len(parts) > 1 else ""), requires=())


def record(content: bytes) -> list[tuple[str, int | None]]:
    """Return paths, as written, and sizes in bytes of a RECORD; raise ValueError when it is not a table."""
    try:
        rows = csv.reader(io.StringIO(text_of(content), newline=""))
        return [(row[0], _size(row[2]) if len(row) > 2 else None) for row in rows if row and row[0]]
    except csv.Error as error:
        raise ValueError(str(error)) from error


def _size(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def commands(content: bytes) -> list[str]:
    """Return the names of the scripts that `entry_points.txt` asks an installer to make; none when it is broken."""
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign] # documented way to keep the case of names
    try:
        parser.read_string(text_of(content))
    except configparser.Error:
        return []
    sections = (section for section in ("console_scripts", "gui_scripts") if parser.has_section(section))
    return [name for section in sections for name in parser.options(section) if "/" not in name]


def lines(content: bytes) -> list[str]:
    """Return the non-empty lines of `top_level.txt` or `installed-files.txt`."""
    return [line.strip() for line in text_of(content).split("\n") if line.strip()]


def requires_txt(content: bytes) -> tuple[str, ...]:
    """Turn an egg's `requires.txt` into dependency specifiers: its sections are `[extra:marker]`."""
    specifiers = []
    condition = ""
    for line in lines(content):
        section = _SECTION.fullmatch(line)
        if section:
            extra, marker = section[1], section[2]
            parts = [f"({marker})"] if marker else []
            parts += [f'extra == "{extra}"'] if extra else []
            condition = " and ".join(parts)
        else:
            specifiers.append(f"{line} ; {condition}" if condition else line)
    return tuple(specifiers)


def _normalised(name: str) -> str:
    try:
        return canonicalize_name(name.strip(), validate=True)
    except InvalidName as error:
        raise ValueError(f"it has no valid name ({name[:80]!r})" if name else "it names no package") from error


def _version(text: str) -> str:
    text = text.strip()
    if not text or not text.isprintable():
        raise ValueError("it has no version")
    return text
