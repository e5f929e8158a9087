"""Python distributions, in every environment of the tree: system, virtual, conda's, `--target` directories.

https://packaging.python.org/specifications/recording-installed-packages/
"""

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from packaging.version import InvalidVersion, Version

from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.package import CachedPackage, Manager, Package
from mlbloat.packages import distinfo, records, requirementfiles
from mlbloat.packages.database import DatabaseReader, files_below, joined, regular_files
from mlbloat.packages.describing import describing
from mlbloat.packages.installed import Installed
from mlbloat.packages.interpreter import marker_environment, path_of, places, scripts
from mlbloat.packages.requirements import Node, edges, optional

_LINK = ".egg-link"
_DATABASE = (
    "METADATA",
    "PKG-INFO",
    "RECORD",
    "WHEEL",
    "INSTALLER",
    "REQUESTED",
    "direct_url.json",
    "entry_points.txt",
    "installed-files.txt",
    "requires.txt",
    "top_level.txt",
)
_OUTSIDE = "../../"
"""How a RECORD in `lib/python` names what lies in its prefix."""
_SBOMS = "sboms"
"""Directory of a dist-info with software bills of materials (PEP 770)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Distribution:
    """One dist-info or egg-info, read."""

    name: str
    version: str
    location: str
    specifiers: tuple[str, ...]
    source: str
    """Path of METADATA or PKG-INFO."""
    files: frozenset[str]
    recorded: bool
    """The files are listed; otherwise they are all that lies under its top-level names."""
    database: tuple[str, ...]
    installer: str
    asked_for: bool
    """It has a REQUESTED file."""

    @property
    def key(self) -> str:
        return f"{Manager.PIP}:{self.name}@{self.location}"


def find(tree: FileTree) -> Installed:
    """Return the distributions that importlib.metadata would find in the image."""
    reader = DatabaseReader(tree)
    found = records.find(tree)
    read = (_distribution(reader, path) for path in found.installed)
    linked = (_linked(reader, path) for path in records.in_sites(tree) if path.endswith(_LINK))
    distributions = _one_each(reader, (each for each in (*read, *linked) if each is not None))
    listed = {path for each in distributions if each.recorded for path in each.files}
    needs, extras = _needs(reader, distributions)
    asked = _Asked.of(tree, distributions, needs)
    packages = tuple(
        replace(_package(each, listed, needs[each.key], asked.for_(each)), integrates=tuple(sorted(extras[each.key])))
        for each in distributions
    )
    cached = tuple(each for path in found.cached if (each := _cached(path)) is not None)
    return Installed(packages=packages, cached=cached, problems=reader.problems)


def _cached(path: str) -> CachedPackage | None:
    """Return the wheel that lies unpacked around a dist-info; its directory's name says enough of it."""
    try:
        told = distinfo.from_directory(posixpath.basename(path))
    except ValueError:
        return None
    return CachedPackage(manager=Manager.PIP, name=told.name, version=told.version, path=posixpath.dirname(path))


def _package(found: _Distribution, listed: set[str], needs: Iterable[str], requested: bool | None) -> Package:
    own = found.files if found.recorded else _not_listed(found, listed)
    return Package(
        manager=Manager.PIP,
        name=found.name,
        version=found.version,
        location=found.location,
        files=tuple(sorted(own)),
        metadata=describing(own),
        database=found.database,
        requires=tuple(sorted(needs)),
        requested=requested,
    )


