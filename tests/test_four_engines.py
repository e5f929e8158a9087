"""The same workload needs the same files of an image, whichever engine runs it and whatever records it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from mlbloat.image import load, squash
from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.image import Image
from mlbloat.model.use import Level, RunRecord
from mlbloat.model.workload import Run
from mlbloat.packages import take_inventory
from mlbloat.runtime import unpack
from mlbloat.usage import static
from mlbloat.usage import trace as tracing
from tests.support import images, runnable, sandbox
from tests.support.trees import Link

pytestmark = pytest.mark.engine

_MAIN = """#!/bin/sh
cd /app
cat data/read
cat by-link
test -e only-looked-at && echo there
test -e missing || echo missing
ls plugins
. ./part.sh
echo new > /tmp/new
"""
_ONLY_LOOKED_AT = {"/app/only-looked-at"}
_BY_THE_ENGINE = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/passwd", "/etc/group"}
"""Engines read accounts, and put names of their own over the image's, before anything of the image runs."""


@dataclass(frozen=True)
class Needed:
    record: RunRecord
    traced: set[str]
    safe: set[str]


def _needed(name: str, image: Image, tree: FileTree, space: Path) -> Needed:
    engine, _, tracer = name.partition(" ")
    space.mkdir()
    rootfs = space / "rootfs"
    unpack(tree, rootfs)
    run = Run(name="main", run=("/app/main",))
    record = tracing.trace(run, image.config, tree, rootfs, space, sandbox.engine(engine), tracer or "auto")
    uses = tracing.uses_of((record,), tree, image.config)
    followed = static.follow(tree, take_inventory(tree), image.config, uses, (("/app/main",),))
    files = {path for path in tree if tree[path].kind is Kind.FILE} - _BY_THE_ENGINE
    traced = {use.path for use in uses if use.level is Level.TRACED or use.pinned} & files
    return Needed(record, traced, {use.path for use in followed if use.level <= Level.SAFE} & files)


@pytest.fixture(scope="module")
def needed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Needed]:
    space = tmp_path_factory.mktemp("four")
    layer: dict[str, images.Value] = {
        **sandbox.shell_files("/bin/sh", "/bin/cat", "/bin/ls", "/usr/bin/test"),
        "/app/main": _MAIN,
        "/app/data/read": "read\n",
        "/app/data/unread": "never\n",
        "/app/target": "by link\n",
        "/app/by-link": Link("target"),
        "/app/only-looked-at": "",
        "/app/part.sh": "echo part\n",
        "/app/plugins/one": "",
        "/app/plugins/two": "",
        "/etc/passwd": "root:x:0:0::/:/bin/sh\n",
        "/usr/share/unread/data": "never\n",
        "/var/lib/dpkg/status": runnable.PACKAGE,
        "/var/lib/dpkg/info/unread.list": runnable.FILE_LIST,
    }
    config = {"Env": ["PATH=/usr/bin:/bin"], "Cmd": ["/app/main"]}
    image = load(str(images.oci_archive(space / "app.tar", [layer], config=config)), space)
    tree = squash(image)
    names = ("embedded", "runc", "docker", "podman", "embedded strace", "runc strace")
    return {name: _needed(name, image, tree, space / name) for name in names}


def test_it_does_the_same_everywhere(needed: dict[str, Needed]) -> None:
    said = {(each.record.exit, each.record.stdout) for each in needed.values()}
    assert said == {(0, b"read\nby link\nthere\nmissing\none\ntwo\npart\n")}
    assert {name: each.record.tracer for name, each in needed.items()} == {
        "embedded": "seccomp",
        "runc": "seccomp",
        "docker": "fanotify",
        "podman": "fanotify",
        "embedded strace": "strace",
        "runc strace": "strace",
    }


def test_what_it_needs_is_the_same(needed: dict[str, Needed]) -> None:
    assert {name for name, each in needed.items() if each.safe != needed["runc"].safe} == set()
    assert "/usr/share/unread/data" not in needed["runc"].safe


def test_what_was_seen_is_the_same_but_for_what_fanotify_cannot_see(needed: dict[str, Needed]) -> None:
    complete = needed["runc"].traced
    for name in ("embedded", "embedded strace", "runc strace"):
        assert needed[name].traced == complete
    assert complete >= _ONLY_LOOKED_AT
    for engine in ("docker", "podman"):
        assert complete - needed[engine].traced == _ONLY_LOOKED_AT
        assert needed[engine].traced <= complete
