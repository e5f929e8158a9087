"""Which GPU runs which code, by NVIDIA's rules of compatibility and AMD's names."""

import pytest

from mlbloat.model.gpuarch import gpu_of, kind_of, parse, runs


@pytest.mark.parametrize(
    ("code", "gpu", "fits"),
    [
        ("sm_80", "sm_80", True),
        ("sm_80", "sm_86", True),  # same generation, not newer
        ("sm_86", "sm_80", False),
        ("sm_80", "sm_90", False),
        ("sm_90a", "sm_90", True),
        ("sm_100a", "sm_103", False),  # this very GPU
        ("sm_100f", "sm_103", True),
        ("sm_100f", "sm_120", False),
        ("sm_103f", "sm_100", False),
        ("sm_100", "sm_101", False),  # Tegra
        ("sm_86", "sm_87", False),
        ("sm_87", "sm_87", True),
        ("sm_87", "sm_89", False),
        ("ptx_75", "sm_120", True),
        ("ptx_90", "sm_89", False),
        ("ptx_90a", "sm_100", False),
        ("ptx_100f", "sm_103", True),
        ("lto_75", "sm_90", True),
        ("lto_100", "sm_90", False),
        ("gfx90a", "gfx90a", True),
        ("gfx90a:xnack+", "gfx90a", True),
        ("gfx942", "gfx90a", False),
        ("gfx11-generic", "gfx1100", True),
        ("gfx11-generic", "gfx1201", False),
        ("gfx_unknown", "gfx942", True),
        ("gfx_unknown", "sm_90", False),
        ("gfx942", "sm_90", False),
        ("sm_90", "gfx942", False),
        ("other", "sm_90", True),
        ("other", "gfx942", True),
    ],
)
def test_a_gpu_runs_what_was_made_for_it_or_is_compatible(code: str, gpu: str, fits: bool) -> None:
    assert runs(code, gpu) is fits


@pytest.mark.parametrize(
    ("text", "gpu"),
    [
        ("sm_90", "sm_90"),
        ("sm_90a", "sm_90"),
        ("90", "sm_90"),
        ("9.0", "sm_90"),
        ("12.0", "sm_120"),
        ("compute_86", "sm_86"),
        ("gfx90a", "gfx90a"),
        ("gfx942:xnack-", "gfx942"),
        ("gfx11-generic", None),
        ("sm_9", None),
        ("hopper", None),
        ("sm_90b", None),
        ("", None),
    ],
)
def test_a_gpu_is_named_in_the_ways_that_people_use(text: str, gpu: str | None) -> None:
    assert gpu_of(text) == gpu


def test_names_that_are_not_known_are_something_else() -> None:
    assert {parse(name).form for name in ("", "sm_", "sm_0", "sm_90x", "tile_90", "gfx", "other")} == {"other"}


def test_machine_code_is_of_a_gpu_and_other_code_of_its_kind() -> None:
    names = ("sm_90a", "sm_100f", "ptx_75", "gfx90a:xnack+", "gfx_unknown", "other")
    assert [kind_of(name).partition(",")[0] for name in names] == [
        "sm_90", "sm_100", "PTX", "gfx90a", "gfx_unknown", "other",
    ]  # fmt: skip
