"""The report, as it is printed, saved and read again. Its field names are the JSON contract (docs/report.md).

Format history: 1, first.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from mlbloat.model.removal import RemovedReport, SafeOnlyReport
from mlbloat.model.step import StepReport
from mlbloat.model.use import LevelName

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerReport:
    diff_id: str
    created_by: str
    size_bytes: int
    """Content of the merged tree's files that this layer supplies, each inode once."""
    used_bytes: int
    reachable_bytes: int
    unused_bytes: int
    shadowed_bytes: int
    """Content of this layer that a later layer overwrote or deleted; not in `size_bytes`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReport:
    reference: str
    id: str
    digest: str | None
    platform: str
    size_bytes: int
    compressed_bytes: int | None
    config: dict[str, Any]
    layers: tuple[LayerReport, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    name: str
    engine: str
    tracer: str
    seconds: float
    exit: int
    files: int
    """Regular files of the image that this run touched."""
    new_files: int = 0
    """Of these, files that no run before it touched: a profile whose last runs add none is complete."""
    new_bytes: int = 0
    steps: tuple[StepReport, ...] = ()
    """Of a service: what was asked of it."""
    phases: dict[str, int] = field(default_factory=dict)
    """Of a service: regular files that it named first in each phase: start, ready, requests, stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    mode: Literal["static", "traced"]
    keep: LevelName
    runs: tuple[RunReport, ...] = ()
    flags: tuple[str, ...] = ()
    """Plain sentences about what these figures cannot know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    files: int
    """Regular files, each inode once."""
    size_bytes: int
    used_bytes: int
    reachable_bytes: int
    unused_bytes: int
    shadowed_bytes: int
    bloat_ratio: float | None
    """(size - used) / size; None when size is 0."""
    removable_ratio: float | None
    """unused / size; None when size is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelReport:
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerReport:
    packages: int
    files: int
    size_bytes: int
    used_bytes: int
    reachable_bytes: int
    unused_bytes: int
    bloat_ratio: float | None
    removable_ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageReport:
    manager: str
    name: str
    version: str
    location: str
    size_bytes: int
    used_bytes: int
    reachable_bytes: int
    unused_bytes: int
    bloat_ratio: float | None
    """None for a package without payload bytes."""
    files: int
    used_files: int
    requested: bool | None
    direct: bool
    """At least one payload file was used."""
    required: bool
    """A directly accessed package, or one that such a package depends on, transitively."""
    depth: int | None
    """Breadth-first level from the workload, 1 = direct; None: nothing that runs requires it."""
    requires: tuple[str, ...]
    required_by: tuple[str, ...]
    recommends: tuple[str, ...] = ()
    """Installed packages that it recommends and does not require."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindReport:
    """Files of one kind, each inode once."""

    files: int
    size_bytes: int
    used_bytes: int
    reachable_bytes: int
    unused_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePartReport:
    """Code for GPUs of one name, as stored."""

    bytes: int
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLibraryReport:
    """A file with code for GPUs."""

    path: str
    size_bytes: int
    device_bytes: int
    by_arch: dict[str, DevicePartReport]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReport:
    """Code for GPUs in files of the image, each inode once."""

    device_bytes: int
    by_arch: dict[str, DevicePartReport]
    """`sm_90` is machine code, `ptx_90` and `lto_90` are compiled when they are loaded; they add up to the whole."""
    libraries: tuple[DeviceLibraryReport, ...]
    """Most bytes of device code first."""
    loaded_bytes: dict[str, int]
    """GPU → what it loads of all libraries when everything is used."""
    gpus: tuple[str, ...] = ()
    """Those that the image is meant for, as the user said."""
    needed_bytes: int | None = None
    """What these load together; None when nothing was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryReport:
    """Files below a directory, each inode once."""

    path: str
    files: int
    size_bytes: int
    used_bytes: int
    reachable_bytes: int
    unused_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovableReport:
    """A package that could be left out as a whole: nothing of it is needed, and nothing needed requires it."""

    package: str
    """Key."""
    along: tuple[str, ...]
    """Keys of what goes with it: what depends on it, and what nothing else needs then."""
    frees_bytes: int
    """Of all of them together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    rule: str
    severity: Literal["note", "warning", "error"]
    title: str
    bytes: int
    paths: tuple[str, ...]
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SilencedReport:
    """A finding that somebody decided to live with."""

    rule: str
    title: str
    bytes: int
    reason: str
    until: str | None
    """Last day of it, as YYYY-MM-DD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitReport:
    """One limit that `check` held the report against."""

    name: str
    """Of the option, without dashes before it: `max-bloat`."""
    measured: float
    limit: float
    unit: Literal["bytes", "ratio"]
    passed: bool
    packages: tuple[str, ...] = ()
    """Keys of packages to look at when it is exceeded, the worst first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlimReport:
    reference: str
    id: str
    digest: str
    size_bytes: int
    compressed_bytes: int
    reduction_ratio: float | None
    """(bytes before - bytes after) / bytes before, of `size_bytes`. What was shadowed shows in the compressed size."""
    compressed_reduction_ratio: float | None
    """None when the source does not say its compressed size."""
    removed_files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SideReport:
    exit: int
    seconds: float
    steps: tuple[StepReport, ...] = ()
    """Of a service: what was asked of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRun:
    name: str
    kind: Literal["profile", "verify"]
    passed: bool
    original: SideReport
    slim: SideReport
    differences: tuple[str, ...]
    missing: tuple[str, ...] = ()
    """Removed files that the run on the slim image looked for, or that it uses on the original."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What was added to the plan because verification missed it."""

    rounds: int
    """Times that the image was written and verified again."""
    paths: tuple[str, ...]
    """Files that failed runs missed."""
    files: int
    """Regular files added: those, and what they need."""
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    passed: bool
    runs: tuple[VerdictRun, ...]
    held_out: bool
    """At least one run was not part of the profile; otherwise it is verified only on what was profiled."""
    differences: tuple[str, ...] = ()
    """Differences between the two images that are not deletions."""
    repaired: Repair | None = None
    """Only with --repair, when something had to be added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """One regular file by one of its names."""

    path: str
    size_bytes: int
    """0 for further names of a hard-linked file: the column adds up to the image."""
    same_as: str
    """The name that carries the bytes; empty for that name itself."""
    layer: int
    """Index of the layer that supplies it, 0 is the lowest."""
    owners: tuple[str, ...]
    """Keys of packages, highest authority first."""
    kind: str
    file_class: Literal["used", "reachable", "unused"]
    level: LevelName | None
    """The lowest keep level that holds it; None: nothing reaches it."""
    pinned_by: str
    """The rule that keeps it at every level; empty for most."""
    reason: str
    """How evidence leads to it; `by` completes the sentence. Empty where nothing does."""
    by: str
    """A path continues the chain; a run, a rule or a convention is its end."""
    dropped_by: str
    """The `drop:` rule that takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    kind: Literal["mlbloat.report"] = "mlbloat.report"
    format: int = FORMAT
    image: ImageReport
    evidence: Evidence
    totals: Totals
    levels: dict[str, LevelReport]
    """traced, linked, safe, package: what each keep level holds."""
    managers: dict[str, ManagerReport]
    """apt, pip, conda, apk, rpm, npm, unowned."""
    packages: tuple[PackageReport, ...]
    findings: tuple[Finding, ...] = ()
    slim: SlimReport | None = None
    verdict: Verdict | None = None
    gpu: GpuReport | None = None
    """None when no file has code for GPUs, and in reports of older versions."""
    kinds: dict[str, KindReport] = field(default_factory=dict)
    """Sums by what files are for; only kinds that are there."""
    directories: tuple[DirectoryReport, ...] = ()
    """Everything below a directory, at any depth; those with at least 1 % of the image's bytes, in order of path."""
    safe_only: tuple[SafeOnlyReport, ...] = ()
    """The price of safety: what `linked` would not keep, most bytes first."""
    removed: RemovedReport | None = None
    orphans: tuple[DirectoryReport, ...] = ()
    """Where the bytes are that no package owns, most first."""
    removable: tuple[RemovableReport, ...] = ()
    """Most bytes first."""
    silenced: tuple[SilencedReport, ...] = ()
    """Findings that the workload file ignores; not in `findings`."""
    problems: tuple[str, ...] = field(default=())
    """Package databases that could not be read, as sentences."""
    limits: tuple[LimitReport, ...] = ()
    """Only from `check`."""
    files: tuple[FileReport, ...] | None = None
    """In order of path; None: not asked for."""
