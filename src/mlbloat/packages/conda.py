"""Packages of conda environments, from `conda-meta`.

https://docs.conda.io/projects/conda/en/stable/dev-guide/specs/prefix-records.html (records),
conda/models/match_spec.py (specifications), conda/history.py (what was asked for; rattler, pixi and mamba write it into
the records instead). The package cache (`pkgs/`) is no installation.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec

from mlbloat.model.filetree import FileTree
from mlbloat.model.package import Manager, Package
from mlbloat.packages import condacache
from mlbloat.packages.database import DatabaseReader, joined, regular_files, text_of
from mlbloat.packages.describing import describing
from mlbloat.packages.installed import Installed

_META = "/conda-meta"
_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_SPECS = re.compile(r"#\s*(\w+)\s+specs:\s*(.*)")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_SPEC_NAME = re.compile(r"(?:[^\s\[\]=<>!~]*:)?([^\s\[\]=<>!~:]+)")
"""The name in `numpy >=1`, `numpy>=1`, `numpy[version='>=1']`, `channel/subdir::numpy=1`."""
_ADDING = ("update", "install", "create")
_REMOVING = ("remove", "uninstall")


class _PathRecord(msgspec.Struct):
    path: str = msgspec.field(name="_path", default="")


class _PathsData(msgspec.Struct):
    paths: list[_PathRecord] | None = None


class _Record(msgspec.Struct):
    """The fields of a prefix record that count here."""

    name: str
    version: str
    files: list[str] | None = None
    paths_data: _PathsData | None = None
    depends: list[str] | None = None
    requested_spec: str | None = None
    """Of mamba."""
    requested_specs: list[str] | None = None
    """Of rattler and pixi."""

    @property
    def asked_for(self) -> bool:
        return bool(self.requested_specs) or self.requested_spec not in (None, "", "None")


@dataclass(frozen=True, slots=True)
class _Source:
    record: _Record
    path: str
    prefix: str

    @property
    def key(self) -> str:
        return f"{Manager.CONDA}:{self.record.name}@{self.prefix}"


def find(tree: FileTree) -> Installed:
    """Return the packages of every conda environment of the tree."""
    reader = DatabaseReader(tree)
    metas = sorted(path for path in tree.directories() if path.endswith(_META))
    packages = [package for meta in metas for package in _environment(reader, meta)]
    cached = condacache.find(reader)
    return Installed(packages=tuple(packages), cached=cached, problems=reader.problems)


def _environment(reader: DatabaseReader, meta: str) -> Iterator[Package]:
    sources = _one_each(reader, _sources(reader, meta))
    requested = _requested(reader, meta, [source.record for source in sources])
    keys = {source.record.name.lower(): source.key for source in sources}
    for source in sources:
        package = _package(reader.tree, source, keys)
        yield replace(package, requested=None if requested is None else package.name in requested)


def _sources(reader: DatabaseReader, meta: str) -> Iterator[_Source]:
    for path in reader.tree.children(meta):
        content = reader.read(path) if path.endswith(".json") else None
        if content is None:
            continue
        try:
            record = msgspec.json.decode(content, type=_Record)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            reader.broken(path, str(error))
            continue
        if _NAME.fullmatch(record.name) and record.version and record.version.isprintable():
            yield _Source(record, path, posixpath.dirname(meta))
        else:
            reader.broken(path, "it has no valid name and version")


def _one_each(reader: DatabaseReader, sources: Iterable[_Source]) -> list[_Source]:
    by_name: dict[str, _Source] = {}
    for source in sources:
        if source.record.name in by_name:
            reader.broken(source.path, "another record has that name", "the first one counts")
        else:
            by_name[source.record.name] = source
    return list(by_name.values())


def _package(tree: FileTree, source: _Source, keys: Mapping[str, str]) -> Package:
    record = source.record
    listed = record.files or [each.path for each in (record.paths_data and record.paths_data.paths) or ()]
    files = regular_files(tree, (joined(source.prefix, path.lstrip("/")) for path in listed if path))
    files |= regular_files(tree, [source.path])
    names = {name for dependency in record.depends or () for name in _name(dependency)}
    return Package(
        manager=Manager.CONDA,
        name=record.name,
        version=record.version,
        location=source.prefix,
        files=tuple(sorted(files)),
        metadata=describing(files),
        database=(source.path,),
        requires=tuple(sorted({keys[name] for name in names if name in keys} - {source.key})),
    )


def _requested(reader: DatabaseReader, meta: str, records: Iterable[_Record]) -> frozenset[str] | None:
    """Return the names that a user asked for and did not remove since, None when nothing says so."""
    content = reader.read(f"{meta}/history") or b""
    asked = {record.name for record in records if record.asked_for}
    told = bool(asked)
    for line in text_of(content).split("\n"):
        match = _SPECS.match(line)
        if match is None:
            continue
        told = True
        names = set(_names(match[2]))
        if match[1] in _ADDING:
            asked |= names
        elif match[1] in _REMOVING:
            asked -= names
    return frozenset(asked) if told else None


def _names(specs: str) -> Iterator[str]:
    """Yield the package names of a list of match specs, written as Python writes one or, by old conda, with commas."""
    quoted = [single or double for single, double in _QUOTED.findall(specs)]
    for spec in quoted if specs.startswith("[") else specs.split(","):
        yield from _name(spec)


def _name(spec: str) -> Iterator[str]:
    """Yield the package name of a match spec, nothing when it has none."""
    match = _SPEC_NAME.match(spec.strip())
    if match:
        yield match[1].lower()
