"""Code for GPUs is found wherever libraries keep it, and counted as stored; hostile bytes are survived."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbloat import gpu
from mlbloat.cache import NoCache, open_store
from mlbloat.errors import MlbloatError
from mlbloat.gpu import window
from mlbloat.gpu.census import device_code
from mlbloat.gpu.window import Window
from mlbloat.model.devicecode import Choice, DeviceCode, Part, by_name
from mlbloat.model.filetree import Entry
from tests.fuzz.mutation import damaged
from tests.support.devicecode import bundle, compressed_bundle, entry, fatbin, library
from tests.support.trees import Hard, MemoryContents, tree_of


def found(data: bytes) -> DeviceCode:
    return device_code(Window(io.BytesIO(data), len(data)))


def sums(data: bytes) -> dict[str, tuple[int, int]]:
    return {name: (part.size_bytes, part.entries) for name, part in by_name([found(data)]).items()}


def test_entries_count_with_their_headers_by_form_gpu_and_suffix() -> None:
    section = fatbin(entry("sm_80", 96), entry("sm_90a", 64, header=112), entry("ptx_120", 32), entry("lto_75", 8))
    assert sums(library({".text": b"x" * 40, ".nv_fatbin": section})) == {
        "sm_90a": (176, 1),
        "sm_80": (160, 1),
        "ptx_120": (96, 1),
        "lto_75": (72, 1),
    }


def test_containers_with_the_same_offer_are_added_up_and_others_stay_apart() -> None:
    section = fatbin("sm_80", "sm_90") + bytes(8) + fatbin("sm_90", "sm_80") + fatbin("sm_80")
    assert found(library({".nv_fatbin": section})).choices == (
        Choice(True, (Part("sm_80", 128, 1),)),
        Choice(True, (Part("sm_80", 256, 2), Part("sm_90", 256, 2))),
    )


@pytest.mark.parametrize(
    ("section", "driver"),
    [(".nv_fatbin", True), ("__nv_relfatbin", True), (".cask_resource", False), (".ldata", False), (".rodata", False)],
)
def test_containers_lie_in_several_sections_and_the_driver_chooses_in_some(section: str, driver: bool) -> None:
    code = found(library({section: b"text\0" + fatbin("sm_90") if not driver else fatbin("sm_90")}))
    assert code.choices == (Choice(driver, (Part("sm_90", 128, 1),)),)


def test_a_library_without_a_section_table_is_searched_by_its_segments() -> None:
    code = found(library({".nv_fatbin": fatbin("sm_90")}, section_table=False))
    assert code.choices == (Choice(False, (Part("sm_90", 128, 1),)),)


def test_a_magic_number_in_data_or_in_code_is_no_container() -> None:
    magic = fatbin("sm_90")[:4]
    assert not found(library({".rodata": magic * 9, ".text": fatbin("sm_90")}, executable=(".text",))).choices
    assert sums(library({".rodata": magic + bytes(90) + magic + fatbin("sm_90") + magic})) == {"sm_90": (128, 1)}


def test_what_is_not_understood_counts_as_something_any_gpu_may_need() -> None:
    section = fatbin(entry("sm_90", kind=0x80)) + b"\x01" * 40 + fatbin("sm_80") + bytes(16)
    assert sums(library({".nv_fatbin": section})) == {"other": (168, 2), "sm_80": (128, 1)}
    assert sums(library({".nv_fatbin": fatbin("sm_80")[:-8]})) == {"other": (136, 1)}


def test_a_container_never_claims_more_than_its_section() -> None:
    cut = fatbin("sm_90", "sm_80")
    assert not found(library({".rodata": cut[:100], ".data": cut[100:]})).choices


def test_sections_that_overlap_count_once() -> None:
    data = bytearray(library({".rodata": fatbin("sm_90"), ".data": b"x"}))
    table = int.from_bytes(data[40:48], "little")
    data[table + 128 + 24 : table + 128 + 40] = data[table + 64 + 24 : table + 64 + 40]  # .data lies over .rodata
    assert sums(bytes(data)) == {"sm_90": (128, 1)}


def test_bundles_for_amd_name_their_targets_and_the_host_part_is_none() -> None:
    codes = {
        "host-x86_64-unknown-linux--": b"",
        "hipv4-amdgcn-amd-amdhsa--gfx90a:xnack+": b"a" * 100,
        "hipv4-amdgcn-amd-amdhsa--gfx1100": b"b" * 50,
        "hipv4-amdgcn-amd-amdhsa--strange": b"c" * 7,
    }
    assert sums(library({".hip_fatbin": bundle(codes) + bytes(64) + bundle(codes)})) == {
        "gfx90a:xnack+": (200, 2),
        "gfx1100": (100, 2),
        "other": (14, 2),
    }


@pytest.mark.parametrize("version", [2, 3])
def test_compressed_bundles_for_amd_count_as_stored(version: int) -> None:
    assert sums(library({".hip_fatbin": compressed_bundle(300, version) + bytes(8)})) == {"gfx_unknown": (300, 1)}


def test_bundles_whose_parts_overlap_are_not_believed() -> None:
    data = bytearray(bundle({"x--gfx90a": b"a" * 64, "x--gfx942": b"b" * 64}))
    data[32 + 24 + 9 : 32 + 24 + 9 + 8] = data[32:40]
    assert sums(library({".hip_fatbin": bytes(data)})) == {"other": (len(data), 1)}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (library({".text": b"x"}, machine=190, flags=0x6005A04, abi=8), "sm_90"),
        (library({".text": b"x"}, machine=190, flags=0x500556, abi=7), "sm_86"),
        (library({".text": b"x"}, machine=224, flags=0x3F), "gfx_unknown"),
        (b"// made\n.version 8.0\n.target sm_90a, debug\n" + b" " * 300, "ptx_90a"),
    ],
)
def test_files_that_are_code_for_a_gpu_count_whole(data: bytes, name: str) -> None:
    assert sums(data) == {name: (len(data), 1)}


def test_a_container_or_a_bundle_may_be_a_file() -> None:
    assert sums(fatbin("sm_90", "ptx_90")) == {"ptx_90": (128, 1), "sm_90": (128, 1)}
    assert sums(bundle({"x--gfx942": b"a" * 64})) == {"gfx942": (64, 1)}
    assert sums(compressed_bundle(64)) == {"gfx_unknown": (64, 1)}


def test_too_many_different_offers_are_kept_as_single_ones() -> None:
    numbers = range(100, 1000)
    section = b"".join(fatbin(f"sm_{n}", f"ptx_{n // 2 + m}") for n in numbers for m in range(6))
    code = found(library({".nv_fatbin": section}))
    assert len(code.choices) < 6000
    assert code.size_bytes == 2 * 128 * 6 * 900


@pytest.mark.parametrize(
    "section",
    [
        fatbin() * 2000,  # containers without entries
        fatbin()[:4] * 2000,  # nothing but magic numbers
        fatbin(*["sm_90"] * 2000, b"\1" * 64) * 2,  # whose last entry is none
    ],
    ids=["empty", "magic", "late"],
)
def test_a_file_that_is_made_to_take_long_is_given_up(section: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "_MOST_HEADERS", 1000)
    data = library({".nv_fatbin": section})
    file = Window(io.BytesIO(data), len(data))
    code = device_code(file)
    assert file.exhausted
    assert list(by_name([code])) == ["other"]


_SEEDS = (
    library({".nv_fatbin": fatbin("sm_80", "ptx_90", "lto_75") + bytes(8) + fatbin("sm_100f"), ".rodata": b"x"}),
    library({".rodata": b"a\0" + fatbin("sm_80")}, section_table=False),
    library({".hip_fatbin": bundle({"x--gfx90a": b"a" * 99}) + compressed_bundle(64)}),
    fatbin("sm_90"),
    bundle({"host-x--": b"", "x--gfx90a": b"a" * 9}),
    library({}, machine=190, flags=0x5A),
)


@given(damaged(_SEEDS))
def test_hostile_bytes_never_count_for_more_than_there_are(data: bytes) -> None:
    assert found(data).size_bytes <= len(data)


@given(st.lists(st.lists(st.sampled_from(["sm_80", "sm_90a", "ptx_75", "lto_90"]), min_size=1), max_size=6), st.data())
def test_every_entry_is_found_wherever_containers_lie(offers: list[list[str]], data: st.DataObject) -> None:
    body = b"".join(data.draw(st.binary(max_size=40)) + fatbin(*offer) for offer in offers)
    names = [name for offer in offers for name in offer]
    assert sums(library({".data": body})) == {name: (128 * names.count(name), names.count(name)) for name in names}


class Counted(MemoryContents):
    opened = 0

    def open(self, entry: Entry) -> io.BytesIO:
        self.opened += 1
        return io.BytesIO(self._contents[entry.inode])


def test_an_image_is_counted_by_inode_and_what_is_known_is_not_read_again(tmp_path: Path) -> None:
    data = library({".nv_fatbin": fatbin("sm_90")})
    files: dict[str, bytes | str | None] = {
        "/a/libx.so.1": data,
        "/b/libx.so": Hard("/a/libx.so.1"),
        "/c/plain.so": library({".text": bytes(300)}),
        "/d": data,
    }
    tree = tree_of({**files, "/e.txt": "x" * 999})
    contents = Counted(tree.contents._contents)  # type: ignore[attr-defined]
    tree = type(tree)(tree.entries, contents, ("sha256:" + "1" * 64,))
    with open_store(tmp_path, "1") as cache:
        first = gpu.census(tree, cache, ("sm_90",))
        assert contents.opened == 3
        assert gpu.census(tree, cache, ("sm_90",)) == first
        assert contents.opened == 3
    assert (set(first.files), first.gpus) == ({tree["/a/libx.so.1"].inode, tree["/d"].inode}, ("sm_90",))


def test_an_explanation_says_what_a_library_holds() -> None:
    tree = tree_of({"/lib/x.so": library({".nv_fatbin": fatbin(entry("sm_90", 99 * 8), "ptx_90")}), "/lib/y": "text"})
    size = tree["/lib/x.so"].size_bytes
    assert gpu.explain("/lib/x.so", tree, NoCache()) == (
        f"984 of its {size} bytes are code for GPUs: sm_90 856, ptx_90 128",
    )
    for path in ("/lib/y", "/lib", "/none"):
        assert gpu.explain(path, tree, NoCache()) == ()


def test_a_file_that_cannot_be_read_is_an_error_of_its_image() -> None:
    class Broken(MemoryContents):
        def open(self, entry: Entry) -> io.BytesIO:
            raise MlbloatError("cannot read it")

    tree = tree_of({"/lib/x.so": library({".nv_fatbin": fatbin("sm_90")})})
    with pytest.raises(MlbloatError):
        gpu.census(type(tree)(tree.entries, Broken({}), ()), NoCache())
