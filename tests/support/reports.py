"""Reports with chosen figures, for tests of what is made of a report."""

from dataclasses import replace
from typing import Any

from mlbloat.model.report import (
    Evidence,
    Finding,
    ImageReport,
    LayerReport,
    LevelReport,
    ManagerReport,
    PackageReport,
    Report,
    RunReport,
    SideReport,
    SlimReport,
    Totals,
    Verdict,
    VerdictRun,
)


def report(*, used: int = 60, reachable: int = 30, unused: int = 10) -> Report:
    """A traced report of an image with one layer and one package."""
    size = used + reachable + unused
    bloat = (size - used) / size if size else None
    removable = unused / size if size else None
    sums: dict[str, Any] = {
        "size_bytes": size,
        "used_bytes": used,
        "reachable_bytes": reachable,
        "unused_bytes": unused,
    }
    return Report(
        image=ImageReport(
            reference="docker:app:1",
            id="sha256:" + "a" * 64,
            digest=None,
            platform="linux/amd64",
            compressed_bytes=None,
            config={"User": "app"},
            size_bytes=size,
            layers=(LayerReport(diff_id="sha256:" + "b" * 64, created_by="RUN  make\n it", shadowed_bytes=5, **sums),),
        ),
        evidence=Evidence(
            mode="traced",
            keep="safe",
            runs=(RunReport(name="train", engine="runc", tracer="seccomp", seconds=1.5, exit=0, files=3),),
            flags=("a flag",),
        ),
        totals=Totals(files=3, shadowed_bytes=5, bloat_ratio=bloat, removable_ratio=removable, **sums),
        levels={
            "traced": LevelReport(files=1, size_bytes=used),
            "linked": LevelReport(files=1, size_bytes=used),
            "safe": LevelReport(files=2, size_bytes=used + reachable),
            "package": LevelReport(files=2, size_bytes=used + reachable),
        },
        managers={
            "apt": ManagerReport(packages=1, files=3, bloat_ratio=bloat, removable_ratio=removable, **sums),
            "unowned": ManagerReport(
                packages=0,
                files=0,
                size_bytes=0,
                used_bytes=0,
                reachable_bytes=0,
                unused_bytes=0,
                bloat_ratio=None,
                removable_ratio=None,
            ),
        },
        packages=(
            PackageReport(
                manager="apt",
                name="libx",
                version="1.0",
                location="/",
                bloat_ratio=bloat,
                files=3,
                used_files=1,
                requested=True,
                direct=True,
                required=True,
                depth=1,
                requires=(),
                required_by=(),
                **sums,
            ),
        ),
        findings=(
            Finding(
                rule="apt-lists",
                severity="warning",
                title="package lists",
                bytes=7,
                paths=("/var/lib/apt/lists/a",),
                advice="rm -rf /var/lib/apt/lists/*",
            ),
        ),
        problems=("cannot read /var/lib/dpkg/status",),
    )


def slimmed(*, passed: bool = True, held_out: bool = True, runs: bool = True) -> Report:
    """The same with a slim image and its verdict."""
    side = SideReport(exit=0, seconds=1.0)
    run = VerdictRun(
        name="check", kind="verify", passed=passed, original=side, slim=side, differences=() if passed else ("exit 1",)
    )
    return replace(
        report(),
        slim=SlimReport(
            reference="docker:app:slim",
            id="sha256:" + "c" * 64,
            digest="sha256:" + "d" * 64,
            size_bytes=50,
            compressed_bytes=20,
            reduction_ratio=0.5,
            compressed_reduction_ratio=None,
            removed_files=1,
        ),
        verdict=Verdict(passed=passed, held_out=held_out, runs=(run,) if runs else ()),
    )
