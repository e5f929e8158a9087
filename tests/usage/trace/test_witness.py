"""The second pair of eyes: what one tracer saw and the other did not."""

from pathlib import Path

import pytest

from mlbloat import runtime
from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Access, Action, RunRecord
from mlbloat.model.workload import Run
from mlbloat.usage.trace import fanotify, trace, tracers, witness
from tests.support import sandbox
from tests.support.trees import Link, tree_of

_CONFIG = ImageConfig(document=b"{}", environment=(("PATH", "/bin"),))


def _record(*accesses: Access) -> RunRecord:
    return RunRecord(
        name="r", engine="e", tracer="t", seconds=1.0, exit=0, stdout=b"", stderr=b"", accesses=accesses
    )  # fmt: skip


def _opened(*paths: str) -> tuple[Access, ...]:
    return tuple(Access(path, Action.OPENED) for path in paths)


def test_a_file_that_nobody_named_is_a_hole() -> None:
    tree = tree_of({"/data/file": "1", "/data/unseen": "2", "/bin/run": "#!/bin/sh\n", "/bin/sh": "s", "/d": None})
    record = _record(Access("/data/../data/file", Action.LOOKED_UP), Access("/bin/run", Action.EXECUTED))
    seen = _opened("/data/file", "/data/unseen", "/bin/sh", "/made/by/the/run", "/d")
    assert witness.holes(seen, record, tree, _CONFIG) == _opened("/data/unseen")
    (flag,) = witness.flags(_opened("/data/unseen"))
    assert flag.startswith("it opened files in a way that the tracer did not see, /data/unseen: ")
    assert witness.flags(()) == ()


def test_what_lies_behind_a_link_that_was_named_is_none() -> None:
    tree = tree_of({"/data/file": "1", "/link": Link("data/file")})
    assert witness.holes(_opened("/data/file"), _record(*_opened("/link")), tree, _CONFIG) == ()


@pytest.mark.sandbox
@pytest.mark.parametrize("blind", [False, True], ids=["every call", "no openat"])
def test_a_call_that_no_filter_stops_at_is_noticed(
    blind: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sandbox.engine("embedded")
    if fanotify.problem():
        assert sandbox.in_chroot()
        return
    start = tracers.recorder

    def without_openat(tracer: object) -> tracers.Tracing:
        recorder = start(tracers.choose("seccomp"))
        if blind:
            vars(recorder)["calls"] = recorder.calls - {"openat", "openat2"}
        return recorder

    monkeypatch.setattr(tracers, "recorder", without_openat)
    # Such a name is also that of what the sandbox is mounted on, whose own work is not the run's.
    tree = sandbox.shell_tree({"/app/run": "#!/bin/sh\nread x < /merged/file\n", "/merged/file": "1\n"})
    runtime.unpack(tree, tmp_path / "root")
    (tmp_path / "scratch").mkdir()
    record = trace(
        Run(name="all", run=("/app/run",)), _CONFIG, tree, tmp_path / "root", tmp_path / "scratch", engine
    )  # fmt: skip
    assert record.exit == 0
    assert "/merged/file" in {access.path for access in record.accesses}
    assert any("it opened files in a way that the tracer did not see" in flag for flag in record.flags) == blind
