"""Contents and raw members of a layer."""

import io
import pickle
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from mlbloat.errors import BadImageError
from mlbloat.model.filetree import Entry, Kind
from mlbloat.tarstream import TarLayer, Window, end_of_archive, index
from tests.support.images import Member, layer_tar
from tests.support.trees import Hard, Link
from tests.tarstream.test_header import header, pax, record


def layer_of(path: Path, tar: bytes, *, before: bytes = b"", after: bytes = b"") -> tuple[TarLayer, list[Entry]]:
    path.write_bytes(before + tar + after)
    layer = TarLayer(tar=Window(path=path, offset=len(before), size_bytes=len(tar)), name="layer")
    with layer.tar.open() as stream:
        return layer, list(index(stream, name="layer"))


def read(layer: TarLayer, entry: Entry) -> bytes:
    with layer.open(entry) as stream:
        return stream.read()


def test_contents_are_read_in_place_from_the_middle_of_a_file(tmp_path: Path) -> None:
    tar = layer_tar({"/a": b"first", "/empty": b"", "/b": b"x" * 1000})
    layer, entries = layer_of(tmp_path / "outer", tar, before=b"#" * 700, after=b"!" * 99)
    assert [read(layer, entry) for entry in entries] == [b"first", b"", b"x" * 1000]


def test_content_is_seekable_and_readers_do_not_disturb_each_other(tmp_path: Path) -> None:
    layer, (entry,) = layer_of(tmp_path / "t", layer_tar({"/a": bytes(range(256)) * 100}))
    with layer.open(entry) as one, layer.open(entry) as two:
        one.seek(-2, io.SEEK_END)
        two.seek(3)
        assert (one.read(), two.read(2), one.read(), two.tell()) == (b"\xfe\xff", b"\x03\x04", b"", 5)
        assert one.seek(10**6) == 10**6
        assert one.read() == b""
        with pytest.raises(OSError, match="Invalid argument"):
            one.seek(-1)


def test_a_layer_travels_to_another_process(tmp_path: Path) -> None:
    layer, (entry,) = layer_of(tmp_path / "t", layer_tar({"/a": b"content"}))
    there = pickle.loads(pickle.dumps((layer, entry)))
    assert read(*there) == b"content"


def test_members_copied_as_they_are_make_the_same_tar(tmp_path: Path) -> None:
    tar = layer_tar(
        {
            "/d": None,
            "/d/" + "n" * 150: Member(value=b"x" * 700, xattrs={"user.a": b"\xff\0"}, mtime=1.25),
            "/l": Link("t" * 150),
            "/h": Hard("/d/" + "n" * 150),
        }
    )
    layer, entries = layer_of(tmp_path / "t", tar)
    copied = b"".join(layer.members(entries))
    assert copied + b"".join(end_of_archive(len(copied), len(tar))) == tar
    alone = [b"".join(layer.members([entry])) for entry in entries]
    assert b"".join(alone) == copied
    assert b"".join(layer.members(entries[1::2])) == b"".join(alone[1::2])


def test_a_copied_member_stands_alone_and_leaves_a_global_header_behind(tmp_path: Path) -> None:
    tar = pax(record(b"comment", b"c"), kind=tarfile.XGLTYPE) + header("f", size=3) + b"abc"
    layer, (entry,) = layer_of(tmp_path / "t", tar)
    # The last member's padding is missing in the tar, and made up.
    assert b"".join(layer.members([entry])) == header("f", size=3) + b"abc" + bytes(509)


def test_a_global_header_between_members_is_left_behind_as_well(tmp_path: Path) -> None:
    first, second = (header(name, size=600) + name.encode() * 600 + bytes(424) for name in "fg")
    tar = first + pax(record(b"comment", b"c"), kind=tarfile.XGLTYPE) + second
    layer, entries = layer_of(tmp_path / "t", tar)
    assert b"".join(layer.members(entries)) == first + second


def test_an_entry_of_another_layer_is_refused(tmp_path: Path) -> None:
    layer, _ = layer_of(tmp_path / "t", layer_tar({"/a": b"x"}))
    with pytest.raises(BadImageError, match="no member at byte 5120"):
        layer.open(Entry(path="/a", kind=Kind.FILE, member=5120))


def test_a_tar_that_shrinks_later_is_an_error_and_not_zeros(tmp_path: Path) -> None:
    layer, (entry,) = layer_of(tmp_path / "t", layer_tar({"/a": b"x" * 20000}))
    with layer.open(entry) as stream, (tmp_path / "t").open("r+b") as file:
        file.truncate(1000)
        with pytest.raises(OSError, match="became shorter"):
            stream.read()


SEGMENTS = [(0, b"A" * 512), (4096, b"B" * 512), (10240, b"C" * 100)]
EXPANDED = b"A" * 512 + bytes(3584) + b"B" * 512 + bytes(5632) + b"C" * 100 + bytes(20000 - 10340)
STORED = b"A" * 512 + b"B" * 512 + b"C" * 100
NUMBERS = [number for offset, content in SEGMENTS for number in (offset, len(content))]


def file_header(name: str, size: int) -> bytes:
    return header(name, size=size)


def sparse_1_0() -> bytes:
    table = b"\n".join(b"%d" % number for number in [len(SEGMENTS), *NUMBERS]) + b"\n"
    data = table + bytes(-len(table) % 512) + STORED
    records = [(b"major", b"1"), (b"minor", b"0"), (b"name", b"real/name"), (b"realsize", b"20000")]
    extension = pax(*(record(b"GNU.sparse." + key, value) for key, value in records))
    return extension + file_header("GNUSparseFile.0/name", len(data)) + data + bytes(-len(data) % 512)


