"""How sure it is that nothing needs what goes: each removed file is of one sort, and each sort has a risk."""

import posixpath
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from mlbloat.metrics.contents import Content, ratio
from mlbloat.metrics.groups import largest_first, parent_of
from mlbloat.model.filekind import FileKind
from mlbloat.model.mark import FileClass
from mlbloat.model.removal import RemovedPart, RemovedReport, Risk, RiskyReport
from mlbloat.model.report import Evidence, PackageReport
from mlbloat.model.use import Level

MAX_RISKY = 20


@dataclass(frozen=True, slots=True, eq=False)
class _Sort:
    what: str
    risk: Risk
    needed_if: str


_RANK: dict[Risk, int] = {"low": 0, "medium": 1, "high": 2}
_CACHES = _Sort("caches", "low", "something refills them instead of failing; nothing should")
_DOCUMENTATION = _Sort("documentation and licences", "low", "somebody reads them inside the container")
_BUILDING = _Sort("headers and static archives", "low", "something is compiled in the container")
_TESTS = _Sort("tests", "low", "a program imports its tests")
_RECORDS = _Sort("package records", "low", "something asks for the version of a package that is gone")
_TRANSLATIONS = _Sort("translations", "low", "somebody sets another language")
_BYTECODE = _Sort("bytecode", "low", "start-up time without its source being compiled again matters")
_WHOLE = _Sort("packages of which nothing is needed", "low", "a name that no file of the image states leads there")
_DECLARED = _Sort(
    "packages that are declared, not loaded",
    "medium",
    "a used package loads its dependency by a name made up at run time",
)
_LIBRARIES = _Sort("libraries that nothing names", "medium", "a used package makes up the library's name at run time")
_MODULES = _Sort("modules that nothing imports", "medium", "the module's name comes from data or the network")
_PROGRAMS = _Sort("programs that nothing runs", "medium", "somebody starts them by hand, or by a name from data")
_DATA = _Sort("other files of used packages", "high", "a used package opens them by names made up at run time")
_UNOWNED = _Sort("files that no package owns", "high", "the application opens them by names made up at run time")
_REACHABLE = _Sort("files that another input may need", "high", "an input differs from those of the profile")
_DROPPED = _Sort("files that a `drop:` rule takes from what needs them", "high", "what leads to them runs")

_BY_KIND = {
    FileKind.CACHE: _CACHES,
    FileKind.DOCUMENTATION: _DOCUMENTATION,
    FileKind.HEADERS: _BUILDING,
    FileKind.STATIC_LIBRARY: _BUILDING,
    FileKind.TESTS: _TESTS,
    FileKind.DATABASE: _RECORDS,
}
"""Low, whoever owns it."""
_BY_KIND_IN_USE = {
    FileKind.SHARED_LIBRARY: _LIBRARIES,
    FileKind.DEVICE_CODE: _LIBRARIES,
    FileKind.PYTHON_SOURCE: _MODULES,
    FileKind.PROGRAM: _PROGRAMS,
}
"""Of packages that are used."""
_TRANSLATION = re.compile(r"/LC_MESSAGES/[^/]+\.mo$")
_MODULE = re.compile(r"\.(?:p[lmh]|rb|[cm]?js|lua|tcl|php|jar|class|go|r)$", re.IGNORECASE)
"""Of other languages than Python."""


def removed(contents: Iterable[Content], packages: Sequence[PackageReport], evidence: Evidence) -> RemovedReport:
    """Sort what the keep level of the evidence does not hold."""
    level = Level[evidence.keep.upper()]
    contents = tuple(contents)
    needed = {content.owner.key for content in contents if content.owner is not None and _is_need(content)}
    required = {f"{each.manager}:{each.name}@{each.location}" for each in packages if each.required}
    by_sort: dict[_Sort, list[Content]] = {}
    by_group: dict[tuple[_Sort, str], list[Content]] = {}
    for content in contents:
        if not content.kept_at(level):
            sort = _sort(content, needed, required)
            by_sort.setdefault(sort, []).append(content)
            by_group.setdefault((sort, _group(content)), []).append(content)
    parts = tuple(
        RemovedPart(what=sort.what, risk=sort.risk, files=len(held), size_bytes=_size(held), needed_if=sort.needed_if)
        for sort, held in sorted(by_sort.items(), key=lambda each: (_RANK[each[0].risk], -_size(each[1]), each[0].what))
    )
    riskiest = _riskiest(by_group)
    size_bytes = sum(part.size_bytes for part in parts)
    return RemovedReport(
        files=sum(part.files for part in parts),
        size_bytes=size_bytes,
        low_risk_ratio=ratio(sum(part.size_bytes for part in parts if part.risk == "low"), size_bytes),
        parts=parts,
        riskiest=riskiest,
        advice=_advice(evidence, size_bytes, riskiest),
    )


def _is_need(content: Content) -> bool:
    """As in graph.has_need: documentation and records are no need of a package, configuration only when it is used."""
    owner, path = content.owner, content.path
    if owner is None or path in owner.metadata:
        return False
    return content.mark.file_class is FileClass.USED or (content.kept_at(Level.SAFE) and not path.startswith("/etc/"))


def _sort(content: Content, needed: Collection[str], required: Collection[str]) -> _Sort:
    """The first that fits, as in docs/measures.md."""
    mark = content.mark
    if mark.dropped_by and any(use.level <= Level.SAFE for use in mark.uses):
        return _DROPPED
    if mark.level is not None and mark.level <= Level.SAFE:
        return _REACHABLE
    if content.kind in _BY_KIND:
        return _BY_KIND[content.kind]
    if _TRANSLATION.search(content.path):
        return _TRANSLATIONS
    if content.kind is FileKind.BYTECODE:
        return _BYTECODE
    return _sort_by_owner(content, needed, required)


def _sort_by_owner(content: Content, needed: Collection[str], required: Collection[str]) -> _Sort:
    if content.owner is None:
        return _UNOWNED
    if content.owner.key not in needed:
        return _DECLARED if content.owner.key in required else _WHOLE
    if _MODULE.search(content.path):
        return _MODULES
    return _BY_KIND_IN_USE.get(content.kind, _DATA)


def _group(content: Content) -> str:
    return parent_of(content.path) if content.owner is None else content.owner.key


def _size(held: Iterable[Content]) -> int:
    return sum(content.size_bytes for content in held)


def _riskiest(by_group: dict[tuple[_Sort, str], list[Content]]) -> tuple[RiskyReport, ...]:
    found = [
        RiskyReport(
            group=group,
            what=sort.what,
            risk=sort.risk,
            files=len(held),
            size_bytes=_size(held),
            largest=min(held, key=largest_first).path,
        )
        for (sort, group), held in by_group.items()
        if sort.risk != "low" and _size(held)
    ]
    return tuple(
        sorted(found, key=lambda each: (-_RANK[each.risk], -each.size_bytes, each.group, each.what))[:MAX_RISKY]
    )


def _advice(evidence: Evidence, size_bytes: int, riskiest: tuple[RiskyReport, ...]) -> str:
    if not size_bytes:
        return "Nothing goes at this keep level."
    if not riskiest:
        return "All of it is of low risk; `verify` runs that the profile does not contain prove it."
    place = posixpath.dirname(riskiest[0].largest)
    doubt = (
        f"Add a `verify` run that does what the profile does not; if it needs {_short(riskiest[0].group)}, "
        f'write keep: ["{place}/**"] into the workload file.'
    )
    return doubt if evidence.mode == "traced" else f"Nothing was run: profile the image first. {doubt}"


def _short(group: str) -> str:
    return group if group.startswith("/") else group.rpartition("@")[0]
