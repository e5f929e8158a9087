"""What real readers do with odd layers: umoci for the rules of the specification, docker for those of overlayfs.

Not in the table, because the two differ: umoci applies all layers to one directory, and so follows a link of a lower
layer where an overlay hides it (`test_squash.py` says what we do).
"""

import io
import os
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest

from mlbloat.image import load, squash
from tests.image.test_engines import disk_lines, tree_lines
from tests.support import images
from tests.support.engines import docker_client, program
from tests.support.images import OPAQUE, WHITEOUT, Device, Fifo, Member, Members
from tests.support.trees import Hard, Link

pytestmark = pytest.mark.engine

ODD: dict[str, list[Members]] = {
    "the last of one name wins": [[("/f", b"1"), ("/f", b"22"), ("/d", None), ("/d", b"file")]],
    "a directory comes twice": [
        [("/d", Member(value=None, mode=0o700)), ("/d/f", b"x"), ("/d", Member(value=None, mode=0o711))]
    ],
    "a link becomes a directory": [[("/u/f", b"x"), ("/s", Link("u")), ("/s", None), ("/s/g", b"g")]],
    "a directory becomes a link": [{"/d/f": b"x"}, {"/d": Link("elsewhere")}],
    "a file becomes a directory": [{"/d": b"x"}, {"/d": None, "/d/f": b"y"}],
    "a member is below a link of its layer": [{"/u": None, "/s": Link("u"), "/s/f": b"x", "/s/d/e": b"y"}],
    "a link points above the root": [{"/u": None, "/s": Link("../../../u"), "/s/f": b"x"}],
    "a link points to a path of the root": [{"/u": None, "/a": Link("/u"), "/a/g": b"y"}],
    "a link points to itself": [{"/a": Link("a"), "/b": Link("c"), "/c": Link("b")}],
    "a hard link to a link": [{"/f": b"x", "/s": Link("f"), "/h": Hard("/s")}],
    "a hard link through a link": [{"/u/f": b"x", "/s": Link("u"), "/h": Hard("/s/f")}],
    "a hard link to a hard link": [{"/f": Member(value=b"x", mode=0o4755), "/g": Hard("/f"), "/h": Hard("/g")}],
    "a hard link into a lower layer": [{"/f": b"x"}, {"/g": Hard("/f")}],
    "a hard link outlives its name": [{"/f": b"x", "/g": Hard("/f")}, {"/f": WHITEOUT}],
    "a hard link is parted": [{"/f": b"x", "/g": Hard("/f")}, {"/f": b"other"}],
    "a whiteout of what never was": [{"/d": None}, {"/d/never": WHITEOUT}],
    "a whiteout in the lowest layer": [{"/d": None, "/d/never": WHITEOUT}],
    "a whiteout before its own file": [{"/f": b"old"}, [("/f", WHITEOUT), ("/f", b"new")]],
    "a whiteout after its own file": [{"/f": b"old"}, [("/f", b"new"), ("/f", WHITEOUT)]],
    "a whiteout of a directory that comes back": [{"/d/old": b"x"}, [("/d", WHITEOUT), ("/d", None), ("/d/new", b"n")]],
    "an opaque directory": [{"/d": None, "/d/a": b"a", "/d/s/b": b"b"}, [("/d", None), ("/d/n", b""), ("/d", OPAQUE)]],
    "an opaque directory inside one": [{"/d": None, "/d/e/a": b""}, {"/d": OPAQUE, "/d/e": OPAQUE, "/d/e/n": b"n"}],
    "whiteouts of many layers": [{"/f": b"1"}, {"/f": WHITEOUT}, {"/f": b"3"}, {"/f": WHITEOUT}, {"/f": b"5"}],
    "a hard link into the bookkeeping of AUFS": [{"/.wh..wh.plnk/1.2": b"x", "/f": Hard("/.wh..wh.plnk/1.2")}],
    "names that look like whiteouts": [{"/a.wh.b": b"x", "/wh.c": b"y"}],
    "parents that nobody made": [{"/a/b/c/d": b"x"}],
    "nodes": [{"/n": Device(1, 3), "/b": Device(7, 0, block=True), "/p": Fifo()}, {"/n": b"file", "/p": Device(1, 5)}],
    "the root has a mode": [{"/": Member(value=None, mode=0o755), "/f": b"x"}],
    "an empty layer": [{}, {"/f": b"x"}, {}],
    "owners and bits": [{"/f": Member(value=b"", mode=0o6711, uid=3, gid=4), "/d": Member(value=None, mode=0o1777)}],
    "names that are not UTF-8": [{os.fsdecode(b"/caf\xe9"): b"x"}, {os.fsdecode(b"/caf\xe9"): WHITEOUT, "/é": b"y"}],
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_odd_layers_make_the_tree_that_umoci_unpacks(tmp_path: Path, case: str) -> None:
    path = images.oci_dir(tmp_path / "layout", ODD[case], compression="none", tag="v1")
    ours = tree_lines(squash(load(f"oci-dir:{path}:v1", tmp_path / "w")))
    words = [program("umoci"), "raw", "unpack", "--image", f"{path}:v1", str(tmp_path / "root")]
    subprocess.run(words, check=True, capture_output=True)
    assert ours == disk_lines(tmp_path / "root")


def test_odd_layers_make_the_tree_that_docker_runs(tmp_path: Path) -> None:
    """One image with everything that docker takes."""
    layers: list[Members] = [
        {
            "/a": b"x",
            "/.wh..wh.plnk/12.34": b"",
            "/.wh..wh.aufs": b"",
            "/d": None,
            "/d/old": b"o",
            "/t": None,
            "/t/f": b"",
            "/l": Link("d"),
            "/k": b"k",
        },
        {"/a": Device(0, 0), "/d": OPAQUE, "/d/new": b"n", "/t": b"file", "/l": None, "/l/g": b"g", "/k": WHITEOUT},
        {"/h": b"h", "/i": Hard("/h"), "/m": Member(value=b"", mode=0o4711, uid=5), "/k": None},
    ]
    name = f"mlbloat-test/odd:{os.getpid()}"
    path = images.docker_archive(tmp_path / "d.tar", layers, config={"Cmd": ["x"]}, tag=name)
    client = docker_client()
    try:
        with path.open("rb") as stream:
            client.images.load(stream)
        container = client.containers.create(name)
        exported = b"".join(cast(Iterable[bytes], container.export()))
        container.remove()
        client.images.remove(name, force=True)
    finally:
        client.close()
    added = {".dockerenv", "dev", "etc", "proc", "sys"}
    with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
        found = {f"/{m.name}": m.mode & 0o7777 for m in tar if m.name.split("/")[0] not in added}
    tree = squash(load(str(path), tmp_path / "w"))
    assert {entry.path: entry.mode for entry in tree.values() if entry.path != "/"} == found
