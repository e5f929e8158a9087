"""A real Debian with environments of Python and conda in it: what is read from the files, and what programs say inside.

Every comparison is exact: a file too many is a failure as much as one that is missing.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mlbloat import pipeline
from mlbloat.image import load, squash
from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.package import Inventory, Package
from mlbloat.model.report import Report
from mlbloat.packages import take_inventory
from mlbloat.pipeline import Request
from tests.support import debian as debians
from tests.support import syft
from tests.support.debian import CONDA, CONDA_SITE, TARGET, USER, USER_SITE, VENV, VENV_SITE, Debian
from tests.support.images import docker_archive, layer_tar
from tests.support.told import by_pip, bytes_of, compiled, of_dpkg, regular

pytestmark = pytest.mark.engine

INFO = "var/lib/dpkg/info"
PYTHONS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    VENV_SITE: (f"{VENV}/bin/python", {}),
    CONDA_SITE: (f"{CONDA}/bin/python3.11", {}),
    USER_SITE: ("/usr/bin/python3", {"HOME": USER}),
    TARGET: ("/usr/bin/python3", {"PYTHONPATH": TARGET}),
}


@pytest.fixture(scope="module")
def debian() -> Iterator[Debian]:
    directory = Path(tempfile.mkdtemp(prefix="mlbloat-debian-", dir="/var/tmp"))  # /tmp may forbid devices
    (directory / "scratch").mkdir()
    try:
        yield debians.make(directory / "root", directory / "scratch")
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def tree(debian: Debian, tmp_path_factory: pytest.TempPathFactory) -> FileTree:
    return squash(load(f"dir:{debian.root}", tmp_path_factory.mktemp("space")))


@pytest.fixture(scope="module")
def inventory(tree: FileTree) -> Inventory:
    return take_inventory(tree)


@pytest.fixture(scope="module")
def report(debian: Debian) -> Report:
    return pipeline.scan(Request(reference=f"dir:{debian.root}"))


def of_manager(inventory: Inventory, manager: str) -> dict[str, Package]:
    return {package.key: package for package in inventory.packages if package.manager == manager}


def test_apt_owns_what_dpkg_lists_and_not_a_file_more(debian: Debian, tree: FileTree, inventory: Inventory) -> None:
    found = {package.name: package for package in of_manager(inventory, "apt").values()}
    told = of_dpkg(debian, tree)
    assert set(found) == set(told)
    assert {"tool", "better", "foreign:i386", "linked", "legacy-path"} <= set(found)
    differing = {name: files ^ set(found[name].files) for name, files in told.items()}
    assert {name: paths for name, paths in differing.items() if paths} == {}
    assert "/usr/bin/tool.plain" in found["tool"].files
    assert "/usr/bin/tool" in found["better"].files
    assert "/usr/lib/legacy/module.ko" in found["legacy-path"].files


@pytest.mark.parametrize("site", PYTHONS)
def test_pip_owns_what_pip_shows(debian: Debian, tree: FileTree, inventory: Inventory, site: str) -> None:
    found = {package.name: package for package in of_manager(inventory, "pip").values() if package.location == site}
    python, variables = PYTHONS[site]
    told = by_pip(
        debian, (python, "-m", "pip", "--disable-pip-version-check"), site, **debian.seeing_pip(python, variables)
    )
    assert set(found) == set(told)
    byte_code = compiled(tree)
    for name, fields in told.items():
        package = found[name]
        assert package.version == fields["Version"][0]
        lines = fields["Files"]
        if lines == ["Cannot locate RECORD or installed-files.txt"]:
            assert name in ("egg", "developed")  # the next test
            continue
        expected = regular(tree, [f"{site}/{line}" for line in lines])
        expected |= regular(tree, [f"{site}/{name}-1.0.egg-info/installed-files.txt"])  # the list does not list itself
        if site == TARGET:  # pip installs elsewhere and moves: what its RECORD calls ../../bin is in bin
            expected |= regular(tree, [f"{site}/{line.removeprefix('../../')}" for line in lines])
        expected = expected.union(*(byte_code[path] for path in expected & byte_code.keys()))
        assert sorted(set(package.files) ^ expected)[:9] == [], name
    assert {name: set(package.requires) for name, package in found.items() if package.requires} == {
        name: {f"pip:{needed}@{site}" for needed in needs if needed in found}
        for name, fields in told.items()
        if (needs := [each.strip() for line in fields["Requires"] for each in line.split(",")])
    }


def test_an_egg_owns_its_directory_and_an_egg_link_its_record_only(tree: FileTree, inventory: Inventory) -> None:
    found = of_manager(inventory, "pip")
    egg = f"{VENV_SITE}/egg-1.0-py3.11.egg"
    assert set(found[f"pip:egg@{VENV_SITE}"].files) >= {
        entry.path for entry in tree.below(egg) if entry.kind is Kind.FILE
    }
    developed = found[f"pip:developed@{VENV_SITE}"].files
    assert f"{VENV_SITE}/developed.egg-link" in developed
    assert not any(path.endswith(".py") for path in developed)
    assert "/srv/developed/developed/__init__.py" not in inventory.owners
    assert "/srv/edited/src/edited/__init__.py" not in inventory.owners


def test_conda_owns_what_its_records_list(debian: Debian, tree: FileTree, inventory: Inventory) -> None:
    found = of_manager(inventory, "conda")
    records = sorted(debian.root.glob(f"{CONDA[1:]}/**/conda-meta/*.json"))
    assert len(records) == len(found) == 4
    for path in records:
        record = json.loads(path.read_text())
        prefix = "/" + str(path.parent.parent.relative_to(debian.root))
        files = regular(tree, [f"{prefix}/{file}" for file in record["files"]])
        assert len(files) == len(record["files"])
        package = found[f"conda:{record['name']}@{prefix}"]
        own = {f"{prefix}/conda-meta/{path.name}"}
        byte_code = compiled(tree)
        assert set(package.files) == files.union(own, *(byte_code[each] for each in files & byte_code.keys()))
        assert package.version == record["version"]


def test_every_byte_has_one_owner_or_none_and_the_sum_is_what_find_counts(
    debian: Debian, tree: FileTree, report: Report
) -> None:
    sizes = bytes_of(debian.run("find", "/", "-xdev", "-type", "f", "-printf", r"%i %s\n"))
    total = sum(sizes.values())
    assert len(sizes) < sum(1 for _ in tree.files()), "hard links are what makes this hard"
    assert report.totals.size_bytes == total
    assert report.totals.files == len(sizes)
    assert sum(manager.size_bytes for manager in report.managers.values()) == total
    assert sum(kind.size_bytes for kind in report.kinds.values()) == total
    assert report.directories[0].path == "/"
    assert report.directories[0].size_bytes == total
    assert all(manager.size_bytes for name, manager in report.managers.items() if name in ("apt", "pip", "conda"))


def test_the_bytes_of_each_package_are_those_of_its_files_hard_links_once(
    debian: Debian, inventory: Inventory, report: Report
) -> None:
    files = {package.key: package.files for package in inventory.packages}
    for package in report.packages:
        states = [
            (debian.root / path[1:]).lstat() for path in files[f"{package.manager}:{package.name}@{package.location}"]
        ]
        assert package.size_bytes == sum({state.st_ino: state.st_size for state in states}.values()), package.name
    linked = next(package for package in report.packages if package.name == "linked")
    # A maintainer script gave one file of it a second name, which no list has.
    assert ("/usr/lib/linked/two" in inventory.owners, linked.size_bytes > 1000) == (False, True)


def test_hard_links_between_the_cache_of_conda_and_its_environments_belong_to_the_environment(
    tree: FileTree, inventory: Inventory, report: Report
) -> None:
    cached = [entry for entry in tree.below(f"{CONDA}/pkgs") if entry.kind is Kind.FILE]
    shared = {entry.inode for entry in cached} & {tree[path].inode for path in inventory.owners}
    assert len(shared) > 500
    assert all(inventory.owners[inventory.counted_as[inode]][0].manager == "conda" for inode in shared)


def test_everything_was_understood(inventory: Inventory) -> None:
    assert inventory.problems == ()


def test_syft_finds_the_same_packages(debian: Debian, inventory: Inventory, tmp_path: Path) -> None:
    image = docker_archive(tmp_path / "image.tar", [syft.tar_of(debian.root)], style="old")
    theirs = {artifact.identity for artifact in syft.artifacts(image)}
    ours = syft.identities(inventory)
    assert theirs - ours == {
        # dpkg says `rc`: its configuration is left, and no file of its payload.
        ("apt", "gone", "1.0-1"),
    }
    assert {identity for identity in ours - theirs if identity[0] != "conda"} == set()
    # Syft's cataloger of conda has no tag for images, so it does not run on one.
    assert {name for manager, name, _ in ours - theirs if manager == "conda"} == {"python", "pip", "libmath", "tables"}


def test_syft_finds_the_same_in_a_distroless_image_of_these_packages(
    debian: Debian, inventory: Inventory, tmp_path: Path
) -> None:
    stanzas = (debian.root / "var/lib/dpkg/status").read_text().strip().split("\n\n")
    kept = [stanza for stanza in stanzas if "Status: install ok installed" in stanza]
    files: dict[str, str | None] = dict.fromkeys(("/var", "/var/lib", "/var/lib/dpkg", "/var/lib/dpkg/status.d"))
    for stanza in kept:
        name = stanza.partition("\n")[0].removeprefix("Package: ")
        sums = [debian.root / f"{INFO}/{stem}.md5sums" for stem in (name, f"{name}:amd64", f"{name}:i386")]
        files[f"/var/lib/dpkg/status.d/{name}"] = stanza.replace("Status: install ok installed\n", "") + "\n"
        files[f"/var/lib/dpkg/status.d/{name}.md5sums"] = "".join(each.read_text() for each in sums if each.exists())
    assert_same_as_syft(
        tmp_path, debian, files, {identity for identity in syft.identities(inventory) if identity[0] == "apt"}
    )


def test_syft_finds_the_same_in_an_image_with_ubuntus_fields(
    debian: Debian, inventory: Inventory, tmp_path: Path
) -> None:
    status = (debian.root / "var/lib/dpkg/status").read_text()
    fields = "Original-Maintainer: Debian <a@debian.org>\nTask: minimal, server\nBuild-Ids: 0123 4567\nGit-Branch: x\n"
    status = status.replace("\nDescription:", f"\n{fields}Description:").replace(
        "\nVersion: 1.0-1\n", "\nVersion: 1.0-1ubuntu2\n"
    )
    release = 'NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n'
    files: dict[str, str | None] = {"/var/lib/dpkg/status": status}
    expected = {
        (manager, name, "1.0-1ubuntu2" if version == "1.0-1" else version)
        for manager, name, version in syft.identities(inventory)
        if manager == "apt"
    }
    assert_same_as_syft(tmp_path, debian, files, expected, release, only_theirs={("apt", "gone", "1.0-1ubuntu2")})


def assert_same_as_syft(
    directory: Path,
    debian: Debian,
    files: Mapping[str, str | None],
    expected: syft.Found,
    release: str = "",
    only_theirs: syft.Found | None = None,
) -> None:
    release = release or (debian.root / "usr/lib/os-release").read_text()
    layer = layer_tar({"/etc/os-release": release, "/etc/debian_version": "12.5\n", **files})
    image = docker_archive(directory / "image.tar", [layer])
    (directory / "space").mkdir()
    inventory = take_inventory(squash(load(f"docker-archive:{image}", directory / "space")))
    assert syft.identities(inventory) == expected
    assert {artifact.identity for artifact in syft.artifacts(image)} - expected == (only_theirs or set())
    assert expected - {artifact.identity for artifact in syft.artifacts(image)} == set()
