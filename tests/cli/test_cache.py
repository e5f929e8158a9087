"""`mlbloat cache`, and what the commands keep there."""

from pathlib import Path

import pytest

from mlbloat.cache import Store
from mlbloat.model.digest import Digest
from mlbloat.model.image import layer_key
from tests.cli.conftest import Mlbloat
from tests.support import images


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLBLOAT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def image(tmp_path: Path) -> str:
    return str(images.oci_archive(tmp_path / "image.tar", [{"/a": b"content"}, {"/b": b"more"}]))


def test_an_empty_cache_is_told_and_not_made(mlbloat: Mlbloat, directory: Path) -> None:
    assert mlbloat("cache").stdout == f"{directory}: empty\n"
    assert mlbloat("cache", "prune").stdout == "0 B freed\n"
    assert not directory.exists()


def test_a_scan_is_kept_shown_and_dropped(mlbloat: Mlbloat, directory: Path, image: str) -> None:
    first = mlbloat("scan", image, "-o", "json")
    assert mlbloat("scan", image, "-o", "json").stdout == first.stdout
    shown = mlbloat("cache").stdout.splitlines()
    assert shown[0].startswith(f"{directory}/layers.sqlite: 2 layers, ")
    assert len(shown) == 3 and shown[1].startswith("  sha256:")

    assert mlbloat("cache", "prune").stdout == "0 B freed\n"
    assert mlbloat("cache", "prune", "--max-size", "1").stdout.endswith("B freed\n")
    assert mlbloat("cache").stdout.endswith(": 0 layers, 0 B\n")


def test_what_was_not_verified_is_shown_apart(mlbloat: Mlbloat, directory: Path) -> None:
    digest = Digest("sha256:0123456789abcdef" + "0" * 48)
    store = Store(directory, "1.0")
    for verified in (True, False):
        store.save("index/1", layer_key(digest, verified=verified), {0: bytes(1000 + verified)})
    store.close()
    lines = mlbloat("cache").stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["sha256:0123456789ab", "unverified:sha256:0123456789ab"]
    assert lines[0].index("last used") == lines[1].index("last used")


def test_all_means_all(mlbloat: Mlbloat, directory: Path, image: str) -> None:
    mlbloat("scan", image)
    assert mlbloat("cache", "prune", "--all").exit == 0
    assert mlbloat("cache").stdout.endswith(": 0 layers, 0 B\n")


def test_no_cache_leaves_it_alone(mlbloat: Mlbloat, directory: Path, image: str) -> None:
    assert mlbloat("scan", image, "--no-cache").exit == 0
    assert not directory.exists()


def test_all_and_a_size_contradict_each_other(mlbloat: Mlbloat, directory: Path) -> None:
    ended = mlbloat("cache", "prune", "--all", "--max-size", "1GB")
    assert (ended.exit, ended.stdout) == (2, "")
    assert "give one of them" in ended.stderr


def test_a_cache_that_cannot_be_used_is_an_error_with_two_ways_out(
    mlbloat: Mlbloat, tmp_path: Path, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLBLOAT_CACHE_DIR", str(tmp_path / "file"))
    ended = mlbloat("scan", image)
    assert ended.exit == 1
    assert "MLBLOAT_CACHE_DIR" in ended.stderr and "--no-cache" in ended.stderr
    assert mlbloat("scan", image, "--no-cache").exit == 0
