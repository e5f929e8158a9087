from collections.abc import Mapping

from mlbloat.model.package import Package
from mlbloat.packages import take_inventory
from tests.support.trees import Link, tree_of

INFO = "/var/lib/dpkg/info"
STATUS = "Package: {}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n"
BASE: dict[str, bytes | str | None] = {
    "/var/lib/dpkg/status": STATUS.format("c-library") + STATUS.format("dpkg") + STATUS.format("editor"),
    f"{INFO}/c-library.list": "/sbin/ldconfig\n/usr/bin/localedef\n",
    f"{INFO}/dpkg.list": "/usr/bin/dpkg\n/etc/dpkg/dpkg.cfg\n",
    f"{INFO}/editor.list": "/bin/ed\n",
    "/sbin": Link("usr/sbin"),
    "/usr/sbin/ldconfig": b"\x7fELF",
    "/usr/bin/dpkg": b"\x7fELF",
    "/bin/ed": b"\x7fELF",
}


def packages(files: Mapping[str, bytes | str | None]) -> dict[str, Package]:
    return {package.name: package for package in take_inventory(tree_of(files)).packages}


def test_what_a_program_of_a_package_writes_belongs_to_that_package_and_is_no_evidence() -> None:
    found = packages({**BASE, "/etc/ld.so.cache": b"cache"})["c-library"]
    assert "/etc/ld.so.cache" in found.files
    assert "/etc/ld.so.cache" in found.metadata


def test_dpkg_owns_its_own_databases_but_not_the_control_files_of_packages_that_are_gone() -> None:
    stray = f"{INFO}/gone.postrm"
    found = packages({**BASE, "/var/lib/dpkg/status-old": "x", "/var/lib/dpkg/triggers/File": "", stray: ""})["dpkg"]
    own = {"/var/lib/dpkg/status", "/var/lib/dpkg/status-old", "/var/lib/dpkg/triggers/File"}
    assert own <= set(found.files)
    assert stray not in found.files


def test_without_the_program_nobody_owns_what_it_wrote() -> None:
    files = {**BASE, "/etc/ld.so.cache": b"cache", f"{INFO}/c-library.list": "/bin/other\n"}
    assert "/etc/ld.so.cache" not in take_inventory(tree_of(files)).owners


def test_a_file_that_a_package_lists_stays_with_it_alone() -> None:
    files = {**BASE, "/etc/ld.so.cache": b"cache", f"{INFO}/editor.list": "/bin/ed\n/etc/ld.so.cache\n"}
    assert [package.name for package in take_inventory(tree_of(files)).owners["/etc/ld.so.cache"]] == ["editor"]


def test_accounts_and_downloads_have_no_owner() -> None:
    files = {**BASE, "/etc/passwd": "root:x:0:0::/:/bin/sh\n", "/var/lib/apt/lists/x_InRelease": "lists"}
    owners = take_inventory(tree_of(files)).owners
    assert not owners.keys() & {"/etc/passwd", "/var/lib/apt/lists/x_InRelease"}


def test_the_record_of_a_link_group_belongs_to_the_packages_among_which_it_chooses() -> None:
    record = "/var/lib/dpkg/alternatives/editor"
    files = {**BASE, record: "auto\n/usr/bin/editor\n\n/bin/ed\n-100\n/bin/gone\n10\n"}
    assert [package.name for package in take_inventory(tree_of(files)).owners[record]] == ["editor"]
