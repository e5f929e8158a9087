"""What a report says of code for GPUs, the same in every format."""

from dataclasses import dataclass

from mlbloat.model import gpuarch
from mlbloat.model.report import GpuReport, Report
from mlbloat.report.units import count, percent, size


@dataclass(frozen=True, slots=True)
class Row:
    """Machine code for one GPU, whatever its suffix, or what is compiled when it is loaded."""

    code: str
    size_bytes: int
    share: float | None
    loaded_bytes: int | None
    """What such a GPU loads in all; None where this is not for one kind of GPU."""


def rows(gpu: GpuReport) -> list[Row]:
    """Most bytes first."""
    sums: dict[str, int] = {}
    for name, part in gpu.by_arch.items():
        code = gpuarch.kind_of(name)
        sums[code] = sums.get(code, 0) + part.bytes
    ranked = sorted(sums, key=lambda code: (-sums[code], code))
    return [Row(code, sums[code], share(sums[code], gpu.device_bytes), gpu.loaded_bytes.get(code)) for code in ranked]


def summary(report: Report, gpu: GpuReport) -> str:
    whole = percent(share(gpu.device_bytes, report.totals.size_bytes))
    return f"{size(gpu.device_bytes)} in {count(len(gpu.libraries), 'file')}, {whole} of the image"


def needed(gpu: GpuReport) -> str:
    """What `--gpu-arch` led to; empty without it."""
    if gpu.needed_bytes is None:
        return ""
    load = f"{' and '.join(gpu.gpus)} {'loads' if len(gpu.gpus) == 1 else 'load'}"
    return f"{load} {size(gpu.needed_bytes)} of it, {size(gpu.device_bytes - gpu.needed_bytes)} is for others"


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
