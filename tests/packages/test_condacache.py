from pathlib import Path

import pytest
from conda_package_streaming.transmute import transmute
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.packages import conda, take_inventory
from tests.support.conda import Built, archive
from tests.support.trees import tree_of

PKGS = "/opt/conda/pkgs"


def cached(files: dict[str, bytes | str | None]) -> list[tuple[str, str, str]]:
    return [(each.name, each.version, each.path) for each in take_inventory(tree_of(files)).cached]


@pytest.mark.parametrize("form", ["conda", "tar.bz2"])
def test_an_archive_tells_its_own_name_whatever_its_file_is_called(form: str) -> None:
    content = archive(Built(name="numbers", version="1.2", form=form))  # type: ignore[arg-type] # of the parameters
    path = f"{PKGS}/renamed-9-9.{form}"
    assert cached({path: content}) == [("numbers", "1.2", path)]


def test_an_archive_that_condas_own_library_wrote_is_read(tmp_path: Path) -> None:
    source = tmp_path / "numbers-1.2-0.tar.bz2"
    source.write_bytes(archive(Built(name="numbers", version="1.2", files={"lib/x": "x" * 5000}, form="tar.bz2")))
    written = Path(transmute(str(source), str(tmp_path)))
    assert cached({f"{PKGS}/x-1-0.conda": written.read_bytes()}) == [("numbers", "1.2", f"{PKGS}/x-1-0.conda")]


def test_an_unpacked_package_counts_and_is_no_installation() -> None:
    files: dict[str, bytes | str | None] = {
        f"{PKGS}/numbers-1.2-0/info/index.json": '{"name": "numbers", "version": "1.2"}',
        f"{PKGS}/numbers-1.2-0/lib/x": "x",
    }
    assert cached(files) == [("numbers", "1.2", f"{PKGS}/numbers-1.2-0")]
    assert take_inventory(tree_of(files)).packages == ()


def test_archives_elsewhere_are_somebodys_data() -> None:
    assert cached({"/data/set.tar.bz2": b"BZh9", "/home/a/x.conda": b"PK"}) == []


def test_an_index_of_something_else_is_no_package() -> None:
    index = '{"name": "app", "version": "1"}'
    assert cached({"/srv/site/info/index.json": index, "/srv/my-web-app/info/index.json": index}) == []
    listed: dict[str, bytes | str | None] = {"/srv/a-1-0/info/index.json": index, "/srv/a-1-0/info/files": ""}
    assert [path for *_, path in cached(listed)] == ["/srv/a-1-0"]


@pytest.mark.parametrize("form", ["conda", "tar.bz2"])
def test_a_broken_archive_is_a_problem_and_its_name_serves(form: str) -> None:
    content = archive(Built(name="numbers", form=form))  # type: ignore[arg-type] # of the parameters
    path = f"{PKGS}/my-numbers-1.2-py_0.{form}"
    found = conda.find(tree_of({path: content[: len(content) // 3]}))
    assert [(each.name, each.version) for each in found.cached] == [("my-numbers", "1.2")]
    assert found.problems[0].path == path


def test_a_bomb_is_unpacked_to_the_limit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlbloat.packages.condacache.MAX_UNPACKED_BYTES", 2048)
    content = archive(Built(name="numbers", files={"a": "0" * 1_000_000}, form="tar.bz2"))
    found = conda.find(tree_of({f"{PKGS}/numbers-1-0.tar.bz2": content}))
    assert [each.name for each in found.cached] == ["numbers"]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["conda", "tar.bz2"]), st.booleans())
def test_any_bytes_as_archives_leave_a_good_package_standing(noise: bytes, form: str, whole: bool) -> None:
    content = archive(Built(name="x", form=form)) if whole else b""  # type: ignore[arg-type] # of the parameters
    good = f"{PKGS}/good-1-0"
    files: dict[str, bytes | str | None] = {
        f"{PKGS}/bad-1-0.{form}": noise + content + noise,
        f"{good}/info/index.json": '{"name": "good", "version": "1"}',
    }
    assert ("good", "1", good) in cached(files)
