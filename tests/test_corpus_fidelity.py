"""Every access of a real image's program is in its profile, by what strace sees of the same program from outside."""

import codecs
import os
import posixpath
import re
import subprocess
from pathlib import Path

import pytest

from mlbloat import runtime
from mlbloat.image import load, squash
from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Action
from mlbloat.model.workload import Run
from mlbloat.usage import trace as tracing
from tests.support import engines, sandbox

pytestmark = [pytest.mark.corpus, pytest.mark.engine]

_NAME = next((name for name in os.environ.get("MLBLOAT_CORPUS", "").split() if "/fidelity:" in name), "")
_COMMAND = ("/usr/bin/env", "-C", "/app", "python3", "/app/main.py")
_CALL = re.compile(r"\d+ +(\w+)\((.*)")
_STRING = r'"((?:[^"\\]|\\.)*)"'
_AT = re.compile(rf"(?:AT_FDCWD|\d+)<([^>]*)>, {_STRING}")
_PLAIN = re.compile(_STRING)
_OPEN = re.compile(r"\d+<([^>]*)>")


@pytest.mark.parametrize("engine_name", ["embedded", "runc"])
def test_every_access_of_the_program_is_in_the_profile(engine_name: str, tmp_path: Path) -> None:
    if not _NAME:
        engines.missing("MLBLOAT_CORPUS names no image corpus/fidelity")
    image = load(f"docker:{_NAME}", tmp_path)
    tree = squash(image)
    rootfs, scratch = tmp_path / "rootfs", tmp_path / "scratch"
    scratch.mkdir()
    runtime.unpack(tree, rootfs)
    (rootfs / "etc/hosts").write_text("127.0.0.1\tlocalhost\n")  # as engines do
    record = tracing.trace(
        Run(name="look", run=_COMMAND), image.config, tree, rootfs, scratch, sandbox.engine(engine_name)
    )
    assert (record.exit, record.tracer) == (0, "seccomp")
    used, output = _by_strace(rootfs, image.config, tmp_path / "calls")
    assert record.stdout == output
    named = {(posixpath.normpath(access.path), access.action is Action.LISTED) for access in record.accesses}
    assert used - named == set()
    # The program says itself what it does; that the oracle sees it shows that it sees.
    looked_at = "stat-only access-only relative-only flag flag.txt chain dangling first owned pipe holes".split()
    assert {(f"/app/data/{name}", False) for name in looked_at} <= used
    assert {("/app/data", True), ("/app/plugins", True), ("/app/empty", True)} <= used
    assert {
        ("/app/private", False),
        ("/app/later", False),
        ("/usr/local/bin/ls-cap", False),
        ("/app/tool", False),
    } <= used
    assert len(used) > 200


def _by_strace(rootfs: Path, config: ImageConfig, calls: Path) -> tuple[set[tuple[str, bool]], bytes]:
    """Return each name that the program uses and whether as a listing, and what it prints."""
    into = (engines.program("chroot"), f"--userspec={config.user}", rootfs)
    watch = (engines.program("strace"), "-f", "-y", "-s", "4096", "-e", "trace=%file,getdents64", "-o", calls)
    environment = dict(config.environment)
    done = subprocess.run((*watch, *into, *_COMMAND), env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    return _names(calls.read_text(), str(rootfs)), done.stdout


def _names(text: str, root: str) -> set[tuple[str, bool]]:
    found = set()
    here, begun = "/", False
    for line in text.splitlines():
        match = _CALL.match(line)
        begun = begun or f'execve("{_COMMAND[0]}"' in line
        if match is None or not begun:
            continue
        call, words = match.groups()
        if call.startswith("getdents"):
            listed = _OPEN.match(words)
            assert listed is not None, line
            found.add((_inside(listed[1], root), True))
            continue
        at = _AT.match(words)
        start, name = (_inside(at[1], root), at[2]) if at else (here, _first(words))
        path = posixpath.normpath(posixpath.join(start, _decoded(name))) if name else ""
        if path and not path.startswith(("/proc/", "/dev/", "/sys/")):
            found.add((path, False))
        if call == "chdir":
            here = path  # only the first process does, before it starts others
    return found


def _first(words: str) -> str:
    match = _PLAIN.match(words)
    return match[1] if match else ""


def _decoded(name: str) -> str:
    return os.fsdecode(codecs.escape_decode(name.encode())[0])


def _inside(path: str, root: str) -> str:
    return path.removeprefix(root) or "/"
