"""Packages of Alpine's apk: `installed`, one stanza of single-letter fields per package.

https://wiki.alpinelinux.org/wiki/Apk_spec#Installed_Database_V2; `world` has what was asked for.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlbloat.model.filetree import FileTree
from mlbloat.model.package import Manager, Package
from mlbloat.packages.database import DatabaseReader, regular_files, text_of
from mlbloat.packages.describing import describing
from mlbloat.packages.graph import Providers
from mlbloat.packages.installed import Installed

_DATABASES = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")
_WORLD = "/etc/apk/world"
_NAME = re.compile(r"[A-Za-z0-9._+][A-Za-z0-9._+-]*")
_DEPENDENCY = re.compile(r"([^!<>=~@\s][^<>=~@\s]*)")
"""The name in `so:libc.so=1`, `busybox>=1.36`, `a@testing`; `!a` is a conflict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stanza:
    name: str
    version: str
    needs: tuple[str, ...]
    provides: tuple[str, ...]
    paths: tuple[str, ...]

    @property
    def key(self) -> str:
        return f"{Manager.APK}:{self.name}@/"


def find(tree: FileTree) -> Installed:
    """Return the packages that apk has installed."""
    reader = DatabaseReader(tree)
    source = next((place for path in _DATABASES if (place := reader.place(path)) is not None), None)
    if source is None:
        return Installed(problems=reader.problems)
    stanzas = _one_each(reader, source)
    providers = Providers.of((stanza.key, (stanza.name, *stanza.provides)) for stanza in stanzas.values())
    world = reader.read(_WORLD)
    asked = None if world is None else frozenset(_names(text_of(world)))
    packages = (_package(tree, stanza, source, providers, asked) for stanza in stanzas.values())
    return Installed(packages=tuple(packages), problems=reader.problems)


def _package(
    tree: FileTree, stanza: _Stanza, source: str, providers: Providers, asked: frozenset[str] | None
) -> Package:
    files = regular_files(tree, stanza.paths)
    return Package(
        manager=Manager.APK,
        name=stanza.name,
        version=stanza.version,
        location="/",
        files=tuple(sorted(files)),
        metadata=describing(files),
        database=(source,),
        requires=providers.satisfying(stanza.key, stanza.needs),
        requested=None if asked is None else stanza.name in asked,
    )


def _one_each(reader: DatabaseReader, source: str) -> Mapping[str, _Stanza]:
    content = reader.read(source) or b""
    if content and not content.endswith(b"\n"):
        reader.broken(source, "it is cut off", "packages after that point are not reported")
    found: dict[str, _Stanza] = {}
    for text in text_of(content).split("\n\n"):
        if not text.strip():
            continue
        try:
            stanza = _stanza(text)
        except ValueError as error:
            reader.broken(source, str(error), "the rest of it is reported")
            continue
        if stanza.name in found:
            reader.broken(source, f"it describes {stanza.name} a second time", "the first stanza counts")
        else:
            found[stanza.name] = stanza
    return found


def _stanza(text: str) -> _Stanza:
    fields: dict[str, str] = {}
    paths = []
    directory = ""
    for line in text.split("\n"):
        letter, colon, value = line.partition(":")
        if not colon:
            continue
        if letter == "F":
            directory = value
        elif letter == "R":
            paths.append(f"/{directory}/{value}")
        else:
            fields.setdefault(letter, value)
    name, version = fields.get("P", ""), fields.get("V", "")
    if not _NAME.fullmatch(name):
        raise ValueError(f"a stanza has no valid package name ({name[:80]!r})")
    if not version or not version.isprintable():
        raise ValueError(f"the stanza of {name} has no version")
    return _Stanza(
        name=name,
        version=version,
        needs=tuple(_names(fields.get("D", ""))),
        provides=tuple(_names(fields.get("p", ""))),
        paths=tuple(paths),
    )


def _names(text: str) -> Iterator[str]:
    for word in text.split():
        match = _DEPENDENCY.match(word)
        if match:
            yield match[1]
