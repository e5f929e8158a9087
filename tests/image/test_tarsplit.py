"""A tar put together from tar-split and a directory is the tar that it was made from."""

import gzip
import json
import pickle
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.errors import BadImageError
from mlbloat.image.tarsplit import BrokenSplitError, SplitTar, read_split
from mlbloat.model.filetree import Kind
from mlbloat.tarstream import Limits, TarLayer, index
from tests.support import images
from tests.support.dockerdir import split, unpack, write_split
from tests.support.images import WHITEOUT, Member, Members
from tests.support.trees import Hard, Link

LAYER: Members = {
    "/d": None,
    "/d/empty": b"",
    "/d/block": b"x" * 512,
    "/d/text": Member(value=b"hello", xattrs={"user.a": b"\0\xff"}, mtime=1.5),
    "/d/same": Hard("/d/text"),
    "/" + "n" * 200: b"long",
    "/caf\udce9": b"no UTF-8",
    "/to": Link("d"),
    "/to/through": b"a file below a link of its own layer",
    "/gone": WHITEOUT,
}


def made(tar: bytes, space: Path) -> SplitTar:
    (space / "diff").mkdir()
    unpack(tar, space / "diff")
    file = write_split(space / "tar-split.json.gz", split(tar))
    return read_split(file, segments=space / "segments", directory=space / "diff", name="the layer", limits=Limits())


def test_the_tar_is_put_together_byte_for_byte(tmp_path: Path) -> None:
    tar = images.layer_tar(LAYER)
    found = made(tar, tmp_path)
    with found.open() as stream:
        assert stream.read() == tar
    assert found.size_bytes == len(tar)
    assert (tmp_path / "segments").stat().st_size < len(tar)


PARTS = st.lists(st.sampled_from(["a", "b", "long" * 15, "\udcff"]), min_size=1, max_size=3).map("/".join)
SIZES = st.sampled_from([0, 1, 511, 512, 513, 1500])


@settings(max_examples=60, deadline=None)
@given(
    files=st.dictionaries(PARTS.map(lambda path: "/f/" + path.replace("/", "_")), SIZES, max_size=6),
    seeks=st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 3000)), max_size=6),
    tail=st.sampled_from([0, 512, 10_240]),
)
def test_any_tar_is_read_at_any_place_as_it_was(files: dict[str, int], seeks: list[tuple[int, int]], tail: int) -> None:
    tar = images.layer_tar({path: bytes([65 + size % 7]) * size for path, size in files.items()}) + bytes(tail)
    with tempfile.TemporaryDirectory() as space, made(tar, Path(space)).open() as stream:
        assert stream.read() == tar
        for offset, count in seeks:
            stream.seek(offset)
            assert stream.read(count) == tar[offset : offset + count]


def test_entries_members_and_contents_are_those_of_the_tar(tmp_path: Path) -> None:
    tar = images.layer_tar(LAYER)
    (tmp_path / "layer.tar").write_bytes(tar)
    found = pickle.loads(pickle.dumps(TarLayer(tar=made(tar, tmp_path), name="x")))
    with found.tar.open() as stream:
        entries = index(stream, name="x")
    for entry in entries:
        begin = entry.member
        assert b"".join(found.members([entry])) == tar[begin : begin + len(b"".join(found.members([entry])))]
    contents = {entry.path: found.open(entry).read() for entry in entries if entry.kind is Kind.FILE}
    assert contents["/d/text"] == b"hello"
    assert contents["/d/empty"] == b""
    assert contents["/to/through"] == b"a file below a link of its own layer"


def test_no_content_is_opened_before_somebody_asks(tmp_path: Path) -> None:
    tar = images.layer_tar({"/a": b"x" * 1000, "/b": b"y" * 1000})
    found = made(tar, tmp_path)
    (tmp_path / "diff/a").unlink()
    with found.open() as stream:
        first, second = index(stream, name="x")
    layer = TarLayer(tar=found, name="x")
    with layer.open(second) as content:
        assert content.read() == b"y" * 1000
    with layer.open(first) as content, pytest.raises(BadImageError, match="'a' of the layer in the engine's storage"):
        content.read()


@pytest.mark.parametrize("size", [0, 4, 6])
def test_a_content_of_another_size_is_refused(tmp_path: Path, size: int) -> None:
    found = made(images.layer_tar({"/a": b"12345"}), tmp_path)
    (tmp_path / "diff/a").write_bytes(b"z" * size)
    with found.open() as stream, pytest.raises(BadImageError, match="it is no regular file of 5 bytes; pull or load"):
        stream.read()


@pytest.mark.parametrize("target", ["/secret", "../secret", "{}/secret"])
def test_a_link_in_the_directory_never_leads_out_of_it(tmp_path: Path, target: str) -> None:
    (tmp_path / "secret").write_bytes(b"12345")
    found = made(images.layer_tar({"/a": b"12345", "/d": None, "/d/secret": b"12345"}), tmp_path)
    (tmp_path / "diff/a").unlink()
    (tmp_path / "diff/a").symlink_to(target.format(tmp_path))
    (tmp_path / "diff/d/secret").unlink()
    (tmp_path / "diff/d").rmdir()
    (tmp_path / "diff/d").symlink_to(tmp_path)
    layer = TarLayer(tar=found, name="x")
    with found.open() as stream:
        entries = index(stream, name="x")
    for entry in entries:
        if entry.kind is Kind.FILE:
            with layer.open(entry) as content, pytest.raises(BadImageError, match="in the engine's storage"):
                content.read()


def lines(*content: object) -> bytes:
    return gzip.compress("".join(f"{json.dumps(line)}\n" for line in content).encode())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no gzip", "."),
        (lines({"type": 2, "payload": "AAAA"})[:-12], "it is cut off"),
        (gzip.compress(b"{\n"), "."),
        (gzip.compress(b"\xff\xff\n"), "."),
        (lines({"type": 2, "payload": "not base64"}), "."),
        (lines({"type": 3}), "of an unknown type"),
        (lines({"type": 1, "name": "a", "size": -1}), "of a negative size"),
        (lines({"type": 1, "name": "a", "size": 1 << 40}), "limit image_bytes"),
        (lines(*({"type": 1, "name": name, "size": (1 << 63) - 1} for name in "abc")), "int"),
        (lines(*[{"type": 1, "name": "a", "size": 1}] * 4), "limit entries"),
        (lines({"type": 2, "payload": "R05VLnNwYXJzZS5tYWpvcg=="}), "it holds a sparse file"),
    ],
)
def test_what_is_no_tar_split_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "tar-split.json.gz").write_bytes(content)
    with pytest.raises(BrokenSplitError, match=why):
        read_split(
            tmp_path / "tar-split.json.gz",
            segments=tmp_path / "segments",
            directory=tmp_path,
            name="x",
            limits=Limits(entries=3),
        )
