import json
from collections.abc import Mapping

from mlbloat.packages import take_inventory
from tests.support.trees import Hard, tree_of

SITE = "/usr/lib/python3/dist-packages"
INFO = "/var/lib/dpkg/info"
STATUS = "Package: {}\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n"
METADATA = "Name: foo\nVersion: 1\n"


Files = Mapping[str, bytes | str | None]


def owners(files: Files, path: str) -> list[str]:
    return [package.key for package in take_inventory(tree_of(files)).owners[path]]


def test_files_of_a_python_package_that_debian_ships_go_to_apt_and_pip_names_them_too() -> None:
    listed = f"{SITE}/foo/__init__.py\n{SITE}/foo-1.egg-info/PKG-INFO\n"
    files: Files = {
        "/var/lib/dpkg/status": STATUS.format("python3-foo"),
        f"{INFO}/python3-foo.list": listed,
        f"{SITE}/foo/__init__.py": "",
        f"{SITE}/foo/__pycache__/__init__.cpython-311.pyc": b"code",
        f"{SITE}/foo-1.egg-info/PKG-INFO": METADATA,
    }
    both = ["apt:python3-foo@/", f"pip:foo@{SITE}"]
    assert owners(files, f"{SITE}/foo/__init__.py") == both
    assert owners(files, f"{SITE}/foo/__pycache__/__init__.cpython-311.pyc") == both
    apt = next(package for package in take_inventory(tree_of(files)).packages if package.manager == "apt")
    assert f"{SITE}/foo-1.egg-info/PKG-INFO" in apt.metadata


def test_files_of_a_python_package_that_conda_ships_go_to_conda() -> None:
    site = "/opt/conda/lib/python3.11/site-packages"
    paths = ["foo/__init__.py", "foo-1.dist-info/METADATA", "foo-1.dist-info/RECORD"]
    document = {"name": "foo", "version": "1", "files": [f"lib/python3.11/site-packages/{path}" for path in paths]}
    files: Files = {
        "/opt/conda/conda-meta/foo-1-0.json": json.dumps(document),
        f"{site}/foo/__init__.py": "",
        f"{site}/foo-1.dist-info/METADATA": METADATA,
        f"{site}/foo-1.dist-info/RECORD": "\n".join(f"{path},," for path in paths),
    }
    assert owners(files, f"{site}/foo/__init__.py") == ["conda:foo@/opt/conda", f"pip:foo@{site}"]


def test_files_that_pip_wrote_over_another_managers_go_to_pip() -> None:
    site = "/opt/conda/lib/python3.11/site-packages"
    old = ["foo/__init__.py", "foo-0.9.dist-info/METADATA"]
    document = {"name": "foo", "version": "0.9", "files": [f"lib/python3.11/site-packages/{path}" for path in old]}
    files: Files = {
        "/opt/conda/conda-meta/foo-0.9-0.json": json.dumps(document),
        f"{site}/foo/__init__.py": "",
        f"{site}/foo-1.dist-info/METADATA": METADATA,
        f"{site}/foo-1.dist-info/RECORD": "foo/__init__.py,,\nfoo-1.dist-info/METADATA,,\n",
    }
    assert owners(files, f"{site}/foo/__init__.py") == [f"pip:foo@{site}", "conda:foo@/opt/conda"]


def test_two_packages_of_one_manager_that_claim_a_file_are_both_named_in_order() -> None:
    files: Files = {
        "/var/lib/dpkg/status": STATUS.format("b") + STATUS.format("a"),
        f"{INFO}/a.list": "/usr/share/common\n",
        f"{INFO}/b.list": "/usr/share/common\n",
        "/usr/share/common": "text",
        "/usr/share/unowned": "text",
    }
    assert owners(files, "/usr/share/common") == ["apt:a@/", "apt:b@/"]
    assert "/usr/share/unowned" not in take_inventory(tree_of(files)).owners


def test_content_with_several_names_counts_under_the_name_of_the_highest_authority() -> None:
    site = "/usr/local/lib/python3.11/site-packages"
    files: Files = {
        "/cache/a.py": "x = 1\n",
        f"{site}/a.py": Hard("/cache/a.py"),
        f"{site}/foo-1.dist-info/METADATA": METADATA,
        f"{site}/foo-1.dist-info/RECORD": "a.py,,\nfoo-1.dist-info/METADATA,,\n",
        "/usr/share/b": Hard("/cache/a.py"),
        "/opt/conda/conda-meta/x-1-0.json": json.dumps({"name": "x", "version": "1", "files": ["share/b", "c"]}),
        "/opt/conda/share/b": Hard("/cache/a.py"),
        "/opt/conda/c": "only name",
        "/srv/1": "nobody's",
        "/srv/2": Hard("/srv/1"),
    }
    tree = tree_of(files)
    # pip wrote its copy last, so to say: nobody ships the record of foo, as in a conda environment after an upgrade.
    assert take_inventory(tree).counted_as == {tree["/cache/a.py"].inode: f"{site}/a.py"}
    without = {path: value for path, value in files.items() if "foo-1" not in path}
    tree = tree_of(without)
    assert take_inventory(tree).counted_as == {tree["/cache/a.py"].inode: "/opt/conda/share/b"}


def test_the_inventory_is_sorted_and_its_owners_are_its_packages() -> None:
    files: Files = {
        "/var/lib/dpkg/status": STATUS.format("zsh") + STATUS.format("bash"),
        f"{INFO}/bash.list": "/bin/bash\n",
        f"{INFO}/zsh.list": "/bin/zsh\n",
        "/bin/bash": b"\x7fELF",
        "/bin/zsh": b"\x7fELF",
        f"{SITE}/foo-1.egg-info/PKG-INFO": METADATA,
    }
    inventory = take_inventory(tree_of(files))
    assert [package.key for package in inventory.packages] == ["apt:bash@/", "apt:zsh@/", f"pip:foo@{SITE}"]
    claimed = {(path, package.key) for package in inventory.packages for path in package.files}
    assert {(path, package.key) for path, found in inventory.owners.items() for package in found} == claimed


def test_a_broken_database_of_one_manager_leaves_the_others_alone() -> None:
    files: Files = {
        "/var/lib/dpkg/status": b"\xff\x00\n",
        "/opt/conda/conda-meta/a.json": "{",
        f"{SITE}/foo-1.egg-info/PKG-INFO": METADATA,
    }
    inventory = take_inventory(tree_of(files))
    assert [package.name for package in inventory.packages] == ["foo"]
    assert [problem.text.split(":")[0] for problem in inventory.problems] == [
        "cannot read /var/lib/dpkg/status",
        "cannot read /opt/conda/conda-meta/a.json",
    ]
