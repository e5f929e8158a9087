"""Modules that npm installed globally: `…/lib/node_modules`.

https://docs.npmjs.com/cli/v10/configuring-npm/folders. An application's own `node_modules` is the application.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator

import msgspec

from mlbloat.model.filetree import FileTree
from mlbloat.model.package import Manager, Package
from mlbloat.packages.database import DatabaseReader, files_below
from mlbloat.packages.describing import describing
from mlbloat.packages.installed import Installed

_GLOBAL = "/lib/node_modules"
_NAME = re.compile(r"(?:@[a-z0-9~-][\w.~-]*/)?[\w~][\w.~-]*", re.ASCII)


class _Manifest(msgspec.Struct):
    name: str
    version: str


def find(tree: FileTree) -> Installed:
    """Return the global modules, each with all that lies below it: what it needs is in a `node_modules` of its own."""
    reader = DatabaseReader(tree)
    places = sorted(path for path in tree.directories() if path.endswith(_GLOBAL))
    packages = (_package(reader, place, path) for place in places for path in _modules(tree, place))
    found = _one_each(reader, (package for package in packages if package))
    return Installed(packages=found, problems=reader.problems)


def _one_each(reader: DatabaseReader, packages: Iterable[Package]) -> tuple[Package, ...]:
    """Leave out modules that call themselves what another one in their place does."""
    by_key: dict[str, Package] = {}
    for package in packages:
        if by_key.setdefault(package.key, package) is not package:
            reader.broken(package.database[0], "another module has that name", "the first one counts")
    return tuple(by_key.values())


def _modules(tree: FileTree, place: str) -> Iterator[str]:
    for path in tree.children(place):
        yield from tree.children(path) if posixpath.basename(path).startswith("@") else (path,)


def _package(reader: DatabaseReader, place: str, path: str) -> Package | None:
    source = f"{path}/package.json"
    content = reader.read(source) if source in reader.tree else None
    if content is None:
        return None
    try:
        manifest = msgspec.json.decode(content, type=_Manifest)
    except (msgspec.DecodeError, RecursionError) as error:
        reader.broken(source, str(error))
        return None
    if not _NAME.fullmatch(manifest.name) or not manifest.version or not manifest.version.isprintable():
        reader.broken(source, "it has no valid name and version")
        return None
    files = files_below(reader.tree, path)
    return Package(
        manager=Manager.NPM,
        name=manifest.name,
        version=manifest.version,
        location=place,
        files=tuple(sorted(files)),
        metadata=describing(files),
        database=(source,),
        requested=True,
    )
