"""Directories of modules go with their files; all others stay."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlbloat import runtime
from mlbloat.model.filetree import FileTree
from mlbloat.model.use import Level
from mlbloat.packages import take_inventory
from mlbloat.proving import allowed
from mlbloat.slim import emptied, make_plan, write
from mlbloat.verify import compare
from tests.slim.stacks import image_of, marks_keeping, merged, read_layout
from tests.support.images import Members
from tests.support.trees import Link, tree_of

SITE = "/usr/lib/python3/dist-packages"
FILES: dict[str, str | None] = {
    f"{SITE}/gone/__init__.py": "",
    f"{SITE}/gone/data/table.json": "{}",
    f"{SITE}/gone/deep/er/module.py": "",
    f"{SITE}/half/used.py": "",
    f"{SITE}/half/unused/module.py": "",
    f"{SITE}/linked/module.py": "",
    f"{SITE}/linked/link": Link("module.py"),
    f"{SITE}/hollow/empty": None,
    f"{SITE}/hollow/module.py": "",
    f"{SITE}/copied/include/python3.12/token.h": "",
    "/usr/share/docs/gone/example.py": "",
    "/var/cache/program/gone": "",
}
KEPT = f"{SITE}/half/used.py"
GONE = {f"{SITE}/gone", f"{SITE}/gone/data", f"{SITE}/gone/deep", f"{SITE}/gone/deep/er", f"{SITE}/half/unused"}


def left_of(tree: FileTree, *removed: str) -> frozenset[str]:
    """All but files, except one; and without what else is named."""
    kept = {path for path, entry in tree.items() if entry.kind != "file"} | {KEPT}
    return frozenset(kept.difference(removed))


def test_a_directory_goes_when_modules_are_looked_for_there_and_nothing_is_left_in_it() -> None:
    tree = tree_of(FILES)
    assert emptied(tree, left_of(tree), ()) == GONE


@pytest.mark.parametrize(
    ("looked", "stays"),
    [
        (f"{SITE}/gone", {f"{SITE}/gone"}),
        (f"{SITE}/gone/deep/er", {f"{SITE}/gone", f"{SITE}/gone/deep", f"{SITE}/gone/deep/er"}),
        (SITE, set()),
    ],
)
def test_a_directory_that_a_run_looked_at_stays_and_those_above_it(looked: str, stays: set[str]) -> None:
    tree = tree_of(FILES)
    assert emptied(tree, left_of(tree), (looked,)) == GONE - stays


@pytest.mark.parametrize("directory", ["/usr/lib/python3.11", "/opt/venv/lib/python3.12/site-packages", "/lib/pypy3.9"])
def test_the_standard_library_and_environments_are_such_places_and_stay_themselves(directory: str) -> None:
    tree = tree_of({f"{directory}/json/decoder.py": "", f"{directory}/os.py": ""})
    assert emptied(tree, frozenset(), ()) == {f"{directory}/json"}


def test_a_removed_package_cannot_be_imported(tmp_path: Path) -> None:
    layers: list[Members] = [
        {f"{SITE}/gone/__init__.py": "", f"{SITE}/gone/more/__init__.py": ""},
        {KEPT: "answer = 42"},
    ]
    image = image_of(tmp_path, layers)
    tree = merged(image)
    plan = make_plan(image, tree, marks_keeping(tree, KEPT), Level.SAFE)
    assert plan.removed_directories == (f"{SITE}/gone", f"{SITE}/gone/more")
    write(image, plan, tmp_path / "layout")
    slim = merged(read_layout(tmp_path / "layout", tmp_path / "again"))
    for removed in ((*plan.removed, *plan.removed_directories), allowed(tree, slim).removed):
        assert compare(tree, slim, image.config.document, image.config.document, removed) == ()
    runtime.unpack(slim, tmp_path / "rootfs")
    assert tried("gone", tmp_path / f"rootfs{SITE}") == "No module named 'gone'"
    assert tried("half.used", tmp_path / f"rootfs{SITE}") == ""


def test_any_slim_image_may_lack_what_its_plan_left_out_and_its_lists_say_so(tmp_path: Path) -> None:
    gone = f"{SITE}/gone-1.dist-info"
    lists = "".join(f"{path}\n" for path in ("/.", SITE, f"{SITE}/gone", f"{SITE}/gone/__init__.py", gone, KEPT))
    files: dict[str, str] = {
        "/var/lib/dpkg/status": "Package: python3-half\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n",
        "/var/lib/dpkg/info/python3-half.list": lists,
        f"{SITE}/gone/__init__.py": "",
        f"{gone}/METADATA": "Metadata-Version: 2.1\nName: gone\nVersion: 1\n",
        f"{gone}/RECORD": "gone/__init__.py,,\ngone-1.dist-info/METADATA,,\ngone-1.dist-info/RECORD,,\n",
        KEPT: "answer = 42",
    }
    image = image_of(tmp_path, [{**files}])
    tree = merged(image)
    database = [path for path in files if path.startswith(("/var", gone))]
    plan = make_plan(image, tree, marks_keeping(tree, KEPT, *database), Level.SAFE, inventory=take_inventory(tree))
    write(image, plan, tmp_path / "layout")
    slim = merged(read_layout(tmp_path / "layout", tmp_path / "again"))
    may = allowed(tree, slim)
    config = image.config.document
    assert compare(tree, slim, config, config, may.removed, rewritten=may.rewritten) == ()
    assert slim.read(slim["/var/lib/dpkg/info/python3-half.list"]).decode() == f"/.\n{SITE}\n{KEPT}\n"


def tried(module: str, site: Path) -> str:
    program = f"try: import {module}\nexcept ImportError as error: print(error, end='')"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout
