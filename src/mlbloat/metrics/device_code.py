"""The figures about code for GPUs."""

from collections.abc import Iterable

from mlbloat.metrics.contents import Content, Contents
from mlbloat.model.devicecode import Census, DeviceCode, by_name, gpus_of, loaded_bytes
from mlbloat.model.report import DeviceLibraryReport, DevicePartReport, GpuReport


def device_code(contents: Contents, census: Census) -> GpuReport | None:
    """Add up by name, by file and by GPU; None when there is none."""
    codes = census.files.values()
    if not codes:
        return None
    libraries = (_library(contents[inode], code) for inode, code in census.files.items())
    return GpuReport(
        device_bytes=sum(code.size_bytes for code in codes),
        by_arch=_by_arch(codes),
        libraries=tuple(sorted(libraries, key=lambda library: (-library.device_bytes, library.path))),
        loaded_bytes={gpu: loaded_bytes(codes, [gpu]) for gpu in gpus_of(codes)},
        gpus=census.gpus,
        needed_bytes=loaded_bytes(codes, census.gpus) if census.gpus else None,
    )


def _library(content: Content, code: DeviceCode) -> DeviceLibraryReport:
    return DeviceLibraryReport(
        path=content.path, size_bytes=content.size_bytes, device_bytes=code.size_bytes, by_arch=_by_arch([code])
    )


def _by_arch(codes: Iterable[DeviceCode]) -> dict[str, DevicePartReport]:
    return {
        name: DevicePartReport(bytes=part.size_bytes, entries=part.entries) for name, part in by_name(codes).items()
    }
