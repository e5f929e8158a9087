"""Settings: flag, then variable, then `settings:` in the working directory's mlbloat.yaml."""

from pathlib import Path

import pytest

from mlbloat.image import Limits
from mlbloat.model.use import Level
from tests.cli.conftest import Asked, Mlbloat


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "project"
    here.mkdir()
    monkeypatch.chdir(here)


def _settings(text: str) -> None:
    Path("mlbloat.yaml").write_text(f"profile: [{{run: [tool]}}]\nsettings: {text}\n")


def test_a_flag_wins_over_a_variable_and_that_over_the_file(
    mlbloat: Mlbloat, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    _settings("{keep: linked, engine: embedded, no_cache: true, limit: [entries=7, image_bytes=1GB]}")
    mlbloat("scan", "docker:a")
    monkeypatch.setenv("MLBLOAT_KEEP", "traced")
    mlbloat("scan", "docker:a")
    mlbloat("scan", "docker:a", "--keep", "package", "--limit", "entries=8")
    assert [call.keep for call in asked.calls] == [Level.LINKED, Level.TRACED, Level.PACKAGE]
    assert {(call.engine, call.cache) for call in asked.calls} == {("embedded", None)}
    raised = Limits(entries=7, image_bytes=1_000_000_000)
    assert [call.limits for call in asked.calls] == [raised, raised, Limits(entries=8)]


def test_the_file_alone_runs_nothing(mlbloat: Mlbloat, asked: Asked) -> None:
    _settings("{keep: linked}")
    mlbloat("scan", "docker:a")
    assert asked.calls[0].workload.profile == ()


def test_the_file_that_has_settings_is_a_workload_too(mlbloat: Mlbloat, asked: Asked) -> None:
    _settings("{workload: mlbloat.yaml, keep: linked}")
    mlbloat("scan", "docker:a")
    mlbloat("scan", "docker:a", "--", "other")
    assert [call.workload.profile[0].run for call in asked.calls] == [("tool",), ("other",)]


def test_limits_of_a_gate_may_be_numbers(mlbloat: Mlbloat, report_file: Path) -> None:
    _settings("{max_bloat: 0.1, workload: mlbloat.yaml}")
    ended = mlbloat("check", report_file)
    assert (ended.exit, ended.stdout.split()[0]) == (3, "FAIL")
    assert mlbloat("check", report_file, "--max-bloat", "90%").exit == 0


@pytest.mark.parametrize("variable", [True, False])
def test_a_workload_that_is_not_on_the_command_line_gives_way(
    mlbloat: Mlbloat, asked: Asked, report_file: Path, monkeypatch: pytest.MonkeyPatch, variable: bool
) -> None:
    _settings("{}" if variable else "{workload: mlbloat.yaml}")
    if variable:
        monkeypatch.setenv("MLBLOAT_WORKLOAD", "mlbloat.yaml")
    assert mlbloat("explain", report_file, "--package", "a").exit in (0, 2)
    assert mlbloat("check", report_file, "--max-size", "1GB").exit == 0
    mlbloat("scan", "docker:a", "--", "other")
    assert [call.workload.profile[0].run for call in asked.calls] == [("other",)]
    ended = mlbloat("scan", "docker:a", "-w", "mlbloat.yaml", "--", "other")
    assert (ended.exit, "cannot use both -w and a command" in ended.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{keeep: safe}", "there is no setting 'keeep'; settings are baseline, engine, gpu_arch, keep, "),
        ("[keep]", "settings is not a map of names to values, as in {max_bloat: 30%}"),
        ("{1: safe}", "settings is not a map of names to values"),
        ("{keep: {a: b}}", "keep is text or a number"),
        ("{keep: true}", "keep is text or a number"),
        ("{limit: {a: b}}", "limit is text, a number or a list of these"),
        ("{no_cache: 3}", "no_cache is true or false"),
        ("{keep: nothing}", "cannot keep 'nothing'"),
        ("{keep", "not YAML"),
    ],
)
def test_a_wrong_setting_is_named(mlbloat: Mlbloat, asked: Asked, text: str, said: str) -> None:
    _settings(text)
    ended = mlbloat("scan", "docker:a")
    assert (ended.exit, ended.stdout, asked.calls) == (2, "", [])
    assert said in ended.stderr


@pytest.mark.parametrize("asking", ["-h", "--help"])
def test_a_wrong_setting_does_not_keep_help_away(mlbloat: Mlbloat, asking: str) -> None:
    _settings("{keeep: safe}")
    ended = mlbloat("doctor", asking)
    assert (ended.exit, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Usage: mlbloat doctor")


@pytest.mark.parametrize("text", ["", "[a]", "settings:\n", "profile: []\n"])
def test_a_file_without_settings_sets_nothing(mlbloat: Mlbloat, asked: Asked, text: str) -> None:
    Path("mlbloat.yaml").write_text(text)
    assert mlbloat("scan", "docker:a").exit == 0
    assert asked.calls[0].keep is Level.SAFE