def _not_listed(found: _Distribution, listed: set[str]) -> frozenset[str]:
    """Return what lies under top-level names less what a RECORD gives to others, as in a namespace package."""
    return (found.files - listed) | found.files.intersection(found.database)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What says which distributions somebody asked for by name."""

    installers: frozenset[tuple[str, str]]
    """Location and installer where REQUESTED files are written."""
    names: frozenset[str]
    """From requirement files in the image."""
    needed: frozenset[str]
    """Keys that some other distribution requires."""

    @classmethod
    def of(cls, tree: FileTree, found: Iterable[_Distribution], needs: Mapping[str, Iterable[str]]) -> "_Asked":
        marked = frozenset((each.location, each.installer) for each in found if each.asked_for)
        unmarked = any((each.location, each.installer) not in marked for each in found)
        names = requirementfiles.names(tree) if unmarked else frozenset()
        return cls(marked, names, frozenset(key for keys in needs.values() for key in keys))

    def for_(self, found: _Distribution) -> bool | None:
        """A missing REQUESTED says no only where the installer writes any; requirement files decide elsewhere."""
        if found.asked_for:
            return True
        if (found.location, found.installer) in self.installers:
            return False
        if found.name in self.names:
            return True
        return False if self.names and found.key in self.needed else None


def _distribution(reader: DatabaseReader, path: str) -> _Distribution | None:
    own = files_below(reader.tree, path) or regular_files(reader.tree, [path])
    source, metadata = _metadata(reader, path) if own else ("", None)
    if metadata is None:
        return None
    claimed = (
        files_below(reader.tree, posixpath.dirname(path)) if path.endswith(records.EGG) else _claimed(reader, path)
    )
    files = own | (_unlisted(reader, path, metadata.name) if claimed is None else claimed)
    specifiers = metadata.requires or distinfo.requires_txt(reader.read(f"{path}/requires.txt") or b"")
    installer = reader.read(f"{path}/INSTALLER") or b""
    return _Distribution(
        name=metadata.name,
        version=metadata.version,
        location=records.location(path),
        specifiers=specifiers,
        source=source,
        files=frozenset(files),
        recorded=claimed is not None,
        database=_database(path, source, own),
        installer=installer.decode("utf-8", "replace").strip(),
        asked_for=f"{path}/REQUESTED" in reader.tree,
    )


def _linked(reader: DatabaseReader, link: str) -> _Distribution | None:
    """Return the distribution that an `.egg-link` points to: `setup.py develop`, and `pip install -e` of old.

    Its modules stay where they are developed and are nobody's: they are the application.
    """
    target = next(iter(distinfo.lines(reader.read(link) or b"")), "")
    source = reader.tree.find(joined(posixpath.dirname(link), target)).path
    name = posixpath.basename(link).removesuffix(_LINK)
    record = next((path for path in reader.tree.children(source) if _is_record_of(path, name)), None)
    found = _distribution(reader, record) if record else None
    if record is None or found is None:
        reader.broken(link, f"nothing that it points to ({target[:80]!r}) describes {name}")
        return None
    own = files_below(reader.tree, record) | {link}
    return replace(found, location=posixpath.dirname(link), files=frozenset(own), recorded=True)


def _is_record_of(path: str, name: str) -> bool:
    stem, extension = posixpath.splitext(posixpath.basename(path))
    return extension == ".egg-info" and stem.replace("-", "_").lower() == name.replace("-", "_").lower()


def _metadata(reader: DatabaseReader, path: str) -> tuple[str, distinfo.Metadata | None]:
    """Return the file that names a distribution, and what it says, or else what the directory's name says."""
    candidates = (f"{path}/METADATA", f"{path}/PKG-INFO", path)
    entries = ((candidate, reader.tree.get(candidate)) for candidate in candidates)
    source = next((name for name, entry in entries if entry and entry.kind is not Kind.DIRECTORY), candidates[0])
    content = reader.read(source)
    try:
        if content is None:
            raise ValueError("it is missing")
        return source, distinfo.metadata(content)
    except ValueError as error:
        return source, _guess(reader, path, source, str(error))


def _guess(reader: DatabaseReader, path: str, source: str, why: str) -> distinfo.Metadata | None:
    try:
        guess = distinfo.from_directory(posixpath.basename(path))
    except ValueError:
        reader.broken(source, why)
        return None
    reader.broken(source, why, "name and version are taken from the directory's name")
    return guess


def _claimed(reader: DatabaseReader, path: str) -> set[str] | None:
    """Return the regular files that a distribution's own list names, None when it has no usable list."""
    for name, base in (("RECORD", posixpath.dirname(path)), ("installed-files.txt", path)):
        content = reader.read(f"{path}/{name}")
        if content is None:
            continue
        try:
            rows = distinfo.record(content) if name == "RECORD" else [(each, None) for each in distinfo.lines(content)]
        except ValueError as error:
            reader.broken(f"{path}/{name}", str(error), "the files under its top-level names are taken instead")
            continue
        places = ((_moved(reader.tree, base, listed), size) for listed, size in rows)
        return _there(reader, f"{path}/{name}", list(places))
    return None


def _moved(tree: FileTree, base: str, listed: str) -> str:
    """Return where a listed file lies. `pip install --target` moves all of a prefix: ../../bin of its RECORD is bin."""
    path = joined(base, listed)
    if listed.startswith(_OUTSIDE) and scripts(base) is None and path not in tree:
        inside = joined(base, listed.removeprefix(_OUTSIDE))
        return inside if inside in tree else path
    return path


