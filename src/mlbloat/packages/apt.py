"""Packages of dpkg and APT, also of distroless images, which keep one stanza per file in `status.d`.

deb822(5), dpkg(1), https://github.com/GoogleContainerTools/distroless/blob/main/PACKAGE_METADATA.md
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mlbloat.model.filetree import FileTree
from mlbloat.model.package import Manager, Package
from mlbloat.packages import dpkg
from mlbloat.packages.database import DatabaseReader, regular_files
from mlbloat.packages.describing import describing
from mlbloat.packages.dpkg import Diversion, Stanza
from mlbloat.packages.installed import Installed

_ADMIN = "/var/lib/dpkg"
_DIVERSIONS = "/var/lib/dpkg/diversions"
_UCF = "/var/lib/ucf/registry"
_EXTENDED_STATES = "/var/lib/apt/extended_states"
_Value = TypeVar("_Value")
_MERGED = re.compile(r"(?:/usr)?/(?:bin|sbin|lib|lib32|lib64|libo32|libx32)/")
_NAMED = 5
"""Packages named in one problem."""
_SCANNED = (".list", ".md5sums")


@dataclass(frozen=True, slots=True)
class _Places:
    """Canonical paths of dpkg's database: a link may stand for any of it."""

    status: str
    status_d: str
    info: str

    @classmethod
    def of(cls, reader: DatabaseReader) -> "_Places":
        paths = (f"{_ADMIN}/{name}" for name in ("status", "status.d", "info"))
        return cls(*(reader.place(path) or path for path in paths))

    @property
    def control(self) -> tuple[str, str]:
        return f"{self.info}/", f"{self.status_d}/"


@dataclass(frozen=True, slots=True)
class _Record:
    """A stanza, its package's name in the report and the file that holds the stanza."""

    stanza: Stanza
    name: str
    source: str

    @property
    def key(self) -> str:
        return f"{Manager.APT}:{self.name}@/"


def find(tree: FileTree) -> Installed:
    """Return the packages that dpkg has unpacked."""
    reader = DatabaseReader(tree)
    places = _Places.of(reader)
    native, records = _records(reader, places)
    all_files = _Files.of(reader, places)
    graph = _Graph.of(records, native)
    automatic = _automatic(reader)
    packages = tuple(
        _package(tree, record, all_files, graph, _requested(record, automatic, native)) for record in records
    )
    return Installed(packages=packages, problems=reader.problems)


def _package(tree: FileTree, record: _Record, all_files: "_Files", graph: "_Graph", requested: bool | None) -> Package:
    claimed = all_files.of_package(record)
    files = regular_files(tree, claimed) | _moved(tree, claimed)
    requires = graph.satisfied(record, record.stanza.depends)
    recommends = graph.satisfied(record, record.stanza.recommends)
    control = {path for path in files if path.startswith(all_files.places.control)}
    lists = sorted(path for path in control if path.endswith(_SCANNED))
    return Package(
        manager=Manager.APT,
        name=record.name,
        version=record.stanza.version,
        location="/",
        files=tuple(sorted(files)),
        metadata=describing(files) | control,
        database=tuple(dict.fromkeys((record.source, *lists))),
        requires=requires,
        recommends=tuple(key for key in recommends if key not in requires),
        essential=record.stanza.essential,
        section=record.stanza.section,
        requested=requested,
    )


def _moved(tree: FileTree, claimed: Iterable[str]) -> set[str]:
    """Return the files that are at the other name of a merged /usr, in a tree without its links.

    `/lib/x` and `/usr/lib/x` are one file to Debian since version 12, whichever the package says
    (https://wiki.debian.org/UsrMerge); an image put together from packages without dpkg may have either.
    """
    merged = [path for path in claimed if _MERGED.match(path) and tree.get(path) is None]
    missing = (path for path in merged if tree.find(path, follow=False).entry is None)
    return regular_files(
        tree, (path.removeprefix("/usr") if path.startswith("/usr/") else f"/usr{path}" for path in missing)
    )


