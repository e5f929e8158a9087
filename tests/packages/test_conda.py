import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.model.package import Package
from mlbloat.packages import conda, take_inventory
from tests.support.trees import Hard, Link, tree_of

BASE = "/opt/conda"
ENV = "/opt/conda/envs/ml"
Files = dict[str, bytes | str | None]


def record(
    name: str, files: tuple[str, ...] = (), depends: tuple[str, ...] = (), prefix: str = BASE, version: str = "1.0"
) -> Files:
    """A prefix record, with more fields than anybody reads, and the files that it lists."""
    document = {
        "name": name,
        "version": version,
        "build": "py311_0",
        "build_number": 0,
        "depends": depends,
        "files": files,
        "link": {"source": f"/opt/conda/pkgs/{name}-{version}-py311_0", "type": 1},
        "paths_data": {"paths": [{"_path": path, "path_type": "hardlink"} for path in files], "paths_version": 1},
    }
    written: Files = {f"{prefix}/{path}": f"{name} {path}" for path in files}
    return {**written, f"{prefix}/conda-meta/{name}-{version}-py311_0.json": json.dumps(document)}


def packages(files: Mapping[str, bytes | str | None]) -> dict[str, Package]:
    return {package.key: package for package in conda.find(tree_of(files)).packages}


def test_a_package_owns_what_its_record_lists_and_the_record() -> None:
    files = record("numpy", ("lib/numpy.so", "lib/link.so", "share/doc/numpy/a.html"), version="1.26.4")
    files[f"{BASE}/lib/link.so"] = Link("numpy.so")
    (found,) = packages(files).values()
    meta = f"{BASE}/conda-meta/numpy-1.26.4-py311_0.json"
    assert (found.name, found.version, found.location) == ("numpy", "1.26.4", BASE)
    assert found.files == (meta, f"{BASE}/lib/numpy.so", f"{BASE}/share/doc/numpy/a.html")
    assert found.metadata == {meta, f"{BASE}/share/doc/numpy/a.html"}
    assert found.database == (meta,)


def test_each_environment_has_its_own_packages_and_requirements() -> None:
    found = packages(
        {
            **record("python"),
            **record("numpy", depends=("python >=3.11,<3.12.0a0", "libblas", "__glibc >=2.17", "numpy")),
            **record("python", prefix=ENV),
            **record("libblas", prefix=ENV),
            **record("numpy", depends=("python", "libblas >=3"), prefix=ENV),
        }
    )
    assert found[f"conda:numpy@{BASE}"].requires == (f"conda:python@{BASE}",)
    assert found[f"conda:numpy@{ENV}"].requires == (f"conda:libblas@{ENV}", f"conda:python@{ENV}")


@pytest.mark.parametrize(
    "spec",
    ["b", "b 1.0 py311_0", "b>=1", "b <2", "b=1", "b==1.0", "b!=2", "b~=1.0", "b[version='>=1']", "conda-forge::b 1",
     "conda-forge/linux-64::b>=1", "https://conda.anaconda.org/conda-forge::b", " B "],
)  # fmt: skip
def test_a_dependency_is_found_however_its_specification_is_written(spec: str) -> None:
    found = packages({**record("a", depends=(spec, "c")), **record("b")})
    assert found[f"conda:a@{BASE}"].requires == (f"conda:b@{BASE}",)


@pytest.mark.parametrize("null", ["files", "depends", "paths_data", "requested_specs"])
def test_null_for_a_list_is_an_empty_one(null: str) -> None:
    text = json.dumps({"name": "a", "version": "1", null: None})
    found = conda.find(tree_of({f"{BASE}/conda-meta/a-1-0.json": text}))
    assert [(package.name, package.requires, package.requested) for package in found.packages] == [("a", (), None)]
    assert found.problems == ()


