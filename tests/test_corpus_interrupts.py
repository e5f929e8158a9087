"""Ctrl-C while a large image is slimmed: the tag names what it named, and nothing of the attempt is left.

    MLBLOAT_CORPUS=corpus/torch-train:1 .venv/bin/pytest -sm corpus tests/test_corpus_interrupts.py

The profiles are those of `tests/test_corpus_out.py`; the moments are random, and printed.
"""

import os
import random
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlbloat.model import label
from mlbloat.slim import parse_destination, publish
from tests.support import distribution, engines, runnable
from tests.support.leftovers import below

pytestmark = [pytest.mark.corpus, pytest.mark.engine]

_NAMES = os.environ.get("MLBLOAT_CORPUS", "").split() or [""]
_LONGEST_SECONDS = float(os.environ.get("MLBLOAT_CORPUS_MOMENT", "8"))
"""After a stage began; about as long as it takes."""
_SETTLED_SECONDS = 20
"""What an engine does with that which it was sent would be done by then."""
_PROGRAM = """
import os, signal, sys, threading
from mlbloat.cli import talk
stage, (wanted, seconds) = talk.Talker.stage, (sys.argv.pop(1), float(sys.argv.pop(1)))
def begin(self, text):
    if text.startswith(wanted):
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
        timer.daemon = True
        timer.start()
    return stage(self, text)
talk.Talker.stage = begin
from mlbloat.__main__ import main
main()
"""


@dataclass(frozen=True)
class Place:
    destination: str
    state: Callable[[], object]
    """All that it holds."""


@contextmanager
def _place(scheme: str, directory: Path) -> Iterator[Place]:
    """Open a destination whose tag names another image."""
    tag = f"mlbloat-test/{uuid.uuid4().hex[:12]}:slim"
    if scheme == "registry":
        with distribution.running(directory) as registry:
            yield Place(f"registry:{registry.authority}/{tag}", lambda: _in_registry(registry, tag))
        return
    try:
        yield Place(f"{scheme}:{tag}", lambda: _in_engine(scheme, tag))
    finally:
        subprocess.run((engines.program(scheme), "rmi", "--force", tag), check=True, capture_output=True)


def _in_registry(registry: distribution.Distribution, tag: str) -> object:
    """Its tag and begun uploads; whole blobs that no manifest names are the registry's to collect."""
    name, _, version = tag.partition(":")
    request = urllib.request.Request(f"http://{registry.authority}/v2/{name}/manifests/{version}")
    request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json")
    with urllib.request.urlopen(request) as answer:
        held = answer.headers["Docker-Content-Digest"]
    return held, sorted(path.name for path in registry.directory.rglob("_uploads/*"))


def _in_engine(engine: str, tag: str) -> object:
    """Its tag, and slim images without a name, which docker alone goes on to make when nobody waits any more."""
    program = engines.program(engine)
    held = _said(program, "image", "inspect", "--format", "{{.Id}}", tag)
    filters = ("--filter", "dangling=true", "--filter", f"label={label.ORIGINAL}")
    nameless = _said(program, "images", "--quiet", "--no-trunc", *filters).split()
    if engine == "docker" and nameless:
        print("\nwithout a name:", *_said(program, "rmi", *nameless).splitlines()[:1])
        nameless = []
    return held, nameless


def _said(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("scheme", ["registry", "docker", "podman"])
@pytest.mark.parametrize("name", _NAMES)
def test_an_interrupt_moves_no_tag_and_leaves_nothing(name: str, scheme: str, tmp_path: Path) -> None:
    profiles = os.environ.get("MLBLOAT_CORPUS_PROFILES")
    if not name or not profiles:
        engines.missing("MLBLOAT_CORPUS names no image, or MLBLOAT_CORPUS_PROFILES no directory of NAME.json")
    profile = Path(profiles, f"{name.rpartition('/')[2].partition(':')[0]}.json")
    runs = tmp_path / "runs.yaml"
    runs.write_text("verify: []\n")
    stages = ["writing the slim image", "comparing", *[f"writing {scheme}:"] * 3]
    moments = [(stage, random.uniform(0, _LONGEST_SECONDS)) for stage in stages]
    done = []
    with _place(scheme, tmp_path) as place:
        publish(_other(tmp_path), parse_destination(place.destination))
        before = place.state()
        for stage, seconds in moments:
            words = ("slim", f"docker:{name}", "-t", place.destination, "-w", runs, "--profile", profile)
            ended = _interrupted(tmp_path / "space", stage, seconds, *map(str, words))
            print(f"\n{place.destination}: '{stage}' + {seconds:.2f} s: exit {ended}", flush=True)
            if ended == 0:  # it was faster
                continue
            time.sleep(_SETTLED_SECONDS)
            assert (ended, place.state()) == (130, before), (stage, seconds)
            done.append(stage)
    assert stages[0] in done


def _other(directory: Path) -> Path:
    """Write another image as a layout."""
    archive = runnable.archive(directory / "other.tar")
    (directory / "other").mkdir()
    _said("tar", "--extract", "--file", str(archive), "--directory", str(directory / "other"))
    return directory / "other"


def _interrupted(space: Path, stage: str, seconds: float, *words: str) -> int:
    """Run mlbloat until that long after a stage begins; returns how it ends."""
    space.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(space)}
    shared = _shared()
    ended = subprocess.run(
        (sys.executable, "-c", _PROGRAM, stage, str(seconds), *words), env=environment, capture_output=True, text=True
    )
    assert list(space.iterdir()) == [], ended.stderr
    assert _shared() <= shared
    return ended.returncode


def _shared() -> set[object]:
    """Processes, and mounts and files of this program and of podman: others may be of anybody.

    Podman binds its directory to itself while it works, for the next one to take away if it was ended.
    """
    points = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    mounts = {point for point in points if "mlbloat" in point or "/containers/storage/overlay/" in point}
    return {*mounts, *Path("/var/tmp").iterdir(), *below(os.getpid())}
