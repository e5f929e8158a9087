"""A report is kept for the very same question, and for no other."""

import datetime
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from mlbloat import __version__, known, metrics, pipeline
from mlbloat.cache import FILE_NAME, Store
from mlbloat.model.use import Level
from mlbloat.model.workload import Ignore, Workload
from mlbloat.request import Request
from mlbloat.usage import trace as tracing
from tests.support import images

LAYERS: list[images.Members] = [{"/bin": None, "/bin/tool": b"#!tool", "/etc": None, "/etc/f": b"x"}]


@pytest.fixture
def asked(tmp_path: Path) -> Request:
    path = images.oci_archive(tmp_path / "image.tar", LAYERS, config={"Cmd": ["/bin/tool"]})
    return Request(reference=f"oci-archive:{path}", cache=tmp_path / "cache")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever an image is measured."""
    calls: list[int] = []
    measure: Callable[..., Any] = metrics.measure

    def counted(**given: Any) -> Any:
        calls.append(1)
        return measure(**given)

    monkeypatch.setattr(metrics, "measure", counted)
    return calls


def test_the_same_question_is_answered_without_measuring(asked: Request, measured: list[int]) -> None:
    assert pipeline.scan(asked) == pipeline.scan(asked) == pipeline.scan(replace(asked, cache=None))
    assert len(measured) == 2  # the first, and the one that has no cache


def test_another_question_is_measured(asked: Request, measured: list[int], tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_bytes(tracing.profile_file(()))
    pipeline.scan(asked)
    for other in (
        replace(asked, keep=Level.PACKAGE),
        replace(asked, workload=Workload(keep=("/etc/*",))),
        replace(asked, limits=replace(asked.limits, entries=1000)),
        replace(asked, profiles=(profile,)),
    ):
        before = len(measured)
        first = pipeline.scan(other)
        assert len(measured) == before + 1
        assert pipeline.scan(other) == first
        assert len(measured) == before + 1


def test_the_day_counts_where_something_is_ignored_until_then(asked: Request, measured: list[int]) -> None:
    today = datetime.date(2026, 1, 31)
    tomorrow = today + datetime.timedelta(1)
    pipeline.scan(replace(asked, today=today))
    pipeline.scan(replace(asked, today=tomorrow))
    assert len(measured) == 1
    ignored = Workload(ignore=(Ignore(rule="pip-cache", reason="known", until=today),))
    reports = [pipeline.scan(replace(asked, workload=ignored, today=day)) for day in (today, tomorrow)]
    assert len(measured) == 3
    assert reports[0] != reports[1]


def test_another_archive_of_the_same_image_has_its_own_name(asked: Request, tmp_path: Path) -> None:
    pipeline.scan(asked)
    saved = images.docker_archive(tmp_path / "saved.tar", LAYERS, config={"Cmd": ["/bin/tool"]})
    again = replace(asked, reference=f"docker-archive:{saved}")
    assert pipeline.scan(again) == pipeline.scan(replace(again, cache=None))


def test_another_program_or_library_measures_again(
    asked: Request, measured: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.scan(asked)
    monkeypatch.setattr(known, "_libraries", lambda: [("msgspec", "0")])
    pipeline.scan(asked)
    assert len(measured) == 2


def test_a_directory_is_measured_every_time(measured: list[int], tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    asked = Request(reference=f"dir:{tmp_path}/root", cache=tmp_path / "cache")
    pipeline.scan(asked)
    (tmp_path / "root/new").write_text("x")
    assert pipeline.scan(asked).totals.size_bytes == 1
    assert len(measured) == 2


def test_a_damaged_report_is_measured_again(asked: Request, measured: list[int], tmp_path: Path) -> None:
    first = pipeline.scan(asked)
    store = Store(tmp_path / "cache", __version__)
    with store._transaction() as database:
        database.execute("UPDATE part SET value = x'93' WHERE kind LIKE ?", (f"%/{known.REPORTS}/%",))
    store.close()
    assert (tmp_path / "cache" / FILE_NAME).exists()
    assert pipeline.scan(asked) == first
    assert len(measured) == 2


def test_a_program_that_is_not_installed_scans_as_well(asked: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    assert pipeline.scan(asked) == pipeline.scan(asked)