def test_requested_is_what_the_history_added_and_did_not_remove() -> None:
    files = {**record("numpy"), **record("pandas"), **record("scipy"), **record("libblas"), **record("pip")}
    files[f"{BASE}/conda-meta/history"] = (
        "==> 2026-01-01 00:00:00 <==\n# cmd: conda create -n x\n+defaults/linux-64::libblas-1-0\n"
        "# update specs: ['numpy[version=\">=1\"]', \"conda-forge::pandas=2.1\", 'scipy']\n"
        "==> 2026-01-02 00:00:00 <==\n# remove specs: ['scipy']\n# install specs: pip>=23,pip\n"
    )
    requested = {package.name: package.requested for package in packages(files).values()}
    assert requested == {"numpy": True, "pandas": True, "scipy": False, "libblas": False, "pip": True}


@pytest.mark.parametrize("history", [None, "==> 2026-01-01 <==\n+a-1-0\n"])
def test_requested_is_unknown_without_specs_in_the_history(history: str | None) -> None:
    files = record("numpy")
    if history is not None:
        files[f"{BASE}/conda-meta/history"] = history
    assert [package.requested for package in packages(files).values()] == [None]


def test_files_hard_linked_to_the_package_cache_are_owned_in_the_environment_only() -> None:
    files = {"/opt/conda/pkgs/numpy-1.0-py311_0/lib/numpy.so": "content", **record("numpy", ("lib/numpy.so",))}
    files[f"{BASE}/lib/numpy.so"] = Hard("/opt/conda/pkgs/numpy-1.0-py311_0/lib/numpy.so")
    assert set(take_inventory(tree_of(files)).owners) == {
        f"{BASE}/lib/numpy.so",
        f"{BASE}/conda-meta/numpy-1.0-py311_0.json",
    }


def test_a_record_with_paths_data_only_is_read() -> None:
    text = '{"name": "a", "version": "1", "paths_data": {"paths": [{"_path": "bin/a", "path_type": "softlink"}]}}'
    (found,) = packages({f"{BASE}/conda-meta/a-1-0.json": text, f"{BASE}/bin/a": "#!/bin/sh"}).values()
    assert f"{BASE}/bin/a" in found.files


def test_pip_packages_of_an_environment_are_pips_and_see_only_it() -> None:
    site = f"{ENV}/lib/python3.11/site-packages"
    files = {
        **record("python", prefix=ENV),
        f"{site}/extra-1.dist-info/METADATA": "Name: extra\nVersion: 1\nRequires-Dist: lib\n",
        "/usr/lib/python3.11/site-packages/lib-1.dist-info/METADATA": "Name: lib\nVersion: 1\n",
    }
    found = {package.key: package for package in take_inventory(tree_of(files)).packages}
    assert found[f"pip:extra@{site}"].requires == ()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"name": 1, "version": "1"}', '{"name": "a"}', '{"name": "../a", "version": "1"}', "[" * 100_000,
     '{"name": "-a", "version": "1"}',
     '{"name": "a", "version": "1", "files": "' + "\\ud800" + '"}', b'{"name": "a\xff", "version": "1"}'],
)  # fmt: skip
def test_a_broken_record_is_named_and_the_others_remain(text: str | bytes) -> None:
    found = conda.find(tree_of({**record("numpy"), f"{BASE}/conda-meta/broken.json": text}))
    assert [package.name for package in found.packages] == ["numpy"]
    assert found.problems[0].text.startswith(f"cannot read {BASE}/conda-meta/broken.json: ")


def test_a_second_record_of_a_name_is_a_problem() -> None:
    found = conda.find(tree_of({**record("numpy"), **record("numpy", version="2.0")}))
    assert [package.version for package in found.packages] == ["1.0"]
    assert "numpy-2.0-py311_0.json: another record has that name" in found.problems[0].text


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=120) | st.text(alphabet="# update specs:[]'\"=,\n", max_size=120).map(str.encode))
def test_any_bytes_as_databases_leave_a_good_package_standing(noise: bytes) -> None:
    files = {**record("good", ("a",)), f"{BASE}/conda-meta/noise.json": noise, f"{BASE}/conda-meta/history": noise}
    assert f"{BASE}/a" in packages(files)[f"conda:good@{BASE}"].files
