"""What a GPU loads of containers that offer code for several."""

from hypothesis import given
from hypothesis import strategies as st

from mlbloat.model.devicecode import Choice, DeviceCode, Part, by_name, gpus_of, loaded_bytes


def code(*names: str, driver: bool = True) -> DeviceCode:
    """Code whose parts weigh 1, 10, 100, … bytes, so that a sum says which were taken."""
    parts = tuple(Part(name, 10**number, 1) for number, name in enumerate(names))
    return DeviceCode((Choice(driver, parts),))


def test_the_driver_takes_the_newest_machine_code_with_all_its_suffixes_and_no_ptx() -> None:
    held = code("sm_80", "sm_86", "sm_90", "sm_90a", "ptx_90")
    assert loaded_bytes([held], ["sm_80"]) == 1
    assert loaded_bytes([held], ["sm_89"]) == 10
    assert loaded_bytes([held], ["sm_90"]) == 1100
    assert loaded_bytes([held], ["sm_80", "sm_90"]) == 1101


def test_ptx_is_compiled_where_no_machine_code_fits() -> None:
    held = code("sm_90", "ptx_80", "ptx_120")
    assert loaded_bytes([held], ["sm_100"]) == 10
    assert loaded_bytes([held], ["sm_121"]) == 110
    assert loaded_bytes([held], ["sm_75"]) == 0


def test_code_to_be_linked_may_be_needed_beside_machine_code() -> None:
    assert loaded_bytes([code("sm_90", "lto_75", "lto_100")], ["sm_90"]) == 11


def test_what_a_library_chooses_from_by_itself_is_all_that_the_gpu_runs() -> None:
    assert loaded_bytes([code("sm_80", "sm_86", "ptx_80", "sm_90", driver=False)], ["sm_86"]) == 111


def test_a_container_with_something_unknown_is_needed_whole() -> None:
    assert loaded_bytes([code("sm_80", "other", "sm_120")], ["sm_90"]) == 111


def test_no_gpu_loads_nothing_and_names_add_up() -> None:
    held = [code("sm_80", "ptx_80"), code("sm_80"), code("gfx90a:xnack+", "gfx11-generic")]
    assert loaded_bytes(held, []) == 0
    assert by_name(held)["sm_80"] == Part("sm_80", 2, 2)
    assert gpus_of(held) == ("sm_80", "gfx90a")


_NAMES = st.lists(
    st.sampled_from(["sm_80", "sm_86", "sm_87", "sm_90", "sm_90a", "sm_100f", "ptx_80", "ptx_90a", "lto_80", "gfx90a",
                     "gfx_unknown", "other"]),
    unique=True, min_size=1,
)  # fmt: skip
_GPUS = st.lists(st.sampled_from(["sm_75", "sm_80", "sm_87", "sm_90", "sm_103", "gfx90a"]), unique=True)


@given(st.lists(st.tuples(_NAMES, st.booleans())), _GPUS, _GPUS)
def test_more_gpus_never_load_less_and_never_more_than_there_is(
    held: list[tuple[list[str], bool]], some: list[str], more: list[str]
) -> None:
    codes = [code(*names, driver=driver) for names, driver in held]
    total = sum(each.size_bytes for each in codes)
    both = loaded_bytes(codes, [*some, *more])
    assert max(loaded_bytes(codes, some), loaded_bytes(codes, more)) <= both <= total
    assert both <= loaded_bytes(codes, some) + loaded_bytes(codes, more)
    assert sum(part.size_bytes for part in by_name(codes).values()) == total
