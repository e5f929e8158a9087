"""What the code of the paper gets wrong of packages, from an image to the report (docs/measures.md has the formulas).

Its sizes are rounded up to 1 KiB, links count in a package's size but never in what is removed, paths are compared as
texts, conda is what lies in its package cache, and a dependency is followed one step back.
"""

import json

import pytest

from mlbloat import pipeline
from mlbloat.model.report import PackageReport, Report
from mlbloat.pipeline import Request
from tests.support.elf import elf_file
from tests.support.images import Value, oci_archive
from tests.support.trees import Hard, Link

SITE = "/usr/lib/python3/dist-packages"
LISTS = {
    "app": "/usr/bin/app",
    "lib": "/lib/libused.so",  # the tree has it below /usr
    "meta": "/usr/bin/app-link\n/usr/share/doc/meta",
    "docs": "/usr/share/doc/docs/README\n/usr/share/man/man1/app.1",
    "linked": "/usr/lib/liblinked.so\n/usr/lib/liblinked.so.1",
    "small": "/usr/share/small/1\n/usr/share/small/2",
    "sharing": "/usr/share/small/1",
    "empty": "/usr/share/empty",
}
NEEDS = {"app": "lib", "lib": "deep", "deep": "", "meta": "app"}
FILES: dict[str, Value] = {
    "/lib": Link("usr/lib"),
    "/usr/bin/app": elf_file(needed=("libused.so",)),
    "/usr/bin/app-link": Link("app"),
    "/usr/lib/libused.so": elf_file(soname="libused.so"),
    "/usr/share/doc/docs/README": "words",
    "/usr/share/man/man1/app.1": "words",
    "/usr/lib/liblinked.so": Link("liblinked.so.1"),
    "/usr/lib/liblinked.so.1": "never used",
    "/usr/share/small/1": "1",
    "/usr/share/small/2": "22",
    "/usr/share/empty": "",
    "/opt/conda/pkgs/one-1-0/lib/one.dat": "one's only content",
    "/opt/conda/lib/one.dat": Hard("/opt/conda/pkgs/one-1-0/lib/one.dat"),
    "/opt/conda/conda-meta/one-1-0.json": json.dumps({"name": "one", "version": "1", "files": ["lib/one.dat"]}),
    f"{SITE}/egg-1.egg-info/PKG-INFO": "Metadata-Version: 1.0\nName: egg\nVersion: 1\n\n",
    f"{SITE}/egg-1.egg-info/top_level.txt": "egg\n",
    f"{SITE}/egg/__init__.py": "x = 1\n",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    stanzas = (
        f"Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n"
        f"Depends: {NEEDS.get(name, '')}\nRecommends: docs\n"
        for name in (*LISTS, "deep")
    )
    lists: dict[str, Value] = {f"/var/lib/dpkg/info/{name}.list": f"{text}\n" for name, text in LISTS.items()}
    layer = {**FILES, **lists, "/var/lib/dpkg/status": "\n".join(stanzas), "/var/lib/dpkg/info/deep.list": "/.\n"}
    archive = oci_archive(tmp_path_factory.mktemp("image") / "a.tar", [layer], config={"Cmd": ["/usr/bin/app"]})
    return pipeline.scan(Request(reference=f"oci-archive:{archive}"))


@pytest.fixture
def packages(report: Report) -> dict[str, PackageReport]:
    return {package.name: package for package in report.packages}


@pytest.mark.parametrize("name", ["meta", "docs", "empty", "deep"])
def test_a_package_of_links_or_documentation_has_no_bloat_and_is_not_used(
    packages: dict[str, PackageReport], name: str
) -> None:
    assert packages[name].bloat_ratio is None
    assert not packages[name].direct


def test_a_package_with_a_link_beside_a_file_of_no_use_is_pure_bloat(packages: dict[str, PackageReport]) -> None:
    assert packages["linked"].bloat_ratio == 1.0
    assert not packages["linked"].required


def test_sizes_are_bytes(packages: dict[str, PackageReport]) -> None:
    record = len("/usr/share/small/1\n/usr/share/small/2\n")
    assert packages["small"].size_bytes == 1 + 2 + record


def test_a_path_is_the_file_that_it_leads_to_on_a_merged_usr(packages: dict[str, PackageReport]) -> None:
    assert packages["lib"].direct
    assert packages["lib"].used_bytes > 0


def test_a_file_of_two_packages_is_in_both_and_once_in_the_sum(
    packages: dict[str, PackageReport], report: Report
) -> None:
    assert (packages["small"].files, packages["sharing"].files) == (3, 2)
    assert sum(manager.size_bytes for manager in report.managers.values()) == report.totals.size_bytes
    apt = sum(package.size_bytes for package in report.packages if package.manager == "apt")
    # Both have the byte of the file; and dpkg's own database is no package's here, because dpkg is none.
    assert apt == report.managers["apt"].size_bytes + 1


def test_conda_is_what_its_records_say_and_a_hard_link_weighs_once(
    packages: dict[str, PackageReport], report: Report
) -> None:
    assert packages["one"].bloat_ratio == 1.0
    content = len("one's only content")
    record = len(str(FILES["/opt/conda/conda-meta/one-1-0.json"]))
    assert report.managers["conda"].size_bytes == packages["one"].size_bytes == content + record


def test_an_egg_info_is_a_package(packages: dict[str, PackageReport]) -> None:
    assert (packages["egg"].manager, packages["egg"].bloat_ratio) == ("pip", 1.0)


def test_dependencies_are_followed_all_the_way_both_ways_and_recommends_are_none(
    packages: dict[str, PackageReport], report: Report
) -> None:
    assert {name: packages[name].depth for name in ("app", "lib", "deep", "docs")} == {
        "app": 1, "lib": 1, "deep": 2, "docs": None,
    }  # fmt: skip
    assert packages["deep"].required_by == ("apt:lib@/",)
    assert "apt:docs@/" in packages["app"].recommends
    # Whoever depends on what is used is not needed by that, and packages that nothing reaches are reported as well.
    assert (packages["meta"].required, packages["meta"].depth) == (False, None)
