"""Blobs of layers: passed on where nothing changed, one or many, gzip or zstd, always the same bytes."""

import gzip
import json
import sys
from pathlib import Path

import pytest

from mlbloat.errors import BadImageError, PublishError, UsageError
from mlbloat.image import load, squash
from mlbloat.model.digest import Digest
from mlbloat.model.filetree import FileTree
from mlbloat.model.image import Image
from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.use import Level
from mlbloat.slim import SlimImage, make_plan, parse_method, write
from mlbloat.slim.compress import Method
from mlbloat.verify import compare
from tests.slim.stacks import blob, marks_keeping
from tests.support import images
from tests.support.images import WHITEOUT, Compression, Device, Fifo, Member, Members
from tests.support.trees import Hard, Link

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BASE: Members = {
    "/etc": Member(value=None, mode=0o750, uid=3, gid=4, mtime=7),
    "/etc/os-release": Member(value="ID=test\n", mtime=1580601600.25),
    "/opt": None,
    "/opt/tool": Member(value=b"\x7fELF tool" * 99, mode=0o4755, xattrs={"security.capability": b"\x01\0\0\x02"}),
    "/opt/twin": Hard("/opt/tool"),
    "/opt/odd \n \udcff name": "odd",
    "/opt/pipe": Fifo(),
    "/opt/null": Device(1, 3),
    "/opt/link": Link("tool"),
}
LAYERS: tuple[Members, ...] = (
    BASE,
    {"/app": None, "/app/main": "main", "/app/gone": "g", "/app/unused": "x" * 5000},
    {"/app/unused-too": "y", "/app/late": Hard("/opt/tool"), "/app/gone": WHITEOUT},
)
KEPT = ("/etc/os-release", "/opt/tool", "/opt/twin", "/app/late", "/opt/odd \n \udcff name", "/app/main")


def opened(directory: Path, compression: Compression = "gzip", name: str = "original") -> Image:
    path = images.oci_archive(directory / f"{name}.tar", LAYERS, compression=compression)
    (directory / name).mkdir()
    return load(f"oci-archive:{path}", directory / name)


def slimmed(image: Image, directory: Path, *kept: str, squashed: bool = False, method: str = "") -> SlimImage:
    tree = squash(image)
    plan = make_plan(image, tree, marks_keeping(tree, *(kept or KEPT)), Level.SAFE, squash=squashed)
    return write(image, plan, directory, method=parse_method(method))


def layers_of(slim: SlimImage) -> list[tuple[str, bytes]]:
    """Media type and content of the blobs."""
    index = json.loads((slim.directory / "index.json").read_bytes())
    manifest = json.loads(blob(slim.directory, index["manifests"][0]))
    return [(layer["mediaType"].rpartition(".")[2], blob(slim.directory, layer)) for layer in manifest["layers"]]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_layer_that_loses_nothing_keeps_its_blob_byte_for_byte(tmp_path: Path, compression: Compression) -> None:
    image = opened(tmp_path, compression)
    slim = slimmed(image, tmp_path / "layout")
    stored = [layer.blob.digest for layer in image.layers if layer.blob]
    assert [layer.unchanged for layer in slim.layers] == [True, False, False]
    assert slim.layers[0].digest == stored[0]
    assert slim.layers[1].digest not in stored
    assert slim.layers[0].compressed_bytes == image.layers[0].compressed_bytes


@pytest.mark.parametrize(
    ("source", "method", "written"),
    [
        ("gzip", "", ["tar+gzip"] * 3),
        ("zstd", "", ["tar+zstd"] * 3),
        ("none", "", ["tar+gzip"] * 3),
        ("gzip", "zstd", ["tar+zstd"] * 3),
        ("zstd", "gzip:9", ["tar+gzip"] * 3),
        ("none", "zstd:19", ["tar+zstd"] * 3),
    ],
)
def test_the_media_type_says_what_the_blob_is(
    tmp_path: Path, source: Compression, method: str, written: list[str]
) -> None:
    image = opened(tmp_path, source)
    slim = slimmed(image, tmp_path / "layout", method=method)
    found = layers_of(slim)
    assert [name for name, _ in found] == written
    tars = [zstd.decompress(data) if name.endswith("zstd") else gzip.decompress(data) for name, data in found]
    assert [Digest.of(tar) for tar in tars] == [layer.diff_id for layer in slim.layers]
    assert [layer.unchanged for layer in slim.layers] == [True, False, False]


def trees(slim: SlimImage, directory: Path) -> tuple[Image, FileTree]:
    directory.mkdir()
    image = load(f"oci-dir:{slim.directory}", directory)
    return image, squash(image)