def _records(reader: DatabaseReader, places: _Places) -> tuple[str, list[_Record]]:
    """Return the native architecture and one record per installed package."""
    stanzas = [(stanza, path) for path in _sources(reader.tree, places) for stanza in _stanzas(reader, path)]
    _check_whole(reader, places)
    native = _native([stanza for stanza, _ in stanzas])
    records: dict[str, _Record] = {}
    for stanza, path in stanzas:
        foreign = stanza.architecture not in (native, "all", "")
        name = f"{stanza.name}:{stanza.architecture}" if foreign else stanza.name
        if name in records:
            reader.broken(path, f"it describes {name} a second time", "the first stanza counts")
        else:
            records[name] = _Record(stanza, name, path)
    return native, list(records.values())


def _sources(tree: FileTree, places: _Places) -> list[str]:
    """Return the canonical paths of the files that hold stanzas."""
    paths = [places.status, *(path for path in tree.children(places.status_d) if not path.endswith(_SCANNED))]
    return [there.path for there in map(tree.find, paths) if there.entry is not None]


def _stanzas(reader: DatabaseReader, path: str) -> Iterator[Stanza]:
    return _parsed(reader, path, reader.read(path) or b"", dpkg.stanza)


def _parsed(
    reader: DatabaseReader, path: str, content: bytes, parse: Callable[[bytes], _Value | None]
) -> Iterator[_Value]:
    """Yield what the paragraphs of a file give, noting those that cannot be parsed."""
    for paragraph in dpkg.paragraphs(content):
        try:
            value = parse(paragraph)
        except ValueError as error:
            reader.broken(path, str(error), "the rest of it is reported")
            continue
        if value is not None:
            yield value


def _check_whole(reader: DatabaseReader, places: _Places) -> None:
    """Note what shows that `status` has lost stanzas: a last line without its end, file lists of unknown packages."""
    content = reader.read(places.status)
    if content is None:
        return
    if content and not content.endswith(b"\n"):
        reader.broken(places.status, "it is cut off", "packages after that point are not reported")
    known = dpkg.named(content)
    stems = {
        path.rpartition("/")[2].removesuffix(".list")
        for path in reader.tree.children(places.info)
        if path.endswith(".list")
    }
    lost = sorted(stem for stem in stems if stem.partition(":")[0] not in known)
    if lost:
        some = ", ".join(lost[:_NAMED]) + (", …" if len(lost) > _NAMED else "")
        reader.broken(
            places.status, f"{len(lost)} packages have file lists but no stanza ({some})", "their files are unowned"
        )


def _native(stanzas: Iterable[Stanza]) -> str:
    """Return the architecture of dpkg itself; without dpkg, as in distroless images, the commonest one."""
    architectures = Counter[str]()
    for stanza in stanzas:
        if stanza.architecture not in ("all", ""):
            architectures[stanza.architecture] += 1
            if stanza.name == "dpkg":
                return stanza.architecture
    return min(architectures, key=lambda name: (-architectures[name], name), default="")


