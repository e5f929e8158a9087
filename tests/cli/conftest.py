"""The command line, called in this process."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mlbloat import cli, pipeline
from mlbloat.model.report import Report
from mlbloat.report import json
from mlbloat.slim import SlimOptions
from tests.support import images, reports
from tests.support.elf import elf_file


@dataclass(frozen=True)
class Ended:
    exit: int
    stdout: str
    stderr: str


Mlbloat = Callable[..., Ended]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MLBLOAT_") and name != "MLBLOAT_CACHE_DIR"]:
        monkeypatch.delenv(name)


@pytest.fixture
def mlbloat(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Mlbloat:
    """Call `mlbloat` with these words, as the installed program does."""

    def call(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["mlbloat", *map(str, words)])
        status = cli._run()
        said = capsys.readouterr()
        return Ended(status, said.out, said.err)

    return call


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An archive of an image with one program, one library that it needs, and one file that nothing does."""
    program = elf_file(needed=("libneeded.so",), interpreter="/lib64/ld-linux-x86-64.so.2")
    files: dict[str, images.Value] = {
        "/usr/bin/tool": program,
        "/usr/lib/libneeded.so": elf_file(soname="libneeded.so"),
        "/usr/share/never": "never read\n",
    }
    return images.oci_archive(tmp_path / "app.tar", [files], config={"Cmd": ["/usr/bin/tool", "-v"]})


@pytest.fixture
def report_file(tmp_path: Path) -> Path:
    """A saved report: 60 of 100 bytes are used."""
    path = tmp_path / "saved.json"
    path.write_text(json.render(reports.report()))
    return path


@dataclass
class Asked:
    """What the pipeline was asked for, and what it answers."""

    calls: list[pipeline.Request]
    report: Report
    failure: str = ""
    error: BaseException | None = None
    wanted: list[SlimOptions] = field(default_factory=list)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A pipeline that only remembers what it was asked for."""
    state = Asked([], reports.slimmed())

    def ask(request: pipeline.Request) -> None:
        state.calls.append(request)
        if state.error is not None:
            raise state.error

    def scan(request: pipeline.Request, talk: pipeline.Talk) -> Report:
        ask(request)
        return state.report

    def slim(
        request: pipeline.Request, to: str, talk: pipeline.Talk, *, wanted: SlimOptions | None = None
    ) -> pipeline.Slimmed:
        ask(request)
        wanted = wanted or SlimOptions()
        state.wanted.append(wanted)
        dockerfile = wanted.dockerfile
        return pipeline.Slimmed(
            report=state.report,
            failure=state.failure,
            dockerfile={dockerfile: "FROM original\n", f"{dockerfile}.removed": "/never\n"} if dockerfile else {},
            sbom="{}\n" if wanted.sbom else "",
            prefetch=("/app/main", "/lib/libc.so.6"),
        )

    def trace(request: pipeline.Request, talk: pipeline.Talk) -> bytes:
        ask(request)
        return b"a profile\n"

    monkeypatch.setattr(pipeline, "scan", scan)
    monkeypatch.setattr(pipeline, "slim", slim)
    monkeypatch.setattr(pipeline, "trace", trace)
    return state
