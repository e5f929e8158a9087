"""Images made to harm: refused in one line, at a bounded price, and nothing is written outside the workspace."""

import json
import os
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from mlbloat.errors import BadImageError
from mlbloat.image import Limits, load, squash
from mlbloat.model.filetree import Kind
from tests.support import images
from tests.support.images import WHITEOUT, Device, Fifo, Members, descriptor
from tests.support.trees import Hard, Link


def paths(where: Path, *layers: Members, limits: Limits | None = None) -> list[str]:
    """Load and squash an image of these layers; nothing may appear beside its workspace."""
    where.mkdir(exist_ok=True)
    before = sorted(where.parent.rglob("*"))
    image = load(str(images.oci_dir(where / "i", layers)), where / "w", limits=limits)
    found = list(squash(image, limits or Limits()))
    assert [path for path in sorted(where.parent.rglob("*")) if not path.is_relative_to(where)] == [
        path for path in before if not path.is_relative_to(where)
    ]
    return found


ESCAPES: dict[str, list[Members]] = {
    "a name": [{"../outside": b"x"}],
    "a name in the middle": [{"a/../../outside": b"x"}],
    "a hard link": [{"in": Hard("../outside")}],
    "a whiteout": [{"a": b""}, {"../a": WHITEOUT}],
}


@pytest.mark.parametrize("case", ESCAPES)
def test_names_that_leave_the_root_are_refused(tmp_path: Path, case: str) -> None:
    (tmp_path / "outside").write_text("here")
    with pytest.raises(BadImageError, match="leaves the root"):
        paths(tmp_path / "image", *ESCAPES[case])
    assert (tmp_path / "outside").read_text() == "here"


@pytest.mark.parametrize("target", ["/", "/etc", "../../../../etc", "../..", "..", "."])
def test_links_that_point_outside_lead_to_the_images_own_root(tmp_path: Path, target: str) -> None:
    """In the same layer and in a later one, as a parent and as what a hard link names."""
    (tmp_path / "etc").mkdir()
    found = paths(
        tmp_path / "image",
        {"/etc/passwd": b"image", "/out": Link(target), "/out/new": b"x", "/h": Hard("/out/new")},
        {"/out2": Link(target)},
        {"/out2/new": b"x"},
    )
    assert "/out2/new" in found
    assert not list((tmp_path / "etc").iterdir())


