"""The report as JSON, and back. The schema is `schema.json` beside this file, made from the model."""

import os
from pathlib import Path
from typing import Any

import msgspec

from mlbloat.errors import UsageError
from mlbloat.model.report import FORMAT, Report

SCHEMA_FILE = Path(__file__).with_name("schema.json")


def render(report: Report) -> str:
    """Indented JSON without rows of files. Names that are not UTF-8 carry backslash escapes, as JSON is text."""
    values = _values(report)
    del values["files"]
    return msgspec.json.format(msgspec.json.encode(values), indent=2).decode() + "\n"


def render_files(report: Report) -> str:
    """The same with a line for each file; `explain` and all formats can be had from it."""
    values = _values(report)
    rows = values.pop("files") or ()
    head = msgspec.json.format(msgspec.json.encode(values), indent=2).decode().removesuffix("\n}")
    lines = ",\n    ".join(msgspec.json.encode(row).decode() for row in rows)
    return f'{head},\n  "files": [\n    {lines}\n  ]\n}}\n'


def _values(report: Report) -> dict[str, Any]:
    values: dict[str, Any] = printable(msgspec.to_builtins(report))
    return values


def looks_like_report(path: Path) -> bool:
    """Tell a saved report from an image by its first character."""
    with path.open("rb") as stream:
        return stream.read(64).lstrip()[:1] == b"{"


def saved(reference: str) -> Report | None:
    """Return the report that a reference names; None when it names something else."""
    return load(Path(reference)) if is_report(reference) else None


def is_report(reference: str) -> bool:
    """Say whether a reference names a saved report, by how the file begins."""
    path = Path(reference)
    return path.is_file() and os.access(path, os.R_OK) and looks_like_report(path)


def load(path: Path) -> Report:
    """Read a saved report from a file."""
    try:
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(f"cannot read report {path}: {error.strerror}; check the path") from error


def parse(text: bytes, origin: str) -> Report:
    """Read a saved report; UsageError names `origin` and what is wrong with it."""
    try:
        head = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"cannot read report {origin}: not JSON ({error}); save one with -o json=FILE") from error
    if not isinstance(head, dict) or head.get("kind") != "mlbloat.report":
        raise UsageError(f"cannot read report {origin}: it is not an mlbloat report; save one with -o json=FILE")
    if head.get("format") != FORMAT:
        raise UsageError(
            f"cannot read report {origin}: it has format {head.get('format')}, this version reads {FORMAT}; "
            f"scan the image again"
        )
    try:
        return msgspec.convert(head, Report)
    except msgspec.ValidationError as error:
        raise UsageError(f"cannot read report {origin}: {error}; scan the image again") from error


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a report, made from the model's types."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Report)}


def printable(value: Any) -> Any:
    """Replace what JSON text cannot hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {printable(name): printable(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [printable(held) for held in value]
    return value
