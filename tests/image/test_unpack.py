"""Compressed blobs: hashed, bounded, never half a file left."""

import bz2
import gzip
import hashlib
import lzma
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlbloat.errors import BadImageError
from mlbloat.image.meter import Meter, StoppedError
from mlbloat.image.unpack import Unpacked, unpack
from mlbloat.model.digest import Digest
from mlbloat.tarstream import Limits, Window
from tests.support.images import compressed


def zstd(content: bytes) -> bytes:
    return compressed(content, "zstd")


CONTENT = b"some content " * 5000


def unpacked(
    path: Path,
    blob: bytes,
    *,
    digest: Digest | None = None,
    diff_id: Digest | None = None,
    limits: Limits | None = None,
    meter: Meter | None = None,
) -> Unpacked[Window]:
    path.mkdir(exist_ok=True)
    (path / "blob").write_bytes(blob)
    return unpack(
        Window.whole(path / "blob"),
        name="layer",
        digest=digest,
        diff_id=diff_id,
        directory=path / "layers",
        limits=limits or Limits(),
        meter=meter or Meter(),
    )


def read(window: Window) -> bytes:
    with window.open() as stream:
        return stream.read()


SKIPPABLE = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
HALF = len(CONTENT) // 2


@pytest.mark.parametrize(
    "blob",
    [
        gzip.compress(CONTENT),
        gzip.compress(CONTENT[:HALF]) + gzip.compress(b"") + gzip.compress(CONTENT[HALF:]),
        zstd(CONTENT),
        zstd(CONTENT[:HALF]) + SKIPPABLE + zstd(CONTENT[HALF:]),
        SKIPPABLE + zstd(CONTENT),
        bz2.compress(CONTENT[:HALF]) + bz2.compress(CONTENT[HALF:]),
        lzma.compress(CONTENT[:HALF]) + lzma.compress(CONTENT[HALF:], preset=9),
    ],
    ids=["gzip", "gzip members", "zstd", "zstd frames", "zstd skippable", "bzip2 streams", "xz streams"],
)
def test_what_is_compressed_becomes_a_file_named_by_its_diff_id(tmp_path: Path, blob: bytes) -> None:
    diff_id = Digest.of(CONTENT)
    found = unpacked(tmp_path, blob, digest=Digest.of(blob), diff_id=diff_id)
    assert (found.tar.path, found.diff_id, found.compressed) == (tmp_path / f"layers/{diff_id.hex}.tar", diff_id, True)
    assert read(found.tar) == CONTENT


def test_what_is_not_compressed_stays_where_it_is(tmp_path: Path) -> None:
    found = unpacked(tmp_path, CONTENT, digest=Digest.of(CONTENT))
    assert (found.tar.path, found.diff_id, found.compressed) == (tmp_path / "blob", Digest.of(CONTENT), False)


def test_sha512_digests_are_checked_too(tmp_path: Path) -> None:
    right = Digest("sha512:" + hashlib.sha512(CONTENT).hexdigest())
    assert unpacked(tmp_path, CONTENT, digest=right, diff_id=right).diff_id == Digest.of(CONTENT)
    with pytest.raises(BadImageError, match="its digest is sha512:"):
        unpacked(tmp_path, CONTENT + b"!", digest=right)


GZIP, ZSTD, BZIP2, XZ = gzip.compress(CONTENT), zstd(CONTENT), bz2.compress(CONTENT), lzma.compress(CONTENT)