@pytest.mark.parametrize("method", ["", "zstd", "gzip:1", "gzip:6"])
@pytest.mark.parametrize("squashed", [False, True])
def test_however_it_is_written_it_is_the_original_less_what_is_removed(
    tmp_path: Path, squashed: bool, method: str
) -> None:
    original = opened(tmp_path)
    tree = squash(original)
    plan = make_plan(original, tree, marks_keeping(tree, *KEPT), Level.SAFE, squash=squashed)
    slim = write(original, plan, tmp_path / "layout", method=parse_method(method))
    image, left = trees(slim, tmp_path / "slim")
    assert compare(tree, left, original.config.document, image.config.document, plan.removed, labels={}) == ()
    assert len(image.layers) == (1 if squashed else 3)
    assert {entry.inode for entry in left.files() if entry.path in ("/opt/tool", "/opt/twin", "/app/late")} == {
        left["/app/late"].inode
    }


def test_one_layer_has_no_whiteouts_and_one_history_line(tmp_path: Path) -> None:
    slim = slimmed(opened(tmp_path), tmp_path / "layout", squashed=True)
    image, _ = trees(slim, tmp_path / "slim")
    assert ".wh." not in str([entry.path for entry in image.layers[0].entries])
    history = json.loads(image.config.document)["history"]
    assert [line.get("empty_layer", False) for line in history] == [True, True, False]


@pytest.mark.parametrize("squashed", [False, True])
@pytest.mark.parametrize("method", ["", "zstd", "gzip:9"])
def test_twice_is_the_same_image(tmp_path: Path, squashed: bool, method: str) -> None:
    image = opened(tmp_path)
    first, second = (slimmed(image, tmp_path / name, squashed=squashed, method=method) for name in ("first", "second"))
    assert first.digest == second.digest


def test_one_thread_and_many_write_the_same_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = opened(tmp_path)
    digests = set()
    for threads in (1, 4):
        monkeypatch.setattr("os.cpu_count", lambda threads=threads: threads)
        digests.add(slimmed(image, tmp_path / str(threads)).digest)
    assert len(digests) == 1


def test_a_blob_that_changes_while_it_is_copied_is_an_error(tmp_path: Path) -> None:
    image = opened(tmp_path)
    archive = tmp_path / "original.tar"
    content = archive.read_bytes()
    stored = image.layers[0].blob
    assert stored is not None
    original = b"".join(stored.chunks())
    assert original in content
    archive.write_bytes(content.replace(original, bytes(len(original))))
    with pytest.raises(PublishError, match="its file changed while it was read; run it again"):
        slimmed(image, tmp_path / "layout", *KEPT, "/app/unused", "/app/unused-too")
    assert not (tmp_path / "layout/index.json").exists()


@pytest.mark.parametrize(
    ("text", "method"),
    [("", None), ("gzip", Method("gzip", 6)), ("zstd", Method("zstd", 3)), ("zstd:19", Method("zstd", 19))],
)
def test_a_method_is_a_name_and_a_level(text: str, method: Method | None) -> None:
    assert parse_method(text) == method


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("xz", "write gzip or zstd, or one with a level"),
        ("gzip:0", "levels of gzip are 1 to 12"),
        ("zstd:20", "levels of zstd are 1 to 19"),
        ("zstd:", "write gzip or zstd"),
    ],
)
def test_a_method_that_is_none_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_method(text)


def test_a_layer_that_names_files_through_a_link_hidden_above_it_is_not_copied(tmp_path: Path) -> None:
    layers: list[Members] = [[("/d", Link("b")), ("/d/file", b"x")], {"/d": b"no link any more"}]
    image = load(str(images.oci_archive(tmp_path / "original.tar", layers)), tmp_path / "original")
    tree = squash(image)
    marks = tuple(Mark(entry.path, Level.TRACED, FileClass.USED, ()) for entry in tree.files())
    with pytest.raises(BadImageError, match=r"layer 0 names files through the link '/d'.*--layers squash"):
        make_plan(image, tree, marks, Level.SAFE)
    plan = make_plan(image, tree, marks, Level.SAFE, squash=True)
    written = write(image, plan, tmp_path / "layout")
    slim = squash(load(f"oci-dir:{written.directory}", tmp_path / "slim"))
    assert (slim.read(slim["/b/file"]), slim.read(slim["/d"])) == (b"x", b"no link any more")


def test_a_layer_that_names_files_through_a_link_that_stays_is_copied(tmp_path: Path) -> None:
    layers: list[Members] = [[("/d", Link("b")), ("/d/file", b"x"), ("/d/other", b"y")]]
    image = load(str(images.oci_archive(tmp_path / "original.tar", layers)), tmp_path / "original")
    tree = squash(image)
    plan = make_plan(image, tree, (Mark("/b/other", None, FileClass.UNUSED, ()),), Level.SAFE)
    slim = squash(load(f"oci-dir:{write(image, plan, tmp_path / 'layout').directory}", tmp_path / "slim"))
    assert sorted(slim) == ["/", "/b", "/b/file", "/d"]
