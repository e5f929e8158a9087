"""Tar headers to entries."""

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from mlbloat.errors import BadImageError
from mlbloat.model.filetree import Entry, Kind
from mlbloat.tarstream import Limits, index
from tests.support.images import OPAQUE, WHITEOUT, Device, Fifo, Member, Members, extract, layer_tar
from tests.support.trees import Hard, Link

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def entries(tar: bytes, limits: Limits | None = None) -> tuple[Entry, ...]:
    return index(io.BytesIO(tar), name="layer", layer=2, limits=limits or Limits())


def only(members: Members, tar_format: int = tarfile.PAX_FORMAT) -> Entry:
    (entry,) = entries(layer_tar(members, tar_format=tar_format))
    return entry


def header(name: str, *, kind: bytes = tarfile.REGTYPE, size: int = 0, **more: object) -> bytes:
    """One header block with any field one likes, its checksum right."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    for field, value in more.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def pax(*records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """A PAX header of records as they are."""
    payload = b"".join(records)
    return header("pax", kind=kind, size=len(payload)) + payload + bytes(-len(payload) % 512)


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(str(length)) + len(key) + len(value) + 3 != length:
        length = len(str(length)) + len(key) + len(value) + 3
    return b"%d %s=%s\n" % (length, key, value)


@pytest.mark.parametrize("tar_format", FORMATS)
def test_every_kind_is_read_in_every_format(tar_format: int) -> None:
    tar = layer_tar(
        {
            "/dir": Member(value=None, mode=0o1777, uid=7, gid=8, mtime=5),
            "/dir/file": Member(value=b"abc", mode=0o4755),
            "/link": Link("../x/y"),
            "/hard": Hard("/dir/file"),
            "/null": Device(1, 3),
            "/disk": Device(8, 0, block=True),
            "/pipe": Fifo(),
        },
        tar_format=tar_format,
    )
    assert [(e.path, e.kind, e.size_bytes, oct(e.mode), e.target, e.device) for e in entries(tar)] == [
        ("/dir", Kind.DIRECTORY, 0, "0o1777", "", (0, 0)),
        ("/dir/file", Kind.FILE, 3, "0o4755", "", (0, 0)),
        ("/link", Kind.SYMLINK, 0, "0o777", "../x/y", (0, 0)),
        ("/hard", Kind.HARDLINK, 0, "0o644", "/dir/file", (0, 0)),
        ("/null", Kind.CHARACTER, 0, "0o644", "", (1, 3)),
        ("/disk", Kind.BLOCK, 0, "0o644", "", (8, 0)),
        ("/pipe", Kind.FIFO, 0, "0o644", "", (0, 0)),
    ]
    directory = entries(tar)[0]
    assert (directory.uid, directory.gid, directory.mtime, directory.layer, directory.member) == (7, 8, 5.0, 2, 0)
    assert [e.member for e in entries(tar)][:3] == [0, 512, 1536]
    assert all(e.inode == (2, e.member) for e in entries(tar))


@pytest.mark.parametrize("name", ["x", "./x", "/x", "x/", ".//x", "//x"])
def test_names_are_absolute_without_dots_and_trailing_slashes(name: str) -> None:
    (entry,) = entries(header(name))
    assert entry.path == "/x"


def test_the_root_may_be_a_member() -> None:
    (entry,) = entries(header("./", kind=tarfile.DIRTYPE, mode=0o711))
    assert (entry.path, entry.kind, entry.mode) == ("/", Kind.DIRECTORY, 0o711)


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_long_targets(tar_format: int) -> None:
    path, target = "/" + "/".join(["d" * 90] * 5), "t" * 300
    assert only({path: b"x"}, tar_format).path == path
    assert only({"/l": Link(target)}, tar_format).target == target
    both = only({path: Link(target)}, tar_format)
    assert (both.path, both.target, both.member) == (path, target, 0)


def test_a_ustar_prefix_is_part_of_the_name() -> None:
    path = "/" + "/".join(["d" * 60] * 3)
    assert only({path: b"x"}, tarfile.USTAR_FORMAT).path == path


def test_gnu_times_are_no_prefix() -> None:
    block = bytearray(header("name"))
    block[345:369] = b"14725035221\0" * 2
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 256 + sum(block[156:512]))
    (entry,) = entries(bytes(block))
    assert entry.path == "/name"


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_that_are_not_utf_8_survive(tar_format: int) -> None:
    entry = only({os.fsdecode(b"/caf\xe9"): b""}, tar_format)
    assert os.fsencode(entry.path) == b"/caf\xe9"


def test_extended_attributes_are_read_as_bytes_and_sorted() -> None:
    capability = b"\x01\x00\x00\x02\x00\x20\x00\x00\xff\x00"
    tar = layer_tar({"/f": Member(value=b"", xattrs={"user.z": b"\n=1", "security.capability": capability})})
    (entry,) = entries(tar)
    assert entry.xattrs == (("security.capability", capability), ("user.z", b"\n=1"))


def test_pax_numbers_and_times_override_the_header() -> None:
    tar = pax(record(b"uid", b"3000000000"), record(b"mtime", b"1.5"), record(b"size", b"3")) + header("f") + b"abc"
    (entry,) = entries(tar)
    assert (entry.uid, entry.mtime, entry.size_bytes) == (3_000_000_000, 1.5, 3)


def test_base_256_numbers_are_read() -> None:
    assert only({"/f": Member(value=b"", uid=2**32 - 2)}, tarfile.GNU_FORMAT).uid == 2**32 - 2
    assert only({"/f": Member(value=b"", mtime=-5)}, tarfile.GNU_FORMAT).mtime == -5.0


def test_an_empty_pax_path_leaves_the_name_alone() -> None:
    (entry,) = entries(pax(record(b"path", b"")) + header("f"))
    assert entry.path == "/f"


def test_global_headers_are_passed_over_as_the_engines_do() -> None:
    tar = pax(record(b"uid", b"9"), record(b"path", b"evil"), kind=tarfile.XGLTYPE) + header("f")
    (entry,) = entries(tar)
    assert (entry.path, entry.uid, entry.member) == ("/f", 0, 1024)


def test_whiteouts_name_what_they_hide() -> None:
    found = entries(layer_tar({"/a/gone": WHITEOUT, "/b": OPAQUE, "/.wh..wh.plnk": None, "/.wh..wh.aufs": b""}))
    assert [(e.path, e.kind) for e in found] == [("/a/gone", Kind.WHITEOUT), ("/b", Kind.OPAQUE)]


def test_a_name_that_comes_twice_is_two_entries_in_order() -> None:
    found = entries(layer_tar([("/f", b"1"), ("/f", b"22")]))
    assert [e.size_bytes for e in found] == [1, 2]


def test_a_tar_may_end_without_its_end_blocks_and_padding() -> None:
    assert entries(b"") == ()
    assert [e.path for e in entries(header("f", size=3) + b"abc")] == ["/f"]
    assert [e.path for e in entries(header("f") + bytes(512))] == ["/f"]


def test_what_follows_the_end_of_the_archive_is_not_read() -> None:
    assert entries(bytes(1024) + header("f")) == ()


@pytest.mark.parametrize(
    ("tar", "why"),
    [
        (header("../x"), "leaves the root"),
        (header("a/../../x"), "leaves the root"),
        (header("x", kind=tarfile.LNKTYPE, linkname="../../etc/shadow"), "leaves the root"),
        (header("a/.wh..."), "names no file"),
        (header("a/.wh."), "names no file"),
        (header(".", kind=tarfile.SYMTYPE, linkname="/etc"), "the root is a symlink"),
        (header("x", size=-1), "out of range"),
        (header("x", size=2**62), "cut off"),
        (header("x", size=5) + b"abcd", "cut off"),
        (header("x")[:300], "cut off in a header"),
        (header("x", kind=b"Q"), "no image may hold"),
        (b"\1" + header("x")[1:], "checksum"),
        (bytes(512) + header("x"), "lone empty block"),
        (b"not a tar at all" * 64, "is not an octal number"),
        (pax(record(b"path", b"y")), "ends after an extension header"),
        (pax(b"99 path=y\n") + header("x"), "malformed"),
        (pax(b"0 path=y\n") + header("x"), "malformed"),
        (pax(b"-5 path=y\n") + header("x"), "malformed"),
        (pax(b"9 path y\n") + header("x"), "malformed"),
        (pax(record(b"path", b"a\0b")) + header("x"), "NUL"),
        (pax(record(b"path", b"../b")) + header("x"), "leaves the root"),
        (pax(record(b"size", b"-1")) + header("x"), "not a number"),
        (pax(record(b"size", b"9" * 19)) + header("x"), "cut off|in range"),
        (pax(record(b"mtime", b"nan")) + header("x"), "not a time"),
        (pax(record(b"mtime", b"9" * 20)) + header("x"), "out of range"),
        (pax(record(b"uid", b"1099511627776")) + header("x"), "out of range"),
        (pax(record(b"SCHILY.xattr.user.a\0b", b"1")) + header("x"), "extended attribute with a NUL"),
        (pax(record(b"a", b"b")) + pax(kind=tarfile.XGLTYPE) + header("x"), "global header follows"),
        (header("pax", kind=tarfile.XHDTYPE, size=2**40), "limit header_bytes"),
        (header("x", kind=tarfile.GNUTYPE_LONGNAME, size=2000) + b"x", "cut off"),
    ],
)
def test_hostile_headers_are_refused_in_one_line_that_names_the_tar(tar: bytes, why: str) -> None:
    with pytest.raises(BadImageError, match=why) as error:
        entries(tar)
    assert str(error.value).startswith("cannot read layer: ")
    assert "\n" not in str(error.value)


def test_limits_are_named_when_they_are_met() -> None:
    tar = layer_tar({"/a": b"", "/b": b"", "/c/d/e": b""})
    assert len(entries(tar, Limits(entries=3, path_components=3))) == 3
    with pytest.raises(BadImageError, match="limit entries"):
        entries(tar, Limits(entries=2))
    with pytest.raises(BadImageError, match="limit path_components"):
        entries(tar, Limits(path_components=2))


def test_endless_extension_headers_are_refused_without_recursion() -> None:
    with pytest.raises(BadImageError, match="limit header_bytes"):
        entries(pax(record(b"a", b"b")) * 3000)


VALID = layer_tar(
    {
        "/etc": None,
        "/etc/" + "n" * 200: Member(value=b"abc" * 300, xattrs={"user.a": b"\xff"}),
        "/l": Link("etc"),
        "/h": Hard("/etc/" + "n" * 200),
        "/gone": WHITEOUT,
    }
)


@given(st.data())
@examples(max_examples=150, deadline=None)
def test_any_damage_gives_entries_or_a_bad_image(data: st.DataObject) -> None:
    tar = bytearray(VALID[: data.draw(st.integers(0, len(VALID)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if tar:
            tar[data.draw(st.integers(0, len(tar) - 1))] = data.draw(st.integers(0, 255))
    for offset in range(0, len(tar) - 511, 512):  # so that damage gets past the checksums
        block = tar[offset : offset + 512]
        if block[257:262] == b"ustar":
            tar[offset + 148 : offset + 156] = b"%06o\0 " % (sum(block[:148]) + 256 + sum(block[156:]))
    try:
        found = entries(bytes(tar))
    except BadImageError:
        return
    assert all(e.path.startswith("/") and ".." not in e.path.split("/") for e in found)


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.binary(max_size=700)), unique_by=lambda pair: pair[0]))
@examples(max_examples=25, deadline=None)
def test_entries_are_what_the_standard_library_extracts(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, bytes]]
) -> None:
    root: Path = tmp_path_factory.mktemp("root")
    tar = layer_tar([(f"/d/{name}", content) for name, content in members])
    extract(tar, root)
    found = {e.path: e.size_bytes for e in entries(tar)}
    assert found == {f"/d/{p.name}": p.stat().st_size for p in root.glob("d/*")}
