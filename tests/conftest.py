"""What holds for every test: no cache of the user who runs it, and Ctrl-C as in a terminal."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.leftovers import leftovers

__all__ = ["leftovers"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs so; tests of interrupts need what people have.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an input takes depends on what else the machine does; in CI the inputs are the same each time.
settings.register_profile(
    "tests", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("tests")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path_factory.getbasetemp() / "cache-of-tests"
    monkeypatch.setenv("MLBLOAT_CACHE_DIR", str(directory))
    return directory
