"""Deterministic tar."""

import io
import os
import tarfile

import pytest

from mlbloat.model.filetree import Entry, Kind
from mlbloat.tarstream import archive, encode, end_of_archive, index, padding

ENTRIES = (
    Entry(path="/", kind=Kind.DIRECTORY, mode=0o755),
    Entry(path="/d", kind=Kind.DIRECTORY, mode=0o1777, uid=3, gid=2**31, mtime=-1.5),
    Entry(path="/" + "n" * 200, kind=Kind.FILE, size_bytes=3, mode=0o4711, mtime=12.0),
    Entry(path=os.fsdecode(b"/caf\xe9"), kind=Kind.FILE, xattrs=(("security.capability", b"\x01\0\xff"),)),
    Entry(path="/l", kind=Kind.SYMLINK, mode=0o777, target="/abs/../" + "t" * 120),
    Entry(path="/h", kind=Kind.HARDLINK, target="/" + "n" * 200),
    Entry(path="/c", kind=Kind.CHARACTER, device=(1, 3)),
    Entry(path="/b", kind=Kind.BLOCK, device=(8, 1)),
    Entry(path="/p", kind=Kind.FIFO),
    Entry(path="/d/gone", kind=Kind.WHITEOUT),
    Entry(path="/d", kind=Kind.OPAQUE),
)


def tar_of(entries: tuple[Entry, ...]) -> bytes:
    members = (encode(e) + (b"abc" + padding(3) if e.size_bytes else b"") for e in entries)
    return b"".join(members) + b"".join(end_of_archive(0))


def test_what_is_written_is_read_back() -> None:
    found = index(io.BytesIO(tar_of(ENTRIES)), name="layer")
    plain = [
        Entry(**{f: getattr(e, f) for f in Entry.__struct_fields__ if f not in ("member", "inode")}) for e in found
    ]
    assert tuple(plain) == ENTRIES


def test_the_standard_library_reads_the_same() -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_of(ENTRIES[:9]))) as tar:
        assert [(m.name, m.mode, m.uid, m.gid, m.mtime) for m in tar] == [
            (e.path[1:] or ".", e.mode, e.uid, e.gid, e.mtime) for e in ENTRIES[:9]
        ]


def test_the_same_entries_give_the_same_bytes() -> None:
    assert tar_of(ENTRIES) == tar_of(ENTRIES)


def test_an_archive_of_files_has_fixed_headers() -> None:
    files = [("oci-layout", 2, lambda: [b"{}"]), ("blobs/sha256/a", 700, lambda: [b"x" * 300, b"y" * 400])]
    tar = b"".join(archive(files, mtime=77))
    with tarfile.open(fileobj=io.BytesIO(tar)) as found:
        names = [(m.name, m.size, m.mode, m.uid, m.gid, m.mtime, m.uname) for m in found]
    assert names == [
        ("oci-layout", 2, 0o644, 0, 0, 77, ""),
        ("blobs", 0, 0o755, 0, 0, 77, ""),
        ("blobs/sha256", 0, 0o755, 0, 0, 77, ""),
        ("blobs/sha256/a", 700, 0o644, 0, 0, 77, ""),
    ]
    assert len(tar) == 512 + 512 + 2 * 512 + 512 + 1024 + 1024


@pytest.mark.parametrize("content", [[b"abc"], [b"a"]])
def test_a_file_of_another_length_than_promised_is_not_written_quietly(content: list[bytes]) -> None:
    with pytest.raises(ValueError, match="is not 2 bytes long"):
        list(archive([("f", 2, lambda: content)]))


def test_the_end_is_two_blocks_or_whatever_the_original_had() -> None:
    assert b"".join(end_of_archive(512)) == bytes(1024)
    assert b"".join(end_of_archive(512, 10240)) == bytes(9728)
    assert b"".join(end_of_archive(512, 512)) == b""
