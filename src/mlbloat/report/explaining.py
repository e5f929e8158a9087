"""Why a file is kept or a package is there, from a saved report, in the words of `mlbloat explain IMAGE`."""

from collections.abc import Iterator, Mapping

from mlbloat.errors import UsageError
from mlbloat.model.devicecode import sentence
from mlbloat.model.graph import path_between
from mlbloat.model.report import FileReport, PackageReport, Report
from mlbloat.report.units import count, short_key

_NEAR = 5
"""Names suggested, and packages named in one sentence."""


def explain(report: Report, path: str) -> tuple[str, ...]:
    """Follow the rows of files from a path back to the run, rule or convention where its evidence begins."""
    if report.files is None:
        raise UsageError(
            f"cannot explain {path} from this report: it has no rows of files; save it with -o json-files=FILE, or "
            f"explain {report.image.reference} itself"
        )
    rows = {file.path: file for file in report.files}
    file = rows.get(path)
    if file is None:
        raise UsageError(
            f"cannot explain {path} from this report: it has no such file; check the spelling. Symbolic links and "
            f"directories are not in a report: give what they point to, or explain {report.image.reference} itself"
        )
    return (*(_dropped(file) if file.dropped_by else _sentences(file, rows)), *_device_code(path, report))


def _device_code(path: str, report: Report) -> Iterator[str]:
    for library in report.gpu.libraries if report.gpu else ():
        if library.path == path:
            sums = {name: part.bytes for name, part in library.by_arch.items()}
            yield sentence(library.size_bytes, library.device_bytes, sums)


def _dropped(file: FileReport) -> Iterator[str]:
    yield f"{file.path}: removed by the rule drop: {file.dropped_by}"
    if file.reason:
        yield f"without the rule: {file.path}: {file.reason} {file.by}"


def _sentences(file: FileReport, rows: Mapping[str, FileReport]) -> Iterator[str]:
    if file.level in ("traced", "linked", "safe"):
        yield from _chain(file, rows)
        return
    yield f"{file.path}: nothing reached it"
    if not file.owners:
        yield "no package owns it"
    for key in file.owners:
        yield f"owned by the package {key}"
    if file.level == "package":
        yield "kept at --keep package:"
        yield from _chain(file, rows)
    yield f'to keep it, add keep: ["{file.path}"] to the workload file, or a profile run that touches it'


def _chain(file: FileReport, rows: Mapping[str, FileReport]) -> Iterator[str]:
    pin = file.pinned_by
    if pin:
        yield f"{file.path} (pinned): {pin}"
    here: FileReport | None = file
    seen: set[str] = set()
    while here is not None and here.path not in seen:
        seen.add(here.path)
        if f"{here.reason} {here.by}" != pin:
            yield f"{here.path} ({here.level}): {here.reason} {here.by}"
        here, pin = rows.get(here.by), ""


def explain_package(report: Report, name: str) -> tuple[str, ...]:
    """Explain every package of a name or of a `manager:name`, or the one of a key `manager:name@location`."""
    packages = {f"{each.manager}:{each.name}@{each.location}": each for each in report.packages}
    wanted = name.strip().lower()
    found = [
        key for key, each in packages.items() if wanted in (key.lower(), short_key(key.lower()), each.name.lower())
    ]
    if not found:
        near = sorted({each.name for each in report.packages if wanted in each.name.lower()})[:_NEAR]
        hint = f"there is {', '.join(near)}" if near else "`mlbloat convert REPORT -o csv` lists all"
        raise UsageError(f"cannot explain package {name}: the report has no such package; {hint}")
    return tuple(sentence for key in found for sentence in _package(key, packages, report))


def _package(key: str, packages: Mapping[str, PackageReport], report: Report) -> Iterator[str]:
    package = packages[key]
    edges = {each: held.requires for each, held in packages.items()}
    yield f"{key} {package.version}: {count(package.files, 'file')} ({package.used_files} used)"
    yield f"  why it is installed: {_why_installed(key, packages, edges)}"
    yield f"  who needs it: {_who_needs(key, packages, edges)}"
    removal = next((each for each in report.removable if key in (each.package, *each.along)), None)
    if removal is None:
        yield "  as a whole: it stays, or goes only with what requires it"
    else:
        along = f" along with {_some(removal.along)}" if removal.along else ""
        yield f"  as a whole: {removal.package} could go{along}"


def _why_installed(key: str, packages: Mapping[str, PackageReport], edges: Mapping[str, tuple[str, ...]]) -> str:
    package = packages[key]
    if package.requested:
        return "it was asked for by name"
    way = path_between([each for each, held in packages.items() if held.requested], key, edges)
    if way:
        return f"{way[0]} was asked for: {' → '.join(way)}"
    if package.required_by:
        return f"required by {_some(package.required_by)}; nothing says what was asked for by name"
    return "nothing that is installed requires it"


def _who_needs(key: str, packages: Mapping[str, PackageReport], edges: Mapping[str, tuple[str, ...]]) -> str:
    if packages[key].direct:
        return "some of it is used"
    way = path_between([each for each, held in packages.items() if held.direct], key, edges)
    return f"{' → '.join(way)}, and some of {way[0]} is used" if way else "nothing that runs requires it"


def _some(keys: tuple[str, ...]) -> str:
    more = f" and {len(keys) - _NEAR} more" if len(keys) > _NEAR else ""
    return ", ".join(keys[:_NEAR]) + more