def _there(reader: DatabaseReader, path: str, rows: list[tuple[str, int | None]]) -> set[str]:
    """Return the listed files that the tree has, noting a list that the tree contradicts.

    Files that are gone are no contradiction: whoever made the image smaller may have removed them. Commands are none
    either: pipx and tools that move environments write them anew.
    """
    found = regular_files(reader.tree, (listed for listed, _ in rows))
    commands = f"{scripts(posixpath.dirname(posixpath.dirname(path)))}/"
    listed_sizes = ((listed, size) for listed, size in rows if size is not None and listed in found)
    sizes = [(listed, size) for listed, size in listed_sizes if not listed.startswith(commands)]
    changed = [listed for listed, size in sizes if reader.tree[listed].size_bytes != size]
    if changed:
        what = f"{len(changed)} of {len(rows)} files have another size than it says, {changed[0]} is one"
        reader.broken(path, what, "they are reported with the size that they have")
    return found


def _unlisted(reader: DatabaseReader, path: str, name: str) -> set[str]:
    """Return what a distribution without a list of files most likely brought: modules and commands."""
    commands = distinfo.commands(reader.read(f"{path}/entry_points.txt") or b"")
    directory = scripts(posixpath.dirname(path))
    programs = [posixpath.join(directory, command) for command in commands] if directory else []
    return _top_level(reader, path, name) | regular_files(reader.tree, programs)


def _top_level(reader: DatabaseReader, path: str, name: str) -> set[str]:
    """Return the files of the modules and packages that a distribution without a list of files brings."""
    location = posixpath.dirname(path)
    names = distinfo.lines(reader.read(f"{path}/top_level.txt") or b"") or [name.replace("-", "_")]
    wanted = {top for top in names if "/" not in top and top not in (".", "..")}
    found: set[str] = set()
    for child in reader.tree.children(location):
        # `name`, `name.py` and `name.cpython-311-x86_64-linux-gnu.so` all provide `name`.
        base = posixpath.basename(child)
        if base in wanted or (base.split(".")[0] in wanted and base.endswith((".py", ".so"))):
            found |= files_below(reader.tree, child) | regular_files(reader.tree, [child])
    return found


def _database(path: str, source: str, own: set[str]) -> tuple[str, ...]:
    named = [f"{path}/{name}" for name in _DATABASE]
    kept = {file for file in own if file in named or file == path or file.startswith(f"{path}/{_SBOMS}/")}
    return tuple(sorted(kept, key=lambda file: (file != source, file)))


def _one_each(reader: DatabaseReader, found: Iterable[_Distribution]) -> list[_Distribution]:
    """Join records of one name at one location, as a broken upgrade leaves them: the newest version names them."""
    by_key: dict[str, _Distribution] = {}
    for distribution in found:
        other = by_key.get(distribution.key)
        if other is None:
            by_key[distribution.key] = distribution
            continue
        newest, oldest = sorted((other, distribution), key=lambda each: _order(each.version), reverse=True)
        reader.broken(oldest.source, f"version {newest.version} is recorded beside it", "its files count as that one's")
        by_key[distribution.key] = replace(
            newest, files=newest.files | oldest.files, database=(*newest.database, *oldest.database)
        )
    return list(by_key.values())


def _order(version: str) -> tuple[bool, Version, str]:
    try:
        return True, Version(version), version
    except InvalidVersion:
        return False, Version("0"), version


def _needs(
    reader: DatabaseReader, distributions: Iterable[_Distribution]
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return the keys that each key needs, and those that it needs with some extra."""
    distributions = tuple(distributions)
    sources = {found.key: found.source for found in distributions}
    at: dict[str, dict[str, str]] = {}
    for found in distributions:
        at.setdefault(found.location, {})[found.name] = found.key
    known = places(reader, at)
    environments = {place.location: marker_environment(reader.tree, place) for place in known}
    visible = {place.location: _visible(at, path_of(place, known)) for place in known}
    nodes = [
        Node(
            key=found.key,
            specifiers=found.specifiers,
            environment=environments[found.location],
            visible=visible[found.location],
        )
        for found in distributions
    ]

    def broken(key: str, specifier: str) -> None:
        reader.broken(sources[key], f"the requirement {specifier[:80]!r} is not valid", "it is left out")

    return edges(nodes, broken), optional(nodes)


def _visible(at: Mapping[str, Mapping[str, str]], path: Iterable[str]) -> dict[str, str]:
    """Return keys by name; the first location on the path wins, as on sys.path."""
    found: dict[str, str] = {}
    for location in path:
        found = {**at[location], **found}
    return found
