"""A small image that really runs: the shell of this machine, an application, one package, and a file of no use."""

from pathlib import Path

from mlbloat.model.report import LayerReport, ManagerReport, PackageReport, Report, Totals
from tests.support import images, sandbox
from tests.support.images import WHITEOUT, Value

MAIN = """#!/bin/sh
read -r greeting < /app/greeting
echo "$greeting, $1"
"""
OTHER = """#!/bin/sh
cat /app/other
"""
PACKAGE = """Package: unread
Status: install ok installed
Version: 1.0
Architecture: all
Maintainer: nobody
Description: a package that nothing reads

"""


FILE_LIST = """/.
/usr/share/unread
/usr/share/unread/data
/usr/share/doc/unread
/usr/share/doc/unread/copyright
"""
CONFIG = {"Entrypoint": ["/app/main"], "Cmd": ["world"], "Env": ["PATH=/usr/bin:/bin", "MOOD=good"], "User": "0"}


def archive(path: Path) -> Path:
    """Write the image as an OCI archive."""
    return images.oci_archive(path, layers(), config=CONFIG)


def layers() -> list[dict[str, Value]]:
    """Two layers; the second overwrites one file of the first and deletes another."""
    base: dict[str, Value] = {
        **sandbox.shell_files("/bin/sh", "/bin/cat", "/bin/sleep"),
        "/app/greeting": "an older greeting\n",
        "/tmp/download": "x" * 1000,
        "/usr/share/unread/data": "y" * 5000,
        "/usr/share/doc/unread/copyright": "free\n",
        "/var/lib/dpkg/status": PACKAGE,
        "/var/lib/dpkg/info/unread.list": FILE_LIST,
    }
    application: dict[str, Value] = {
        "/app/greeting": "hello\n",
        "/app/main": MAIN,
        "/app/check": OTHER,
        "/app/other": "another input\n",
        "/tmp/download": WHITEOUT,
    }
    return [base, application]


def assert_sums(report: Report) -> None:
    """used + reachable + unused = size, to the byte, for the image, every manager, package and layer."""
    layers, managers = report.image.layers, tuple(report.managers.values())
    parts: tuple[Totals | ManagerReport | PackageReport | LayerReport, ...]
    parts = (report.totals, *managers, *report.packages, *layers)
    for part in parts:
        assert part.used_bytes + part.reachable_bytes + part.unused_bytes == part.size_bytes, part
    for whole in (managers, layers):
        for name in ("size_bytes", "used_bytes", "reachable_bytes", "unused_bytes"):
            assert sum(getattr(part, name) for part in whole) == getattr(report.totals, name), name
    assert report.totals.size_bytes == report.image.size_bytes
    assert report.levels[report.evidence.keep].size_bytes <= report.totals.size_bytes
