"""A slim image is the original less files: what other tools lose is there, by our own runs and by another reader.

The probe does what SlimToolkit, mint and BLAFS were seen to get wrong: look-ups without opening, relative names, names
that begin alike, directories that are only listed or only exist, hard links, modes and owners, files that runs write.
"""

import os
import stat
from pathlib import Path

import pytest

from mlbloat import pipeline
from mlbloat.image import load, squash
from mlbloat.model.use import Level
from mlbloat.model.workload import Expect, Run, Workload
from mlbloat.pipeline import Request
from mlbloat.slim import SlimOptions
from mlbloat.slim.compress import Method
from tests.support import engines, images, sandbox
from tests.support.images import Device, Fifo, Member, Members, Value
from tests.support.otherreader import read, unpacked
from tests.support.trees import Hard, Link

PROBE = """#!/bin/sh
cd /app
cat opened via-link
stat -c '%n %s %a' /app/stat-absolute stat-relative
test -e access-absolute && echo access absolute
[ -r access-relative ] && echo access relative
test -e flag && echo flag
test -e flag.txt && echo flag.txt
readlink lib
readlink lib64
test -d empty && test -d /var/log && echo directories
test "$1" != names || ls plugins
stat -c '%n %h %a %u:%g %Y' one two locked owned
cat /app/missing 2>/dev/null || echo missing
echo more >> rewritten
echo new > created
cat rewritten
"""
APP: Members = {
    "/app": Member(value=None, mode=0o750, mtime=1577836800),
    "/app/probe": PROBE,
    "/app/opened": "opened\n",
    "/app/target": "by link\n",
    "/app/via-link": Link("target"),
    "/app/stat-absolute": "12345",
    "/app/stat-relative": "123",
    "/app/access-absolute": "a",
    "/app/access-relative": "b",
    "/app/flag": "c",
    "/app/flag.txt": "d",
    "/app/lib": Link("nowhere"),
    "/app/lib64": Link("elsewhere"),
    "/app/empty": None,
    "/var": None,
    "/var/log": None,
    "/app/plugins": None,
    "/app/plugins/one.py": "print(1)\n",
    "/app/plugins/two.py": "print(2)\n",
    "/app/one": "linked\n",
    "/app/two": Hard("/app/one"),
    "/app/locked": Member(value=None, mode=0o700),
    "/app/owned": Member(value="o", mode=0o640, uid=1234, gid=1235, mtime=1577836800),
    "/app/rewritten": "before\n",
    "/app/unused": "x" * 4000,
}
ODD: Members = {
    "/odd": Member(value=None, mode=0o1777, uid=5, gid=6, mtime=1e9),
    "/odd/set-id": Member(value=b"\x7fELF", mode=0o6755, uid=7, xattrs={"user.note": b"kept"}),
    "/odd/pipe": Fifo(),
    "/odd/null": Device(1, 3),
    "/odd/two words \n \udcff": "odd",
    "/odd/" + "long" * 50: "long",
    "/odd/empty": "",
    "/odd/again": Hard("/odd/set-id"),
    "/odd/gone": "gone",
}


def original(directory: Path) -> Path:
    shell = sandbox.shell_files("/bin/sh", "/bin/cat", "/usr/bin/stat", "/bin/ls", "/usr/bin/readlink")
    files: dict[str, Value] = {**shell, **dict(APP)}
    layers: list[Members] = [named(files), named(ODD), {"/app/late": Hard("/app/one"), "/odd/zero": b"\0" * 100_000}]
    config = {"Cmd": ["/app/probe"], "Env": ["PATH=/bin:/usr/bin"]}
    return images.oci_archive(directory / "original.tar", layers, config=config)


def named(files: Members) -> Members:
    """With every directory: one that no layer names gets the time of unpacking."""
    paths = dict(files)
    above = {str(parent) for path in paths for parent in Path(path).parents} - {"/"}
    directories: Members = {path: None for path in sorted(above) if path not in paths}
    return dict(directories) | paths


@pytest.mark.sandbox
@pytest.mark.parametrize(("level", "args"), [(Level.TRACED, ("names",)), (Level.SAFE, ())])
def test_the_probe_prints_byte_for_byte_what_it_prints_on_the_original(
    tmp_path: Path, level: Level, args: tuple[str, ...]
) -> None:
    archive = original(tmp_path)
    expect = Expect(stdout="directories\n" + "one.py\ntwo.py\n" * bool(args), same=("stdout", "stderr"))
    run = Run(name="probe", run=("/app/probe", *args), expect=expect)
    asked = Request(
        reference=str(archive),
        workload=Workload(profile=(run,)),
        keep=level,
        engine=sandbox.engine("embedded").name,
    )
    result = pipeline.slim(asked, f"oci-archive:{tmp_path}/slim.tar")
    assert result.report.verdict is not None
    assert result.report.verdict.runs[0].differences == ()
    assert result.failure == ""
    (tmp_path / "work").mkdir()
    slim = squash(load(str(tmp_path / "slim.tar"), tmp_path / "work"))
    # What the run wrote is not in the image, nor are files that were not there.
    assert slim.read(slim["/app/rewritten"]) == b"before\n"
    assert "/app/created" not in slim and "/app/missing" not in slim
    assert ("/app/unused" in slim) is (level is Level.SAFE)  # the application's own files stay at safe
    assert "/usr/share/never" not in slim
    # A listed file is whole or not there, never an empty stand-in.
    assert all(slim[path].size_bytes for path in slim if path.startswith("/app/plugins/"))


@pytest.mark.engine
@pytest.mark.parametrize(
    "options",
    [SlimOptions(), SlimOptions(squash=True), SlimOptions(method=Method("gzip", 9)), SlimOptions(cut_metadata=False)],
)
def test_skopeo_and_umoci_read_the_original_less_files(tmp_path: Path, options: SlimOptions) -> None:
    if os.geteuid():
        engines.missing("umoci makes devices and owners only as root")
    archive = original(tmp_path)
    keep = Workload(keep=("/odd/set-id", "/odd/two*", "/odd/long*", "/odd/empty", "/odd/zero"))
    asked = Request(reference=str(archive), workload=keep)
    assert pipeline.slim(asked, f"oci-archive:{tmp_path}/slim.tar", wanted=options).failure == ""
    before, after = (
        read(unpacked(f"oci-archive:{tmp_path}/{name}.tar", tmp_path / name)) for name in ("original", "slim")
    )
    gone = before.keys() - after.keys()
    assert {path: after[path] for path in after} == {path: before[path] for path in after}
    assert {"/odd/gone", "/usr/share/never"} <= gone
    assert {before[path][0] for path in gone} == {stat.S_IFREG}
    assert [before[path][0] for path in ("/odd/null", "/odd/pipe")] == [stat.S_IFCHR, stat.S_IFIFO]
    assert before["/app"][:2] == (stat.S_IFDIR, 0o750)
    assert after["/odd/set-id"][1] == 0o6755