def sparse_0_1() -> bytes:
    table = b",".join(b"%d" % number for number in NUMBERS)
    records = [(b"size", b"20000"), (b"numblocks", b"3"), (b"map", table), (b"name", b"real/name")]
    extension = pax(*(record(b"GNU.sparse." + key, value) for key, value in records))
    return extension + file_header("x", len(STORED)) + STORED + bytes(-len(STORED) % 512)


def sparse_0_0() -> bytes:
    keys = [b"GNU.sparse.offset", b"GNU.sparse.numbytes"] * len(SEGMENTS)
    pairs = [record(key, b"%d" % number) for key, number in zip(keys, NUMBERS, strict=True)]
    extension = pax(record(b"GNU.sparse.size", b"20000"), *pairs)
    return extension + file_header("real/name", len(STORED)) + STORED + bytes(-len(STORED) % 512)


def old_gnu(segments: int = 3) -> bytes:
    """Old GNU format; more than four segments go into extension blocks."""
    contents = [(offset, content) for offset, content in SEGMENTS[:segments]]
    contents += [(11000 + 600 * number, b"D" * 10) for number in range(segments - len(SEGMENTS))]
    structs = [b"%011o\0%011o\0" % (offset, len(content)) for offset, content in contents]
    block = bytearray(header("real/name", kind=tarfile.GNUTYPE_SPARSE, size=sum(len(c) for _, c in contents)))
    block[386 : 386 + 24 * len(structs[:4])] = b"".join(structs[:4])
    block[482] = len(structs) > 4
    block[483:495] = b"%011o\0" % 20000
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 256 + sum(block[156:512]))
    rest, out = structs[4:], bytes(block)
    while rest:
        chunk = b"".join(rest[:21])
        rest = rest[21:]
        out += chunk + bytes(504 - len(chunk)) + bytes([bool(rest)]) + bytes(7)
    stored = b"".join(content for _, content in contents)
    return out + stored + bytes(-len(stored) % 512)


@pytest.mark.parametrize("tar", [sparse_1_0(), sparse_0_1(), sparse_0_0(), old_gnu()], ids=["1.0", "0.1", "0.0", "gnu"])
def test_sparse_files_are_read_with_their_holes(tmp_path: Path, tar: bytes) -> None:
    layer, (entry, after) = layer_of(tmp_path / "t", tar + header("after"))
    assert (entry.path, entry.size_bytes, after.path) == ("/real/name", 20000, "/after")
    assert read(layer, entry) == EXPANDED
    assert b"".join(layer.members([entry])) == tar
    with layer.open(entry) as stream:
        stream.seek(4090)
        assert stream.read(10) == bytes(6) + b"BBBB"


def test_sparse_maps_that_need_more_blocks_are_followed(tmp_path: Path) -> None:
    layer, (entry,) = layer_of(tmp_path / "t", old_gnu(segments=15))
    content = read(layer, entry)
    assert (content.count(b"D"), content[11600:11610], len(content)) == (120, b"D" * 10, 20000)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"\n4096\n", b"\n0000\n", "does not fit"),
        (b"\n10240\n", b"\n19950\n", "does not fit"),
        (b"\n100\n", b"\n999\n", "does not fit"),
        (b"\n100\n", b"\n-10\n", "not a number"),
        (b"3\n0\n", b"\n\n0\n", "not a number"),
        (b"3\n0\n512", b"99999999", "endless|not a number|cut off"),
    ],
)
def test_sparse_maps_that_lie_are_refused(tmp_path: Path, old: bytes, new: bytes, why: str) -> None:
    tar = sparse_1_0()
    assert old in tar
    with pytest.raises(BadImageError, match=why):
        layer_of(tmp_path / "t", tar.replace(old, new, 1))


def test_a_sparse_map_that_never_ends_is_refused(tmp_path: Path) -> None:
    block = bytearray(old_gnu(segments=5))
    block[512 + 504] = 1
    with pytest.raises(BadImageError):
        layer_of(tmp_path / "t", bytes(block))


@given(st.integers(0, 20100), st.integers(0, 6000))
@examples(max_examples=60, deadline=None)
def test_any_range_of_a_sparse_file_is_right(tmp_path_factory: pytest.TempPathFactory, offset: int, count: int) -> None:
    layer, (entry,) = layer_of(tmp_path_factory.getbasetemp() / "sparse", sparse_1_0())
    with layer.open(entry) as stream:
        stream.seek(offset)
        assert stream.read(count) == EXPANDED[offset : offset + count]


@given(st.data())
@examples(max_examples=100, deadline=None)
def test_any_damage_to_a_sparse_file_is_found_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tar = bytearray(data.draw(st.sampled_from([sparse_1_0(), sparse_0_1(), sparse_0_0(), old_gnu(9)])))
    for _ in range(data.draw(st.integers(1, 3))):
        tar[data.draw(st.integers(512, 1600))] = data.draw(st.integers(0, 255))
    try:
        layer, entries = layer_of(tmp_path_factory.getbasetemp() / "damaged", bytes(tar))
    except BadImageError:
        return
    for entry in entries:
        if entry.kind is Kind.FILE and entry.size_bytes < 1 << 20:
            assert len(read(layer, entry)) == entry.size_bytes
