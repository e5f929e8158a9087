"""Environments that rattler solves and installs from a channel, read as an image of that directory."""

from pathlib import Path

import pytest

from mlbloat import metrics
from mlbloat.image import load, squash
from mlbloat.model.filetree import FileTree
from mlbloat.model.package import Inventory, Package
from mlbloat.packages import take_inventory
from tests.support.conda import Built, channel, environment

SITE = "lib/python3.11/site-packages"
PACKAGES = (
    Built(name="python", version="3.11.9", files={"bin/python3.11": "#!/bin/sh\n", "lib/python3.11/os.py": "x = 1\n"}),
    Built(name="libmath", files={"lib/libmath.so.1": "ELF" * 100, "include/math.h": "int x;\n"}, form="tar.bz2"),
    Built(
        name="arrays",
        version="2.0",
        files={
            f"{SITE}/arrays/__init__.py": "y = 1\n",
            f"{SITE}/arrays-2.0.dist-info/METADATA": "Name: arrays\nVersion: 2.0\n",
        },
        depends=("python >=3.11,<3.12", "libmath"),
    ),
    Built(
        name="pure",
        files={
            "site-packages/pure/__init__.py": "z = 1\n",
            "site-packages/pure-1.0.dist-info/METADATA": "Name: pure\nVersion: 1.0\nRequires-Dist: arrays\n",
        },
        depends=("python", "arrays >=1"),
        noarch="python",
    ),
    Built(name="data", files={"share/data/table.csv": "1,2\n" * 50}, noarch="generic"),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system with a base environment, another one, and the cache from which both are hard-linked."""
    address = channel(tmp_path_factory.mktemp("channel"), PACKAGES)
    root = tmp_path_factory.mktemp("root")
    cache = root / "opt/conda"
    environment(root / "opt/conda", address, ["python", "data"], cache)
    environment(root / "opt/conda/envs/ml", address, ["pure"], cache)
    (root / f"opt/conda/envs/ml/{SITE}/extra-1.dist-info").mkdir()
    (root / f"opt/conda/envs/ml/{SITE}/extra-1.dist-info/METADATA").write_text(
        "Name: extra\nVersion: 1\nRequires-Dist: pure\n"
    )
    return root


@pytest.fixture(scope="module")
def tree(root: Path, tmp_path_factory: pytest.TempPathFactory) -> FileTree:
    return squash(load(f"dir:{root}", tmp_path_factory.mktemp("space")))


@pytest.fixture(scope="module")
def inventory(tree: FileTree) -> Inventory:
    return take_inventory(tree)


def conda_packages(inventory: Inventory) -> dict[str, Package]:
    return {package.key: package for package in inventory.packages if package.manager == "conda"}


def test_every_environment_has_the_packages_that_were_installed_in_it(inventory: Inventory) -> None:
    assert set(conda_packages(inventory)) == {
        "conda:data@/opt/conda",
        "conda:python@/opt/conda",
        *(f"conda:{name}@/opt/conda/envs/ml" for name in ("arrays", "libmath", "pure", "python")),
    }
    assert inventory.problems == ()


def test_a_package_owns_what_its_archive_holds_where_the_installer_put_it(inventory: Inventory) -> None:
    found = conda_packages(inventory)
    prefix = "/opt/conda/envs/ml"
    assert found[f"conda:libmath@{prefix}"].files == (
        f"{prefix}/conda-meta/libmath-1.0-0.json",
        f"{prefix}/include/math.h",
        f"{prefix}/lib/libmath.so.1",
    )
    # A noarch package is for any Python: the installer chooses the directory of this one's.
    assert f"{prefix}/{SITE}/pure/__init__.py" in found[f"conda:pure@{prefix}"].files


def test_the_graph_and_what_was_asked_for_come_from_the_records(inventory: Inventory) -> None:
    found = conda_packages(inventory)
    prefix = "/opt/conda/envs/ml"
    assert found[f"conda:pure@{prefix}"].requires == (f"conda:arrays@{prefix}", f"conda:python@{prefix}")
    assert {name.split("@")[0]: package.requested for name, package in found.items() if prefix in name} == {
        "conda:arrays": False,
        "conda:libmath": False,
        "conda:pure": True,
        "conda:python": False,
    }


def test_pip_inside_an_environment_sees_the_packages_that_conda_installed(inventory: Inventory) -> None:
    site = f"/opt/conda/envs/ml/{SITE}"
    found = {package.key: package for package in inventory.packages}
    assert found[f"pip:extra@{site}"].requires == (f"pip:pure@{site}",)
    owners = inventory.owners[f"{site}/pure/__init__.py"]
    assert [owner.manager for owner in owners] == ["conda", "pip"]


def test_the_cache_has_all_packages_and_no_bytes_of_its_own_where_they_are_linked(
    tree: FileTree, inventory: Inventory
) -> None:
    assert {package.name for package in inventory.cached} == {"arrays", "data", "libmath", "pure", "python"}
    cached = "/opt/conda/pkgs/libmath-1.0-0/lib/libmath.so.1"
    assert tree[cached].inode == tree["/opt/conda/envs/ml/lib/libmath.so.1"].inode
    assert cached not in inventory.owners
    linked = sum(entry.size_bytes for entry in tree.files())
    assert metrics.size_bytes(tree) < linked
