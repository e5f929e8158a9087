"""Sums by what files are for."""

from msgspec.structs import replace

from mlbloat.metrics.contents import Content, Contents, sum_of
from mlbloat.model.devicecode import Census
from mlbloat.model.filekind import FileKind
from mlbloat.model.report import KindReport


def kinds(contents: Contents, device: Census) -> dict[str, KindReport]:
    """Sum by kind; code for GPUs inside a library is a kind of its own, and its file counts with the library."""
    by_kind: dict[FileKind, list[Content]] = {kind: [] for kind in FileKind}
    for inode, content in contents.items():
        code = device.files.get(inode)
        if code is None or content.kind is FileKind.CACHE:
            by_kind[content.kind].append(content)
        else:
            by_kind[content.kind].append(replace(content, size_bytes=content.size_bytes - code.size_bytes))
            by_kind[FileKind.DEVICE_CODE].append(replace(content, size_bytes=code.size_bytes, files=0))
    sums = {kind: sum_of(held) for kind, held in by_kind.items() if held}
    return {
        str(kind): KindReport(
            files=total.files,
            size_bytes=total.size_bytes,
            used_bytes=total.used_bytes,
            reachable_bytes=total.reachable_bytes,
            unused_bytes=total.unused_bytes,
        )
        for kind, total in sums.items()
    }
