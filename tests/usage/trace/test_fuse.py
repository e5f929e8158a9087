"""The file system that mlbloat is for a run: the same files as the image's, read-only, each name noted."""

import os
import struct
from pathlib import Path

import pytest

from mlbloat.errors import EngineError
from mlbloat.model.use import Action
from mlbloat.runtime import embedded, unpack
from mlbloat.usage.trace import fuse, fusewire
from tests.support import sandbox
from tests.support.sandbox import container
from tests.support.trees import Hard, Link, tree_of


def test_messages_have_the_sizes_that_the_kernel_wants() -> None:
    state = Path("/").stat()
    assert len(fusewire.entry(1, state)) == len(fusewire.NO_ENTRY) == 128
    assert len(fusewire.attributes(state)) == 104
    assert len(fusewire.opened(1)) == 16
    assert len(fusewire.statistics(os.statvfs("/"))) == 80
    assert len(fusewire.initialised(struct.pack("=IIII", 7, 40, 1 << 20, 0xFFFF_FFFF))) == 64
    assert len(fusewire.directory_entry(b"a", 1, 0o100000, 1)) == 32
    assert fusewire.header(7, 4, 2) == struct.pack("=IiQ", 20, -2, 7)


def test_a_request_is_read_as_far_as_it_says() -> None:
    message = struct.pack("=IIQQIIIHH", 44, 1, 9, 1, 0, 0, 0, 0, 0) + b"etc\0" + b"older bytes"
    asked = fusewire.asked(message)
    assert (asked.operation, asked.number, asked.node, fusewire.name_in(asked.body)) == (1, 9, 1, b"etc")


@pytest.mark.sandbox
def test_a_run_sees_the_image_and_may_change_its_own_view(tmp_path: Path) -> None:
    engine = sandbox.engine("embedded")
    if fuse.problem() or embedded.isolations()[0] != "root":
        assert sandbox.in_chroot() or not Path("/dev/fuse").exists()
        return
    large = bytes(range(256)) * 20_000
    files: dict[str, bytes | str | None] = {
        "/d/file": "one\n",
        "/d/hard": Hard("/d/file"),
        "/d/link": Link("file"),
        "/d/large": large,
        "/d/run": "#!/bin/sh\ncat /d/link\n",
        **{f"/many/{number:04}": "" for number in range(3000)},
    }
    root = tmp_path / "root"
    unpack(sandbox.shell_tree(files), root)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    script = """
set -e
/d/run; cat /d/hard /d/large; echo two >> /d/file; cat /d/file; set -- /many/*; echo $#
test -e /nowhere || echo no
"""
    recorder = fuse.Recorder()
    outcome = engine.run(container("/bin/sh", "-c", script, directory="/"), root, scratch, recorder)
    assert (outcome.exit, outcome.stderr) == (0, b"")
    assert outcome.stdout == b"one\none\n" + large + b"one\ntwo\n3000\nno\n"
    assert (root / "d" / "file").read_text() == "one\n"
    assert list(scratch.iterdir()) == []
    accesses = {(access.path, access.action) for access in recorder.accesses()}
    assert {
        ("/d/run", Action.EXECUTED),
        ("/d/link", Action.LOOKED_UP),
        ("/d/file", Action.OPENED),
        ("/d/large", Action.OPENED),
        ("/many", Action.LISTED),
        ("/nowhere", Action.LOOKED_UP),
    } <= accesses
    assert not any(path.startswith("/many/") for path, _ in accesses)


def test_fuse_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlbloat.usage.trace.fuse._DEVICE", "/nowhere/fuse")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert fuse.problem().startswith("/nowhere/fuse cannot be opened (No such file or directory)")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert fuse.problem().startswith("it needs root")


@pytest.mark.sandbox
def test_a_server_that_ends_early_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = sandbox.engine("embedded")
    if fuse.problem() or embedded.isolations()[0] != "root":
        assert sandbox.in_chroot() or not Path("/dev/fuse").exists()
        return

    def nothing(self: object, asked: fusewire.Asked) -> tuple[bytes, ...]:
        raise RuntimeError(f"no answer to {asked.operation}")

    monkeypatch.setattr(fuse._Files, "answer", nothing)
    monkeypatch.setattr("threading.excepthook", lambda arguments: None)
    unpack(tree_of({"/x": ""}), tmp_path / "root")
    (tmp_path / "scratch").mkdir()
    with pytest.raises(EngineError):
        engine.run(container("/x"), tmp_path / "root", tmp_path / "scratch", fuse.Recorder())
    assert list((tmp_path / "scratch").iterdir()) == []
