"""Packages of rpm: the SQLite database of rpm 4.16 and later.

https://rpm-software-management.github.io/rpm/manual/ (database), lib/backend/sqlite.c: table `Packages`, one header in
each row; …/manual/boolean_dependencies (rich ones). Databases of the older formats, Berkeley DB and ndb, are named as
what cannot be read.
"""

import sqlite3
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing

from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.package import Manager, Package
from mlbloat.packages.database import DatabaseReader, regular_files
from mlbloat.packages.describing import describing
from mlbloat.packages.graph import Providers
from mlbloat.packages.installed import Installed
from mlbloat.packages.rpmheader import Header, header

_DIRECTORIES = ("/usr/lib/sysimage/rpm", "/var/lib/rpm")
_SQLITE = "rpmdb.sqlite"
_OTHERS = {"Packages": "Berkeley DB", "Packages.db": "ndb"}
MAX_HEADER_BYTES = 64 << 20
MAX_STEPS = 200_000_000
"""Instructions of SQLite's machine for one database; reading 1,000 packages takes some 10,000."""
_STEPS_AT_ONCE = 100_000
_WAL_VERSIONS = slice(18, 20)
_CONDITIONS = ("if", "unless", "without")
_COMPARISONS = ("<", "<=", "=", ">=", ">")
_OPERATORS = ("and", "or", "with", *_COMPARISONS)
_PUBLIC_KEY = "gpg-pubkey"
"""rpm keeps the keys that it trusts as packages of this name; they are none."""


def find(tree: FileTree) -> Installed:
    """Return the packages of rpm's database."""
    reader = DatabaseReader(tree)
    for directory in dict.fromkeys(tree.find(path).path for path in _DIRECTORIES):
        source = f"{directory}/{_SQLITE}"
        if source in tree:
            return Installed(packages=tuple(_packages(reader, source)), problems=reader.problems)
        for name, form in _OTHERS.items():
            entry = tree.get(f"{directory}/{name}")
            if entry is not None and entry.kind is Kind.FILE:
                reader.broken(entry.path, f"it is a {form} database of rpm", "the packages of rpm are not reported")
    return Installed(problems=reader.problems)


def _packages(reader: DatabaseReader, source: str) -> Iterator[Package]:
    headers = _named(each for each in _headers(reader, source) if each.name != _PUBLIC_KEY)
    # A file is a capability too: `/bin/sh`.
    providers = Providers.of(
        (_key(name), (each.name, *each.provides, *each.paths)) for name, each in headers.items()
    )  # fmt: skip
    for name, each in headers.items():
        files = regular_files(reader.tree, each.paths)
        requires = providers.satisfying(_key(name), _needed(each.requires))
        recommends = providers.satisfying(_key(name), _needed(each.recommends))
        yield Package(
            manager=Manager.RPM,
            name=name,
            version=each.version,
            location="/",
            files=tuple(sorted(files)),
            metadata=describing(files),
            database=(source,),
            requires=requires,
            recommends=tuple(key for key in recommends if key not in requires),
        )


def _key(name: str) -> str:
    return f"{Manager.RPM}:{name}@/"


def _needed(dependencies: Iterable[str]) -> Iterator[str]:
    """Yield the names that dependencies ask for, those of rich ones (`(a >= 1 if b)`) without their conditions."""
    for dependency in dependencies:
        if dependency.startswith("("):
            yield from _of_rich(dependency)
        else:
            yield dependency


def _of_rich(dependency: str) -> Iterator[str]:
    """Read word by word, and remember for each open parenthesis whether a condition is being read."""
    conditions = [False, False]
    version = False
    for word in dependency.split():
        opened = word.lstrip("(")
        conditions += [conditions[-1]] * (len(word) - len(opened))
        # A name may have parentheses of its own: `libc.so.6(GLIBC_2.34)(64bit)`.
        closing = max(0, opened.count(")") - opened.count("("))
        name = opened[: len(opened) - closing]
        if name in _CONDITIONS:
            conditions[-1] = True
        elif name == "else":
            conditions[-1] = conditions[-2]
        elif name not in _OPERATORS and name and not version and not conditions[-1]:
            yield name
        version = name in _COMPARISONS
        del conditions[max(2, len(conditions) - closing) :]


def _named(headers: Iterable[Header]) -> dict[str, Header]:
    """Name each package; the same library for two processors, and several kernels, may be installed at once."""
    ordered = sorted(headers, key=lambda each: (each.name, each.architecture, each.version, each.paths))
    architectures = Counter(each.architecture for each in ordered if each.architecture != "noarch")
    ordered.sort(key=lambda each: (each.name, -architectures[each.architecture]))
    found: dict[str, Header] = {}
    for each in ordered:
        names = (each.name, f"{each.name}:{each.architecture}", f"{each.name}:{each.architecture}:{each.version}")
        name = next((name for name in names if name not in found), None)
        if name is not None:
            found[name] = each
    return found


def _headers(reader: DatabaseReader, source: str) -> Iterator[Header]:
    content = reader.read(source)
    if content is None:
        return
    journal = reader.tree.find(f"{source}-wal").entry
    if journal is not None and journal.size_bytes:
        reader.broken(journal.path, "it is a journal that no rpm has merged yet", "what it says is left out")
    try:
        blobs = list(_blobs(content))
    except (sqlite3.Error, ValueError, OverflowError) as error:
        reader.broken(source, f"it is no database of rpm ({error})", "the packages of rpm are not reported")
        return
    for blob in blobs:
        try:
            yield header(blob)
        except (ValueError, struct.error) as error:
            reader.broken(source, str(error), "the rest of it is reported")


def _blobs(content: bytes) -> Iterator[bytes]:
    """Read the rows of `Packages` from a copy in memory, which needs no file and takes no lock."""
    # A database in WAL mode needs files beside it; the journal is dealt with already.
    plain = bytearray(content)
    plain[_WAL_VERSIONS] = b"\1\1"
    deadline = iter(range(MAX_STEPS // _STEPS_AT_ONCE))
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(bytes(plain))
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_HEADER_BYTES)
        connection.set_progress_handler(lambda: next(deadline, None) is None, _STEPS_AT_ONCE)
        connection.execute("PRAGMA trusted_schema = OFF")
        kinds = connection.execute("SELECT type, sql FROM sqlite_master WHERE name = 'Packages'").fetchall()
        if [kind for kind, _ in kinds] != ["table"] or "virtual" in str(kinds[0][1]).lower():
            raise ValueError("it has no table of packages")
        for (blob,) in connection.execute("SELECT blob FROM Packages ORDER BY hnum"):
            if isinstance(blob, bytes):
                yield blob
