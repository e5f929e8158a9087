"""The section about code for GPUs."""

from xml.etree.ElementTree import Element

from mlbloat.model.report import DeviceLibraryReport, Report
from mlbloat.report import devicecode
from mlbloat.report.page.element import bar, bytes_, note, number, path_cell, section, table, tag
from mlbloat.report.units import percent

_MAX_FILES = 50
_SHOWN_CODES = 6


def device_code(report: Report) -> Element | None:
    gpu = report.gpu
    if gpu is None:
        return None
    found = devicecode.rows(gpu)
    rows = [
        tag(
            "tr",
            tag("td", row.code),
            bytes_(row.size_bytes),
            tag("td", bar((row.size_bytes, 0, 0), found[0].size_bytes), class_="b"),
            number(percent(row.share), row.share),
            bytes_(row.loaded_bytes) if row.loaded_bytes is not None else number("", None),
        )
        for row in found
    ]
    columns = (("code for", ""), ("size", "n"), ("", "b"), ("of the code", "n"), ("such a GPU loads", "n"))
    files = [_file(library) for library in gpu.libraries[:_MAX_FILES]]
    file_columns = (("file", ""), ("size", "n"), ("code for GPUs", "n"), ("", "b"), ("most of it", "w"))
    text = f"{devicecode.summary(report, gpu)}. {devicecode.needed(gpu) or 'One GPU loads one copy of several.'}"
    left = len(gpu.libraries) - len(files)
    return section(
        "gpu",
        "Code for GPUs",
        note(text),
        table(columns, rows),
        table(file_columns, files),
        note(f"{left:,} smaller files are left out here: -o json has them all.") if left else None,
    )


def _file(library: DeviceLibraryReport) -> Element:
    parts = list(library.by_arch.items())
    most = ", ".join(name for name, _ in parts[:_SHOWN_CODES]) + (", …" if len(parts) > _SHOWN_CODES else "")
    return tag(
        "tr",
        path_cell(library.path),
        bytes_(library.size_bytes),
        bytes_(library.device_bytes),
        tag("td", bar((library.device_bytes, 0, 0), library.size_bytes), class_="b"),
        tag("td", most, class_="w"),
    )
