"""The corpus: what is read from the files of images, what programs say inside, what the kernel shows, and syft."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlbloat import pipeline
from mlbloat.image import load, squash
from mlbloat.model.filetree import FileTree
from mlbloat.model.package import Inventory
from mlbloat.packages import take_inventory
from mlbloat.pipeline import Request
from tests.support import syft
from tests.support.engines import missing, program
from tests.support.told import by_pip, bytes_of, compiled, of_dpkg, regular

pytestmark = [pytest.mark.corpus, pytest.mark.engine]

OF_DOCKER = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/.dockerenv")
"""Docker puts files of its own over these in every container."""
NAMES = os.environ.get("MLBLOAT_CORPUS", "").split() or [""]


@dataclass(frozen=True)
class Container:
    """A container of an image in which nothing runs but a clock."""

    name: str

    def run(self, *command: str, **variables: str) -> str:
        settings = [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]
        return _docker("exec", "--user", "0", *settings, self.name, *command)

    @property
    def merged(self) -> Path:
        """Where the kernel shows its whole file system."""
        return Path(_docker("inspect", "--format", "{{.GraphDriver.Data.MergedDir}}", self.name).strip())


def _docker(*arguments: str) -> str:
    ended = subprocess.run([program("docker"), *arguments], capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param) or missing("MLBLOAT_CORPUS names no image")


@pytest.fixture(scope="module")
def container(name: str) -> Iterator[Container]:
    waiting = ("--network", "none", "--user", "0", "--entrypoint", "sleep", name, "infinity")
    started = Container(_docker("run", "--rm", "--detach", *waiting).strip())
    yield started
    _docker("kill", started.name)


@pytest.fixture(scope="module")
def tree(name: str, tmp_path_factory: pytest.TempPathFactory) -> FileTree:
    return squash(load(f"docker:{name}", tmp_path_factory.mktemp("space")))


@pytest.fixture(scope="module")
def inventory(tree: FileTree) -> Inventory:
    return take_inventory(tree)


def test_syft_finds_the_same_but_for_copies_that_packages_bundle(
    name: str, inventory: Inventory, tmp_path: Path
) -> None:
    image = tmp_path / "image.tar"
    _docker("save", name, "--output", str(image))
    theirs, ours = syft.artifacts(image), syft.identities(inventory)
    image.unlink()
    # No Python of the image finds these by name: they are files of the package that bundles them.
    bundled = {each.identity for each in theirs if _is_inside_a_package(each.path)}
    found = {each.identity for each in theirs}
    assert found - ours <= bundled
    assert {each for each in ours - found if each[0] in ("apt", "pip")} == set()


def _is_inside_a_package(record: str) -> bool:
    """Tell whether the directory of a METADATA does not lie in a place of installation itself."""
    return record.rpartition("-packages/")[2].count("/") > 1


def test_apt_owns_what_dpkg_lists_and_not_a_file_more(
    container: Container, tree: FileTree, inventory: Inventory
) -> None:
    found = {package.name: set(package.files) for package in inventory.packages if package.manager == "apt"}
    told = of_dpkg(container, tree)
    assert set(found) == set(told)
    differing = {name: sorted(found[name] ^ files)[:9] for name, files in told.items() if found[name] != files}
    assert differing == {}


def test_pip_owns_what_pip_shows(container: Container, tree: FileTree, inventory: Inventory) -> None:
    byte_code = compiled(tree)
    differing = {}
    for site in {package.location for package in inventory.packages if package.manager == "pip"}:
        found = {each.name: each for each in inventory.packages if (each.manager, each.location) == ("pip", site)}
        told = by_pip(container, (_python(tree, site), "-m", "pip"), site, PYTHONDONTWRITEBYTECODE="1")
        assert {syft.normalised(name) for name in told} == set(found), site
        for name, fields in told.items():
            package = found[syft.normalised(name)]
            if fields["Location"] != [site]:
                continue  # pip shows the one that comes before it on the path
            assert package.version == fields["Version"][0]
            if fields["Files"] == ["Cannot locate RECORD or installed-files.txt"]:
                # Debian ships an egg-info without a list: the files are those of its own packages.
                assert {inventory.owners[path][0].manager for path in package.files} == {"apt"}
                continue
            listed = regular(tree, [f"{site}/{line}" for line in fields["Files"]])
            differing[name] = set(package.files) ^ listed.union(
                *(byte_code[path] for path in listed & byte_code.keys())
            )
    # Not set against set: to show how two of ten thousand paths differ takes minutes and gigabytes.
    assert {name: sorted(paths)[:9] for name, paths in differing.items() if paths} == {}


def _python(tree: FileTree, site: str) -> str:
    """The Python that has a place on its path."""
    prefix = site.partition("/lib/python")[0]
    return next(path for path in (f"{prefix}/bin/python3", "/usr/bin/python3") if tree.find(path).entry is not None)


def test_every_byte_has_one_owner_or_none_and_the_sum_is_what_the_kernel_shows(
    name: str, container: Container, tree: FileTree
) -> None:
    root = container.merged
    hidden = [part for path in OF_DOCKER for part in ("-not", "-path", f"{root}{path}")]
    command = ["find", str(root), "-xdev", "-type", "f", *hidden, "-printf", r"%i %s\n"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    total = sum(bytes_of(printed.stdout).values()) + sum(tree[path].size_bytes for path in regular(tree, OF_DOCKER))
    report = pipeline.scan(Request(reference=f"docker:{name}"))
    assert report.totals.size_bytes == total
    for sums in (report.managers, report.kinds):
        assert sum(each.size_bytes for each in sums.values()) == total
    assert sum(layer.size_bytes for layer in report.image.layers) == total
    assert report.directories[0].size_bytes == total
