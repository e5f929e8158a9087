"""Names of code for GPUs, and which GPU runs which code.

`sm_90` and `sm_90a` are machine code for NVIDIA's GPUs, `ptx_90` and `lto_90` are compiled on the machine that has the
GPU, `gfx90a` is machine code for AMD's. A GPU has a name of the same form without a suffix: `sm_90`.

https://docs.nvidia.com/cuda/cuda-c-programming-guide/#binary-compatibility (and PTX and family compatibility there)
https://llvm.org/docs/AMDGPUUsage.html#target-id
"""

import re
from dataclasses import dataclass
from functools import lru_cache

OTHER = "other"
"""Code that is not understood: any GPU may need it."""
AMD_UNKNOWN = "gfx_unknown"
"""Code for AMD's GPUs whose headers do not say for which: compressed bundles, and code objects that are whole files."""

_NVIDIA = re.compile(r"(sm|ptx|lto)_([1-9][0-9]{1,2})([af]?)")
_AMD = re.compile(r"(gfx[0-9a-f]{3,4}|gfx[0-9]+(?:-[0-9]+)*-generic)((?::[a-z]+[+-])*)")
_GPU = re.compile(r"(?:sm_|compute_)?([1-9][0-9]{1,2})[af]?")
_CAPABILITY = re.compile(r"([1-9][0-9]?)\.([0-9])")
_INTEGRATED = frozenset({53, 62, 72, 87, 101})
"""GPUs of Tegra: they run nothing that was made for others of their generation, and others nothing of theirs."""


@dataclass(frozen=True, slots=True)
class Code:
    form: str
    """sm, ptx, lto, gfx or other."""
    number: int = 0
    """Compute capability times ten."""
    suffix: str = ""
    """`a`: for this very GPU. `f`: for its family."""
    processor: str = ""
    """AMD's name, without features."""


@lru_cache(maxsize=1 << 12)
def parse(name: str) -> Code:
    """Take the name of a code apart."""
    match = _NVIDIA.fullmatch(name)
    if match:
        return Code(match[1], int(match[2]), match[3])
    match = _AMD.fullmatch(name)
    return Code("gfx", processor=match[1]) if match else Code("gfx" if name == AMD_UNKNOWN else "other")


def kind_of(name: str) -> str:
    """Return the GPU that machine code is for; of the rest, what it is."""
    code = parse(name)
    if code.form == "sm":
        return f"sm_{code.number}"
    if code.form == "gfx":
        return code.processor or name
    return {"ptx": "PTX, compiled when loaded", "lto": "LTO, linked when loaded"}.get(code.form, name)


def gpu_of(text: str) -> str | None:
    """Return the name of a GPU that people write as sm_90, sm_90a, 90, 9.0, compute_90 or gfx90a; None for no GPU."""
    match = _CAPABILITY.fullmatch(text)
    if match:
        return f"sm_{match[1]}{match[2]}"
    match = _GPU.fullmatch(text)
    if match:
        return f"sm_{match[1]}"
    match = _AMD.fullmatch(text)
    return match[1] if match and "generic" not in text else None


def runs(name: str, gpu: str) -> bool:
    """Tell whether a GPU runs a code, or may; what is compiled first counts."""
    code, wanted = parse(name), parse(gpu)
    if code.form == OTHER:
        return True
    if (code.form == "gfx") is not (wanted.form == "gfx"):
        return False
    if code.form == "gfx":
        return _amd_runs(code.processor, wanted.processor)
    if code.suffix == "a":
        return code.number == wanted.number
    if code.form == "sm" or code.suffix == "f":
        return _same_generation(code.number, wanted.number)
    return code.number <= wanted.number


def _same_generation(code: int, gpu: int) -> bool:
    if code in _INTEGRATED or gpu in _INTEGRATED:
        return code == gpu
    return code // 10 == gpu // 10 and code <= gpu


def _amd_runs(code: str, gpu: str) -> bool:
    generation = re.match(r"gfx([0-9]+)(?:-[0-9]+)*-generic", code)
    return not code or code == gpu or (generation is not None and gpu.startswith(f"gfx{generation[1]}"))
