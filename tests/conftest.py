"""No test reads or fills the cache of the user who runs it."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path_factory.getbasetemp() / "cache-of-tests"
    monkeypatch.setenv("MLBLOAT_CACHE_DIR", str(directory))
    return directory
