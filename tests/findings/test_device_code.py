"""Code for GPUs that the image does not run on: how much, and what line of a Dockerfile makes less of it."""

from collections.abc import Mapping

from mlbloat.findings import find
from mlbloat.model.devicecode import Census, Choice, DeviceCode, Part
from mlbloat.model.package import Inventory
from mlbloat.model.report import Finding
from tests.findings.test_findings import image_of
from tests.support.trees import Hard, tree_of


def found(gpus: tuple[str, ...] = (), **codes: Mapping[str, int]) -> Finding | None:
    """What the rule finds in libraries with code of these names and sizes."""
    tree = tree_of({f"/lib/{name}.so": b"x" for name in codes} | {"/again.so": Hard("/lib/a.so")})
    device = {
        tree[f"/lib/{name}.so"].inode: DeviceCode((Choice(True, tuple(Part(*each, 1) for each in parts.items())),))
        for name, parts in codes.items()
    }
    findings = find(image_of(), tree, Inventory(packages=(), owners={}), (), device=Census(device, gpus))
    return next((finding for finding in findings if finding.rule == "other-gpus"), None)


def test_with_the_gpus_said_it_counts_exactly_what_they_do_not_load() -> None:
    told = found(("sm_90",), a={"sm_80": 40, "sm_90": 30, "ptx_90": 5}, b={"sm_80": 7, "ptx_80": 3}, c={"sm_90": 1})
    assert told is not None
    assert (told.bytes, told.paths, told.severity) == (52, ("/again.so", "/lib/b.so"), "note")
    assert told.title == "Code for other GPUs than sm_90"
    assert told.advice == "RUN TORCH_CUDA_ARCH_LIST='9.0' CUDAARCHS='90-real' BUILD"


def test_several_gpus_are_named_as_builds_take_them() -> None:
    told = found(("sm_120", "sm_86", "gfx942"), a={"sm_80": 40, "sm_90": 30, "sm_120": 5, "gfx942": 2})
    assert told is not None
    assert told.bytes == 30
    assert told.title == "Code for other GPUs than sm_120 and sm_86 and gfx942"
    assert told.advice == (
        "RUN TORCH_CUDA_ARCH_LIST='8.6;12.0' CUDAARCHS='86-real;120-real' PYTORCH_ROCM_ARCH='gfx942' BUILD"
    )


def test_without_a_word_it_counts_what_every_gpu_leaves_at_least() -> None:
    told = found(a={"sm_80": 40, "sm_90": 30, "ptx_90": 5}, b={"sm_80": 7, "sm_75": 3})
    assert told is not None
    assert told.bytes == 38  # sm_80 loads most: 47 of 85
    assert "3 kinds of GPUs" in told.title
    assert "--gpu-arch" in told.title
    assert told.advice == "RUN TORCH_CUDA_ARCH_LIST=CAPABILITIES CUDAARCHS=ARCHITECTURES BUILD"


def test_an_image_for_one_gpu_and_one_that_says_no_gpu_have_nothing_to_find() -> None:
    assert found(("sm_90",), a={"sm_90": 30}) is None
    assert found(a={"sm_90": 30, "lto_90": 4}) is None
    assert found(a={"ptx_90": 30, "ptx_80": 4}) is None
