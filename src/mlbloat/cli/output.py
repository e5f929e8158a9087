"""Where reports go: standard output, or files that are whole or not there."""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mlbloat.errors import MlbloatError, UsageError

if TYPE_CHECKING:
    from mlbloat.model.report import Report
    from mlbloat.report import Output


def outputs(texts: list[str] | None, formats: tuple[str, ...] = ()) -> "tuple[Output, ...]":
    """Read every `-o`; none is a table on standard output. Wrong ones are reported before any work starts."""
    from mlbloat.report import parse_output

    parsed = tuple(parse_output(text) for text in texts or ["table"])
    for output in parsed:
        if formats and output.format not in formats:
            raise UsageError(f"cannot print this as {output.format}: formats are {', '.join(formats)}")
    if sum(not output.file for output in parsed) > 1:
        raise UsageError("cannot print two reports on standard output; give all but one a file, as in -o json=FILE")
    for path in files(parsed):
        check_writable(path)
    return parsed


def want_files(wanted: "tuple[Output, ...]") -> bool:
    """Tell whether a report is to be printed with a row for each file."""
    from mlbloat.report import FORMATS

    return any(FORMATS[output.format].rows for output in wanted)


def files(wanted: "tuple[Output, ...]") -> list[Path]:
    """The files among the places where a report goes."""
    return [Path(output.file) for output in wanted if output.file]


def check_apart(written: Iterable[Path], read: Iterable[Path]) -> None:
    """UsageError when one file would be written twice, or over one that the same command reads."""
    taken = {_real(path): "reads" for path in read if not _is_special(path)}
    for path in written:
        place = _real(path)
        if place in taken and not _is_special(path):
            raise UsageError(f"cannot write {path}: this command {taken[place]} that file too; give another name")
        taken[place] = "writes"


def write(report: "Report", wanted: "tuple[Output, ...]") -> None:
    """Write files first: a reader of standard output who leaves early must not cost them."""
    from mlbloat.report import check, render

    for output in wanted:
        check(report, output.format)
    for output in sorted(wanted, key=lambda output: not output.file):
        if output.file:
            write_file(Path(output.file), render(report, output.format))
        else:
            put(render(report, output.format, color=color(), width=width()))


def put(text: str) -> None:
    """Write to standard output, all of it, now."""
    if sys.stdout is None:  # started with it closed, as `>&-` does
        raise MlbloatError("cannot write to standard output: it is closed; send it to a file or /dev/null")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise MlbloatError(
            f"cannot write to standard output: {error.strerror}; make room, or send it elsewhere"
        ) from error


def color() -> bool:
    return (
        sys.stdout is not None
        and sys.stdout.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def width() -> int:
    """Columns of a report on standard output: the terminal's, or what reads well in a file."""
    from mlbloat.report import widths

    if sys.stdout is None or not sys.stdout.isatty():
        return widths.WIDTH
    return min(max(shutil.get_terminal_size((widths.WIDTH, 24)).columns, widths.NARROW), widths.WIDEST)


def check_writable(path: Path) -> None:
    """UsageError when a file cannot be made at `path`; known before an hour of work, not after it."""
    if kind(path) == stat.S_IFDIR:
        raise UsageError(f"cannot write {path}: it is a directory; name a file in it")
    if _is_special(path):
        return
    directory = _real(path).parent
    if kind(directory) != stat.S_IFDIR:
        raise UsageError(f"cannot write {path}: the directory {directory} does not exist; make it first")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write {path}: the directory {directory} is not writable; choose another")


def write_file(path: Path, text: str | bytes) -> None:
    """Write beside the name and rename, so that a reader never sees half a file."""
    content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    try:
        if _is_special(path):
            path.write_bytes(content)
        else:
            _replace(_real(path), content)
    except OSError as error:
        raise MlbloatError(f"cannot write {path}: {error.strerror}; make room there, or give another place") from error


def _is_special(path: Path) -> bool:
    """Tell a pipe, a terminal or /dev/null, which is written to and never replaced."""
    return kind(path) not in (0, stat.S_IFREG)


def kind(path: Path) -> int:
    """The kind of file at a path, 0 when there is none or none that we may see."""
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except OSError:
        return 0


def _real(path: Path) -> Path:
    """Follow links without minding where they end: Path.resolve raises on a loop."""
    return Path(os.path.realpath(path))


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
