"""Standard output is the report and standard error is the talk; a file is whole or not there."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlbloat.cli import output
from mlbloat.cli.talk import Talker
from mlbloat.errors import MlbloatError
from mlbloat.report import FORMATS, json, table
from tests.cli.conftest import Asked, Mlbloat
from tests.support import reports


def test_the_report_and_nothing_else_is_on_stdout(mlbloat: Mlbloat, image: Path) -> None:
    ended = mlbloat("scan", f"oci-archive:{image}", "-o", "json", "-v")
    assert ended.exit == 0
    assert json.parse(ended.stdout.encode(), "stdout").image.reference == f"oci-archive:{image}"
    assert f"reading oci-archive:{image}" in ended.stderr


@pytest.mark.parametrize("words", [[], ["-q"], ["-q", "-v"]])
def test_without_a_terminal_only_v_talks_and_q_is_silent(mlbloat: Mlbloat, image: Path, words: list[str]) -> None:
    ended = mlbloat("scan", image, *words)
    assert (ended.exit, ended.stderr) == (0, "")
    assert ended.stdout != ""


def test_the_same_image_gives_the_same_bytes(mlbloat: Mlbloat, image: Path) -> None:
    first, second = (mlbloat("scan", image, "-o", "json") for _ in range(2))
    assert first.stdout == second.stdout != ""


def test_reports_go_to_every_place_that_is_named(mlbloat: Mlbloat, asked: Asked, tmp_path: Path) -> None:
    words = ["-o", "json", "-o", f"table={tmp_path}/r.txt", "-o", f"json={tmp_path}/r.json"]
    ended = mlbloat("scan", "docker:a", *words)
    assert ended.stdout == json.render(asked.report) == (tmp_path / "r.json").read_text()
    assert (tmp_path / "r.txt").read_text() == table.render(asked.report)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.json", "r.txt"]


def test_a_saved_report_is_printed_again_as_it_was(mlbloat: Mlbloat, report_file: Path) -> None:
    assert mlbloat("convert", report_file).stdout == table.render(reports.report())
    assert mlbloat("convert", report_file, "-o", "json").stdout == report_file.read_text()


def test_every_format_is_made_of_an_image_and_of_a_report_with_files(
    mlbloat: Mlbloat, image: Path, tmp_path: Path
) -> None:
    words = [word for name in FORMATS for word in ("-o", f"{name}={tmp_path}/{name}")]
    assert mlbloat("scan", f"oci-archive:{image}", *words).exit == 0
    again = [word for name in FORMATS for word in ("-o", f"{name}={tmp_path}/{name}.again")]
    assert mlbloat("convert", tmp_path / "json-files", *again).exit == 0
    for name in FORMATS:
        assert (tmp_path / f"{name}.again").read_text() == (tmp_path / name).read_text() != ""
    assert "/usr/share/never" in (tmp_path / "html").read_text()
    assert "/usr/share/never" in (tmp_path / "csv-files").read_text()


def test_a_report_without_files_says_so_before_anything_is_written(
    mlbloat: Mlbloat, report_file: Path, tmp_path: Path
) -> None:
    ended = mlbloat("convert", report_file, "-o", f"html={tmp_path}/x.html", "-o", f"csv-files={tmp_path}/x.csv")
    assert ended.exit == 2
    assert (
        "cannot print this report as csv-files: it has no rows of files; scan the image with -o csv-files"
        in ended.stderr
    )
    assert not (tmp_path / "x.html").exists()


@pytest.mark.parametrize(("format_", "wanted"), [("html", True), ("csv-files", True), ("csv", False), ("table", False)])
def test_files_have_rows_only_for_formats_that_show_them(
    mlbloat: Mlbloat, asked: Asked, tmp_path: Path, format_: str, wanted: bool
) -> None:
    mlbloat("scan", "docker:a", "-o", f"{format_}={tmp_path}/x")
    assert asked.calls[0].with_files is wanted


def test_a_dockerfile_comes_with_its_list(mlbloat: Mlbloat, asked: Asked, tmp_path: Path) -> None:
    ended = mlbloat("slim", "docker:a", "-t", "docker:b", "--dockerfile", tmp_path / "Dockerfile.slim")
    assert ended.exit == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "Dockerfile.slim": "FROM original\n",
        "Dockerfile.slim.removed": "/never\n",
    }


def test_a_file_is_readable_as_others_are(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        output.write_file(tmp_path / "r.json", "text")
    finally:
        os.umask(umask)
    assert (tmp_path / "r.json").stat().st_mode & 0o777 == 0o640


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "r.json"
    file.write_text("old")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(MlbloatError, match=r"cannot write .*r\.json: No space left on device; make room there"):
        output.write_file(file, "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("r.json", "old")]


def test_a_link_is_followed_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "r.json").symlink_to(tmp_path / "real.json")
    output.check_writable(tmp_path / "r.json")
    output.write_file(tmp_path / "r.json", "text")
    assert (tmp_path / "r.json").is_symlink()
    assert (tmp_path / "real.json").read_text() == "text"


def test_a_loop_of_links_is_an_error_that_says_so(mlbloat: Mlbloat, asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    ended = mlbloat("scan", "docker:a", "-o", f"json={tmp_path}/loop/r.json")
    assert ended.exit == 2
    assert ended.stderr.startswith(f"mlbloat: cannot write {tmp_path}/loop/r.json: ")


def test_a_name_that_is_too_long_is_an_error_that_says_so(mlbloat: Mlbloat, asked: Asked, tmp_path: Path) -> None:
    ended = mlbloat("scan", "docker:" + "a" * 5000, "-o", f"json={tmp_path}/{'n' * 300}")
    assert ended.exit == 1
    assert "File name too long" in ended.stderr


def test_a_pipe_is_written_to_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    output.check_writable(pipe)
    output.write_file(pipe, "text")
    assert os.read(reader, 100) == b"text"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_path_that_is_not_utf8_does_not_end_the_report(tmp_path: Path) -> None:
    output.write_file(tmp_path / "r.txt", os.fsdecode(b"caf\xe9"))
    assert (tmp_path / "r.txt").read_bytes() == b"caf\xe9"


def _converted(report_file: Path, stdout: int) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "mlbloat", "convert", str(report_file), "-o", "json"]
    return subprocess.run(words, stdout=stdout, stderr=subprocess.PIPE, text=True)


def test_a_reader_that_leaves_is_no_error_to_talk_about(report_file: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = _converted(report_file, writer)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_a_full_disk_behind_stdout_is_said(report_file: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    ended = _converted(report_file, full)
    os.close(full)
    assert ended.returncode == 1
    assert (
        ended.stderr
        == "mlbloat: cannot write to standard output: No space left on device; make room, or send it elsewhere\n"
    )


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "colored"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_a_terminal_has_color_unless_it_must_not(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], colored: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    output.write(reports.report(), output.outputs(None))
    assert ("\x1b[" in terminal.getvalue()) is colored
    assert "docker:app:1" in terminal.getvalue()


def test_a_file_has_no_color(mlbloat: Mlbloat, report_file: Path) -> None:
    assert "\x1b" not in mlbloat("convert", report_file).stdout


def _talked(*, quiet: bool = False, verbose: bool = False, terminal: bool | None) -> str:
    stream = _Terminal() if terminal is None else io.StringIO()
    talker = Talker(quiet=quiet, verbose=verbose, stream=stream, terminal=terminal, pause_seconds=0)
    with talker.stage("reading \x1b[2Jimage"):
        talker.progress("reading layers", 0, 2000)
        talker.progress("layer \x1b[2J", 500, 1000)
        talker.progress("layer done", 1000, 1000)
    return stream.getvalue()


def test_a_terminal_shows_the_stage_and_a_bar_for_each_layer_and_ends_clean() -> None:
    talk = _talked(terminal=True)
    assert "reading \\x1b[2Jimage …" in talk
    last = talk.rpartition("reading layers")[2]
    assert "layer \\x1b[2J" in last
    assert "0.5/1.0 kB" in last
    assert "layer done" not in talk
    assert talk.endswith("\r\x1b[2K")
    assert talk.rindex("\x1b[?25h") > talk.rindex("\x1b[?25l")  # the cursor is back


@pytest.mark.parametrize(
    ("variables", "shown"), [({}, True), ({"CI": "true"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, True)]
)
def test_bars_are_for_people_who_watch(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], shown: bool) -> None:
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    talk = _talked(terminal=None)
    assert ("reading layers" in talk) is shown
    assert (talk == "") is not shown
    if "NO_COLOR" in variables:
        assert not re.search(r"\x1b\[[0-9;]+m", talk.replace("\x1b[0m", ""))


def test_a_stage_that_is_over_at_once_draws_no_bar() -> None:
    stream = io.StringIO()
    talker = Talker(quiet=False, verbose=False, stream=stream, terminal=True, pause_seconds=1000)
    with talker.stage("reading"):
        talker.progress("reading layers", 5, 10)
    assert stream.getvalue() == "\r\x1b[2Kreading …\r\x1b[2K"


def test_verbose_lines_have_times_and_no_escapes() -> None:
    talk = _talked(verbose=True, terminal=False)
    assert talk.endswith(" s  reading \\x1b[2Jimage\n")
    assert "\x1b" not in talk
    assert float(talk.split()[0]) >= 0


def test_quiet_says_nothing_even_on_a_terminal() -> None:
    assert _talked(quiet=True, verbose=True, terminal=True) == ""


def test_a_stage_that_fails_leaves_no_half_line() -> None:
    stream = io.StringIO()
    with pytest.raises(KeyError), Talker(quiet=False, verbose=False, stream=stream, terminal=True).stage("x"):
        raise KeyError
    assert stream.getvalue().endswith("\r\x1b[2K")


@pytest.mark.parametrize(("columns", "width"), [("80", 80), ("20", 72), ("500", 140)])
def test_a_report_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: str, width: int) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert output.width() == 110  # no terminal: a file, a pipe
    monkeypatch.setattr(sys, "stdout", _Terminal())
    assert output.width() == width