@pytest.mark.parametrize(
    ("blob", "why"),
    [
        (GZIP[:-4], "cut off"),
        (GZIP[:20], "cut off"),
        (ZSTD[:-4], "cut off"),
        (GZIP[:-8] + bytes(4) + GZIP[-4:], "cannot read layer"),
        (GZIP + b"garbage", "cannot read layer"),
        (GZIP[:40] + bytes([GZIP[40] ^ 255]) + GZIP[41:], "cannot read layer"),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 50, "cannot read layer"),
        (b"BZh9" + CONTENT, "cannot read layer: Invalid data"),
        (BZIP2[:-4], "cut off"),
        (XZ[:20] + b"damage" + XZ[26:], "cannot read layer"),
        (XZ[:-4], "cut off"),
        (b"\xfd7zXZ\0" + CONTENT, "cannot read layer"),
        (lzma.compress(CONTENT, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 512 << 20}]), "[Mm]emory usage limit"),
    ],
)
def test_damage_is_one_line_and_leaves_no_file(tmp_path: Path, blob: bytes, why: str) -> None:
    with pytest.raises(BadImageError, match=why) as error:
        unpacked(tmp_path, blob, diff_id=Digest.of(CONTENT))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("layers/*"))


def test_a_digest_that_does_not_match_leaves_no_file(tmp_path: Path) -> None:
    wrong = Digest.of(b"other")
    with pytest.raises(BadImageError, match=f"layer, compressed: its digest is .* and should be {wrong}"):
        unpacked(tmp_path, GZIP, digest=wrong)
    with pytest.raises(BadImageError, match=f"layer: its digest is .* and should be {wrong}"):
        unpacked(tmp_path, GZIP, diff_id=wrong)
    assert not list(tmp_path.glob("layers/*"))


@pytest.mark.parametrize("pack", [gzip.compress, zstd, bz2.compress, lzma.compress])
def test_bombs_are_stopped_by_a_limit_that_is_named(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    blob = pack(bytes(30 << 20))
    with pytest.raises(BadImageError, match=r"--limit ratio=200$"):
        unpacked(tmp_path, blob, limits=Limits(ratio=100, ratio_from_bytes=1 << 20))
    with pytest.raises(BadImageError, match=r"--limit image_bytes=40MiB$"):
        unpacked(tmp_path, blob, limits=Limits(image_bytes=20 << 20))
    with pytest.raises(BadImageError, match="limit image_bytes"):
        unpacked(tmp_path, CONTENT, limits=Limits(image_bytes=100))
    assert not list(tmp_path.glob("layers/*"))


def test_the_limit_is_for_all_layers_together(tmp_path: Path) -> None:
    meter, limits = Meter(), Limits(image_bytes=len(CONTENT) + 10)
    unpacked(tmp_path, GZIP, limits=limits, meter=meter)
    with pytest.raises(BadImageError, match="limit image_bytes"):
        unpacked(tmp_path, GZIP, limits=limits, meter=meter)


def test_progress_is_told_in_bytes_as_stored_and_ends_at_the_total(tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    meter = Meter(lambda *what: told.append(what))
    meter.begin("reading", len(GZIP))
    unpacked(tmp_path, GZIP, meter=meter)
    assert told[-1] == ("reading", len(GZIP), len(GZIP))


def test_a_stopped_meter_stops_every_reader(tmp_path: Path) -> None:
    meter = Meter()
    meter.stop()
    with pytest.raises(StoppedError):
        unpacked(tmp_path, GZIP, meter=meter)
    assert not list(tmp_path.glob("layers/*"))


def test_two_readers_of_one_layer_do_not_meet(tmp_path: Path) -> None:
    diff_id = Digest.of(CONTENT)
    (tmp_path / "blob").write_bytes(GZIP)

    def read_once() -> Unpacked[Window]:
        return unpack(
            Window.whole(tmp_path / "blob"),
            name="layer",
            digest=None,
            diff_id=diff_id,
            directory=tmp_path / "layers",
            limits=Limits(),
            meter=Meter(),
        )

    with ThreadPoolExecutor(4) as pool:
        found = [future.result() for future in [pool.submit(read_once) for _ in range(8)]]
    assert [path.name for path in tmp_path.glob("layers/*")] == [f"{diff_id.hex}.tar"]
    assert {read(one.tar) for one in found} == {CONTENT}