@dataclass(frozen=True, slots=True)
class _Files:
    """What each package claims, from all the places that say so."""

    reader: DatabaseReader
    places: _Places
    control: Mapping[str, list[str]]
    """Files of `info` by what stands before their extension, `libc6:amd64` or `bash`."""
    diversions: Mapping[str, Diversion]
    registered: Mapping[str, list[str]]
    """Configuration files that maintainer scripts handed to ucf, by package."""

    @classmethod
    def of(cls, reader: DatabaseReader, places: _Places) -> "_Files":
        control: dict[str, list[str]] = {}
        for path in reader.tree.children(places.info):
            control.setdefault(path.rpartition("/")[2].rpartition(".")[0], []).append(path)
        return cls(reader, places, control, _diversions(reader), dpkg.registered(reader.read(_UCF) or b""))

    def of_package(self, record: _Record) -> list[str]:
        """Return the paths that a package claims, its own control files included."""
        stanza = record.stanza
        stems = (f"{stanza.name}:{stanza.architecture}", stanza.name)
        control = next((self.control[stem] for stem in stems if stem in self.control), [])
        own = [*control]
        if record.source != self.places.status:
            own += [record.source, record.source + ".md5sums"]
        claimed = self._listed(record, own)
        # Conffiles are in a .list, but not in the .md5sums that distroless images have instead.
        configuration = (*stanza.conffiles, *self.registered.get(stanza.name, ()))
        return [*own, *(self._diverted(path, stanza.name) for path in (*claimed, *configuration))]

    def _listed(self, record: _Record, own: Iterable[str]) -> list[str]:
        by_extension = {path.rpartition(".")[2]: path for path in own}
        for extension, parse in (("list", dpkg.listed), ("md5sums", dpkg.summed)):
            path = by_extension.get(extension)
            if path is not None and self.reader.tree.find(path).entry is not None:
                content = self.reader.read(path)
                return [] if content is None else parse(content)
        missing = f"{self.places.info}/{record.name}.list"
        self.reader.broken(missing, "it is missing", "the files of that package are unowned")
        return []

    def _diverted(self, path: str, name: str) -> str:
        diversion = self.diversions.get(path)
        return path if diversion is None or diversion.by == name else diversion.target


def _diversions(reader: DatabaseReader) -> dict[str, Diversion]:
    try:
        return dpkg.diversions(reader.read(_DIVERSIONS) or b"")
    except ValueError as error:
        reader.broken(_DIVERSIONS, str(error), "diverted files are reported under their first name")
        return {}


def _automatic(reader: DatabaseReader) -> frozenset[tuple[str, str]] | None:
    content = reader.read(_EXTENDED_STATES)
    return None if content is None else frozenset(_parsed(reader, _EXTENDED_STATES, content, dpkg.automatic))


def _requested(record: _Record, automatic: frozenset[tuple[str, str]] | None, native: str) -> bool | None:
    """APT files packages for all architectures under the native one."""
    if automatic is None:
        return None
    architecture = record.stanza.architecture
    return (record.stanza.name, native if architecture == "all" else architecture) not in automatic


@dataclass(frozen=True, slots=True)
class _Graph:
    """Who satisfies which dependency."""

    named: Mapping[str, list[_Record]]
    providers: Mapping[str, list[_Record]]
    native: str

    @classmethod
    def of(cls, records: Iterable[_Record], native: str) -> "_Graph":
        named: dict[str, list[_Record]] = {}
        providers: dict[str, list[_Record]] = {}
        for record in records:
            named.setdefault(record.stanza.name, []).append(record)
            for name in record.stanza.provides:
                providers.setdefault(name, []).append(record)
        return cls(named, providers, native)

    def satisfied(self, record: _Record, groups: Iterable[Iterable[dpkg.Relation]]) -> tuple[str, ...]:
        """Return the keys of the installed packages that satisfy relations of a package."""
        keys = {chosen.key for group in groups for chosen in self._chosen(record, group)}
        return tuple(sorted(keys - {record.key}))

    def _chosen(self, record: _Record, group: Iterable[dpkg.Relation]) -> list[_Record]:
        """Return the first installed alternative; of a virtual package every provider, since any may be the one."""
        for name, qualifier in group:
            if name in self.named:
                return [self._of_architecture(record, self.named[name], qualifier)]
            if name in self.providers:
                return self.providers[name]
        return []

    def _of_architecture(self, record: _Record, candidates: Sequence[_Record], qualifier: str) -> _Record:
        wanted = record.stanza.architecture if qualifier in ("", "any", "native") else qualifier
        wanted = self.native if wanted == "all" else wanted
        return next((other for other in candidates if other.stanza.architecture == wanted), candidates[0])
