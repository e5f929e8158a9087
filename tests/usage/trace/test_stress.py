"""Many accesses: none is lost, and what is kept of them has an end."""

from pathlib import Path

import pytest

from mlbloat.model.use import Action
from mlbloat.usage.trace import notes
from mlbloat.usage.trace.notes import Notes
from mlbloat.usage.trace.seccomp import Recorder
from tests.support import sandbox
from tests.support.sandbox import HOST, python

_CALLS = 100_000


@pytest.mark.sandbox
def test_of_a_hundred_thousand_calls_none_is_lost(tmp_path: Path) -> None:
    recorder = Recorder()
    code = f"""
import os
for number in range({_CALLS}): os.access(f"/c/{{number}}", os.F_OK)
"""
    outcome = sandbox.engine("embedded").run(python(code, timeout_seconds=300), HOST, tmp_path, recorder)
    assert (outcome.exit, outcome.stderr) == (0, b"")
    named = [access.path for access in recorder.accesses() if access.path.startswith("/c/")]
    assert named == [f"/c/{number}" for number in range(_CALLS)]


def test_names_without_end_are_kept_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "MAX_ACCESSES", 3)
    kept = Notes()
    for number in range(10):
        kept.add(b"/%d" % number, Action.OPENED)
        kept.add(b"/%d" % number, Action.OPENED)
    assert [access.path for access in kept.accesses()] == ["/0", "/1", "/2"]
    assert kept.flags() == ("it named more than 3 distinct paths; the rest was not recorded",)


def test_long_names_without_end_are_kept_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "_MAX_BYTES", 1000)
    kept = Notes()
    for number in range(10):
        kept.add(b"/%d" % number + b"x" * 400, Action.OPENED)
    assert len(kept.accesses()) == 2
    assert kept.full
