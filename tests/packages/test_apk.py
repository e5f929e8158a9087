import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.model.package import Package
from mlbloat.packages import apk
from mlbloat.packages.installed import Installed
from tests.support.trees import Link, tree_of

Files = dict[str, bytes | str | None]
INSTALLED = """C:Q1abc=
P:musl
V:1.2.5-r0
A:x86_64
T:the musl c library (libc) implementation
p:so:libc.musl-x86_64.so.1=1 cmd:ldd=1.2.5-r0
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
Z:Q1def=
R:libc.musl-x86_64.so.1

C:Q1abc=
P:busybox
V:1.36.1-r29
D:so:libc.musl-x86_64.so.1 !less>1 gone
F:bin
R:busybox
F:usr/share/man/man1
R:busybox.1
F:etc/empty

P:.build-deps
V:20260101.000000
D:busybox>=1 musl~1.2
"""
TREE: Files = {
    "/lib/apk/db/installed": INSTALLED,
    "/etc/apk/world": "busybox@edge>1\n.build-deps=20260101.000000\n",
    "/lib/ld-musl-x86_64.so.1": b"\x7fELF",
    "/lib/libc.musl-x86_64.so.1": Link("ld-musl-x86_64.so.1"),
    "/bin/busybox": b"\x7fELF",
    "/usr/share/man/man1/busybox.1": "text",
}


def packages(files: Files) -> dict[str, Package]:
    return {package.name: package for package in apk.find(tree_of(files)).packages}


@pytest.mark.parametrize("database", ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"])
def test_packages_own_their_regular_files_wherever_the_database_is(database: str) -> None:
    files = dict(TREE)
    files[database] = files.pop("/lib/apk/db/installed")
    found = packages(files)
    assert {name: package.version for name, package in found.items()} == {
        "musl": "1.2.5-r0", "busybox": "1.36.1-r29", ".build-deps": "20260101.000000",
    }  # fmt: skip
    assert found["musl"].files == ("/lib/ld-musl-x86_64.so.1",)
    assert found["busybox"].files == ("/bin/busybox", "/usr/share/man/man1/busybox.1")
    assert found["busybox"].metadata == {"/usr/share/man/man1/busybox.1"}
    assert found["busybox"].database == (database,)


def test_requirements_are_found_by_name_library_and_command_and_conflicts_are_none() -> None:
    found = packages(TREE)
    assert found["busybox"].requires == ("apk:musl@/",)
    assert found[".build-deps"].requires == ("apk:busybox@/", "apk:musl@/")


def test_the_world_file_says_what_was_asked_for() -> None:
    assert {name: package.requested for name, package in packages(TREE).items()} == {
        "musl": False, "busybox": True, ".build-deps": True,
    }  # fmt: skip
    assert packages({**TREE, "/etc/apk/world": None})["musl"].requested is None


def test_a_stanza_that_is_cut_off_is_a_problem_and_the_whole_ones_remain() -> None:
    found = apk.find(tree_of({**TREE, "/lib/apk/db/installed": INSTALLED[: INSTALLED.index("V:1.36")]}))
    assert [package.name for package in found.packages] == ["musl"]
    assert "the stanza of busybox has no version" in found.problems[0].text


def test_a_tree_without_apk_has_nothing_to_say() -> None:
    assert apk.find(tree_of({"/bin/app": b"\x7fELF"})) == Installed()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="PVDFRp:\n/.ab=<", max_size=200).map(str.encode))
def test_any_bytes_leave_a_good_package_standing(noise: bytes) -> None:
    files: Files = {
        "/lib/apk/db/installed": b"P:good\nV:1\nF:bin\nR:good\n\n" + noise,
        "/etc/apk/world": noise,
        "/bin/good": "#!/bin/sh\n",
    }
    assert packages(files)["good"].files == ("/bin/good",)