def test_a_hard_link_to_a_file_of_this_machine_finds_none(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(BadImageError, match="which is missing"):
        paths(tmp_path / "image", {"/h": Hard(str(tmp_path / "secret"))})
    with pytest.raises(BadImageError, match="which is missing"):
        paths(tmp_path / "other", {"/l": Link(str(tmp_path)), "/h": Hard("/l/secret")})


def test_devices_are_entries_and_nothing_else(tmp_path: Path) -> None:
    path = images.oci_dir(tmp_path / "i", [{"/sda": Device(8, 0, block=True), "/mem": Device(1, 1), "/p": Fifo()}])
    tree = squash(load(str(path), tmp_path / "w"))
    assert [entry.kind for entry in tree.values()][1:] == [Kind.CHARACTER, Kind.FIFO, Kind.BLOCK]
    with pytest.raises(BadImageError, match="below a file that is no directory"):
        paths(tmp_path / "x", {"/sda": Device(8, 0, block=True), "/sda/below": b"x"})


def test_a_character_device_0_0_deletes_as_in_overlayfs(tmp_path: Path) -> None:
    layers: list[Members] = [{"/a": b"x", "/b": b"y"}, {"/a": Device(0, 0), "/never": Device(0, 0)}]
    assert paths(tmp_path / "image", *layers) == ["/", "/b"]


def deep(components: int, name: str = "d") -> str:
    return "/" + "/".join([name] * components)


def test_a_path_of_100_000_components_is_refused_without_recursion(tmp_path: Path) -> None:
    with pytest.raises(BadImageError, match=r"longer than Linux allows|--limit path_components=1024$"):
        paths(tmp_path / "image", {deep(100_000): b"x"})
    with pytest.raises(BadImageError, match=r"--limit path_components=1024$"):
        paths(tmp_path / "other", {deep(513): b"x"})


def test_the_deepest_path_that_linux_allows_is_walked_without_recursion(tmp_path: Path) -> None:
    limits = Limits(path_components=5000)
    found = paths(tmp_path / "image", {deep(2000): b"x"}, limits=limits)
    assert len(found) == 2001
    path = images.oci_dir(tmp_path / "i", [{deep(2000): b"x"}])
    tree = squash(load(str(path), tmp_path / "w", limits=limits))
    assert sum(1 for _ in tree.below("/")) == 2000


@pytest.mark.parametrize("members", [{"/" + "n" * 256: b""}, {"/" + "é" * 128: b""}, {"/l": Link("t/" * 2048)}])
def test_names_that_no_file_system_holds_are_refused(tmp_path: Path, members: Members) -> None:
    with pytest.raises(BadImageError, match="longer than Linux allows"):
        paths(tmp_path / "image", members)


def test_names_that_are_not_utf_8_are_kept_in_every_kind(tmp_path: Path) -> None:
    name = os.fsdecode(b"/caf\xe9")
    found = paths(tmp_path / "image", {name: b"x", name + "h": Hard(name), name + "l": Link(name)}, {name: WHITEOUT})
    assert found == ["/", name + "h", name + "l"]


def test_links_that_never_end_are_refused_below_and_kept_alone(tmp_path: Path) -> None:
    loop: dict[str, images.Value] = {"/a": Link("b"), "/b": Link("a"), "/self": Link("self")}
    assert paths(tmp_path / "image", loop) == ["/", "/a", "/b", "/self"]
    with pytest.raises(BadImageError, match="never end"):
        paths(tmp_path / "other", {**loop, "/h": Hard("/self/x")})


def test_a_name_that_comes_100_times_is_its_last(tmp_path: Path) -> None:
    members = [("/f", b"%d" % number) for number in range(100)]
    path = images.oci_dir(tmp_path / "i", [members])
    tree = squash(load(str(path), tmp_path / "w"))
    assert (tree.read(tree["/f"]), len(tree)) == (b"99", 2)


@pytest.mark.parametrize(
    "members",
    [
        [("/a", Link("/")), ("/a/a", b"")],
        [("/l", Link("d")), ("/l/f", b"x"), ("/l", None)],
        [("/l/m", Link("../d")), ("/l/m/f", b"x"), ("/l", b"")],
    ],
)
def test_a_link_that_members_go_through_cannot_be_replaced_in_its_layer(tmp_path: Path, members: Members) -> None:
    """What remained of the layer would mean other files."""
    with pytest.raises(BadImageError, match=r"a second '/[al]' takes away a symbolic link that members go through"):
        paths(tmp_path / "image", members)


def test_the_limit_of_entries_is_for_all_layers_together(tmp_path: Path) -> None:
    layers: list[Members] = [{f"/{layer}.{number}": b"" for number in range(10)} for layer in range(3)]
    assert len(paths(tmp_path / "image", *layers, limits=Limits(entries=30))) == 31
    with pytest.raises(BadImageError, match=r"more than 29 entries; .* with --limit entries=58$"):
        paths(tmp_path / "other", *layers, limits=Limits(entries=29))


def test_directories_that_no_layer_holds_count_too(tmp_path: Path) -> None:
    """Else a header of 512 bytes would make hundreds of directories."""
    members: Members = {f"/{number}" + deep(100): b"" for number in range(10)}
    with pytest.raises(BadImageError, match=r"cannot merge layer 0 of .*--limit entries=1000$"):
        paths(tmp_path / "image", members, limits=Limits(entries=500))


def test_names_targets_and_attributes_count_together(tmp_path: Path) -> None:
    attributes = images.Member(value=b"", xattrs={"user.a": b"x" * 400})
    limits = Limits(metadata_bytes=1 << 10)
    assert paths(tmp_path / "image", {"/a": attributes, "/b": attributes}, limits=limits)
    with pytest.raises(BadImageError, match=r"--limit metadata_bytes=2KiB$"):
        paths(tmp_path / "other", {"/a": attributes, "/b": attributes, "/c": Link("t" * 300)}, limits=limits)


def test_links_followed_again_and_again_have_a_price(tmp_path: Path) -> None:
    """Else a small layer of members below a chain of links would take hours."""
    chain: dict[str, images.Value] = {f"/l{number}": Link("./" * 200 + f"l{number + 1}") for number in range(30)}
    members: Members = {**chain, "/l30": None, **{f"/l0/{number}": b"" for number in range(100)}}
    with pytest.raises(BadImageError, match=r"cannot merge layer 0 of .*--limit metadata_bytes=128KiB$"):
        paths(tmp_path / "image", members, limits=Limits(metadata_bytes=64 << 10))


def test_links_cannot_make_directories_deeper_than_linux_allows(tmp_path: Path) -> None:
    down = Link(("d" * 200 + "/") * 20)
    with pytest.raises(BadImageError, match="longer than Linux allows"):
        paths(tmp_path / "image", {"/l": down, "/l/m": down, "/l/m/f": b""})


def test_an_index_named_many_times_is_held_once(tmp_path: Path) -> None:
    many = [descriptor(images._MANIFEST_TYPE, b"%d" % number) for number in range(900)]
    inner = images.oci_layout(many)["index.json"]
    files = {images.blob_name(inner): inner} | images.oci_layout([descriptor(images._INDEX_TYPE, inner)] * 900)
    path = images.write_dir(tmp_path / "i", files)
    tracemalloc.start()
    try:
        with pytest.raises(BadImageError, match="names more than 1000 manifests"):
            load(f"oci-dir:{path}", tmp_path / "w")
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_a_million_layers_are_refused_before_one_is_looked_for(tmp_path: Path) -> None:
    files = images.docker_files([{"/a": b""}], style="old")
    (image,) = json.loads(files["manifest.json"])
    manifest = json.dumps([{**image, "Layers": ["missing"] * 1_000_000}]).encode()
    path = images.write_archive(tmp_path / "d.tar", files | {"manifest.json": manifest})
    with pytest.raises(BadImageError, match=r"it has 1000000 layers \(at most 1000\)"):
        load(f"docker-archive:{path}", tmp_path / "w", limits=Limits(document_bytes=64 << 20))


def test_a_header_that_claims_what_an_archive_does_not_have_is_refused(tmp_path: Path) -> None:
    tar = bytearray(images.layer_tar({"/a": b"content"}))
    tar[124:136] = b"77777777777\0"
    tar[148:156] = b"%06o\0 " % (sum(tar[:148]) + 256 + sum(tar[156:512]))
    with pytest.raises(BadImageError, match="claims 8589934591 bytes"):
        load(str(images.oci_dir(tmp_path / "i", [bytes(tar)])), tmp_path / "w")


def test_a_sparse_file_of_an_exabyte_costs_nothing_until_it_is_read(tmp_path: Path) -> None:
    header = tarfile.TarInfo("huge")
    header.pax_headers = {"GNU.sparse.size": str(1 << 60), "GNU.sparse.numblocks": "0", "GNU.sparse.map": ""}
    tar = header.tobuf(tarfile.PAX_FORMAT) + bytes(1024)
    tree = squash(load(str(images.oci_dir(tmp_path / "i", [tar])), tmp_path / "w"))
    assert tree["/huge"].size_bytes == 1 << 60
    assert tree.read(tree["/huge"], 10) == bytes(10)
