"""`check` and `explain` on the command line."""

from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from mlbloat.report import json
from tests.cli.conftest import Mlbloat
from tests.support import reports


@pytest.fixture
def smaller(tmp_path: Path) -> Path:
    """A report of the same image when it had 80 bytes."""
    made = reports.report()
    path = tmp_path / "smaller.json"
    path.write_text(json.render(replace(made, totals=replace(made.totals, size_bytes=80))))
    return path


def test_growth_is_held_against_a_baseline(mlbloat: Mlbloat, report_file: Path, smaller: Path) -> None:
    ended = mlbloat("check", report_file, "--baseline", smaller, "--max-growth", "25%")
    assert (ended.exit, ended.stdout) == (0, "PASS  max-growth: 25.0 %, limit 25.0 % (evidence: traced)\n")
    ended = mlbloat("check", report_file, "--baseline", smaller, "--max-growth", "19B")
    assert ended.exit == 3
    assert ended.stdout.startswith("FAIL  max-growth: 20 B, limit 19 B")
    assert "max-growth exceeded" in ended.stderr


def test_package_bloat_names_the_packages(mlbloat: Mlbloat, report_file: Path) -> None:
    ended = mlbloat("check", report_file, "--max-package-bloat", "30%", "--min-package-size", "1B")
    assert ended.exit == 3
    assert ended.stdout == "FAIL  max-package-bloat: 40.0 %, limit 30.0 %; see apt:libx (evidence: traced)\n"
    assert mlbloat("check", report_file, "--max-package-bloat", "30%").exit == 0


def test_a_check_prints_its_lines_and_saves_what_a_ci_reads(
    mlbloat: Mlbloat, report_file: Path, tmp_path: Path
) -> None:
    ended = mlbloat(
        "check", report_file, "--max-bloat", "30%", "-o", f"junit={tmp_path}/j.xml", "-o", f"json={tmp_path}/r.json"
    )
    assert ended.exit == 3
    assert ended.stdout.startswith("FAIL  max-bloat: 40.0 %, limit 30.0 %")
    assert fromstring((tmp_path / "j.xml").read_text()).find("testsuite/testcase/failure") is not None
    (limit,) = json.load(tmp_path / "r.json").limits
    assert (limit.name, limit.passed) == ("max-bloat", False)


def test_a_report_on_stdout_takes_the_place_of_the_lines(mlbloat: Mlbloat, report_file: Path) -> None:
    ended = mlbloat("check", report_file, "--max-bloat", "30%", "-o", "markdown")
    assert ended.exit == 3
    assert ended.stdout.startswith("## mlbloat: ")
    assert "FAIL  max-bloat" not in ended.stdout


def test_a_baseline_is_never_written_over(mlbloat: Mlbloat, report_file: Path, smaller: Path) -> None:
    words = ["--baseline", smaller, "--max-growth", "1", "-o", f"json={smaller}"]
    ended = mlbloat("check", report_file, *words)
    assert ended.exit == 2
    assert "this command reads that file too" in ended.stderr


def test_a_saved_report_explains_files_when_it_has_them(mlbloat: Mlbloat, image: Path, tmp_path: Path) -> None:
    saved = tmp_path / "files.json"
    assert mlbloat("scan", f"oci-archive:{image}", "-o", f"json-files={saved}").exit == 0
    path = "/usr/lib/libneeded.so"
    assert mlbloat("explain", saved, path).stdout == mlbloat("explain", f"oci-archive:{image}", path).stdout != ""


def test_a_saved_report_without_files_says_what_to_do(mlbloat: Mlbloat, report_file: Path) -> None:
    ended = mlbloat("explain", report_file, "/bin/x")
    assert ended.exit == 2
    assert "it has no rows of files; save it with -o json-files=FILE, or explain docker:app:1 itself" in ended.stderr
    assert "who needs it: some of it is used" in mlbloat("explain", report_file, "--package", "libx").stdout


def test_nothing_runs_for_a_report(mlbloat: Mlbloat, report_file: Path) -> None:
    ended = mlbloat("explain", report_file, "/bin/x", "--", "true")
    assert ended.exit == 2
    assert "cannot run anything for" in ended.stderr
