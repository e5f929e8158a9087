"""What goes is sorted by how sure it is that nothing needs it; the sorts add up."""

from dataclasses import replace

import pytest

from mlbloat.metrics import measure
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.removal import RemovedReport
from mlbloat.model.report import Evidence
from mlbloat.model.use import Level, LevelName, Reason, Use
from mlbloat.usage.marking import mark
from tests.support.measured import image_of
from tests.support.trees import tree_of

TREE = tree_of(
    {
        "/app/main.py": "x",
        "/opt/left.bin": "x" * 2,
        "/site/used/a.py": "x" * 3,
        "/site/used/b.py": "x" * 4,
        "/site/used/b.so": "x" * 5,
        "/site/used/b.dat": "x" * 6,
        "/site/used/tests/t.dat": "x" * 7,
        "/site/used/__pycache__/b.cpython-311.pyc": "x" * 8,
        "/site/used/tool": "#!xxxxxxx",
        "/site/whole/c.so": "x" * 10,
        "/site/declared/d.so": "x" * 11,
        "/usr/share/doc/used/readme": "x" * 12,
        "/root/.cache/pip/x": "x" * 13,
    }
)


def package(name: str, requires: tuple[str, ...] = ()) -> Package:
    files = tuple(path for path in TREE if path.startswith(f"/site/{name}/") and TREE[path].size_bytes)
    return Package(manager=Manager.PIP, name=name, version="1", location="/site", files=files, requires=requires)


PACKAGES = (package("declared"), package("used", ("pip:declared@/site",)), package("whole"))
INVENTORY = Inventory(packages=PACKAGES, owners={path: (each,) for each in PACKAGES for path in each.files})
USES = (
    Use("/app/main.py", Level.TRACED, Reason.OPENED, "run 'r'"),
    Use("/site/used/a.py", Level.TRACED, Reason.OPENED, "run 'r'"),
)


def removed(
    *uses: Use,
    keep: LevelName = "safe",
    drop: tuple[str, ...] = (),
    traced: bool = True,
    inventory: Inventory = INVENTORY,
) -> RemovedReport:
    found = measure(
        image=image_of(tuple(TREE.values())),
        tree=TREE,
        inventory=inventory,
        marks=mark(TREE, inventory, (*USES, *uses), drop=drop, traced=traced),
        evidence=Evidence(mode="traced" if traced else "static", keep=keep),
    ).removed
    assert found is not None
    return found


def test_each_file_that_goes_is_of_one_sort_with_its_risk() -> None:
    assert [(part.risk, part.size_bytes, part.what) for part in removed().parts] == [
        ("low", 13, "caches"),
        ("low", 12, "documentation and licences"),
        ("low", 10, "packages of which nothing is needed"),
        ("low", 8, "bytecode"),
        ("low", 7, "tests"),
        ("medium", 11, "packages that are declared, not loaded"),
        ("medium", 9, "programs that nothing runs"),
        ("medium", 5, "libraries that nothing names"),
        ("medium", 4, "modules that nothing imports"),
        ("high", 6, "other files of used packages"),
        ("high", 2, "files that no package owns"),
    ]


@pytest.mark.parametrize("keep", ["traced", "linked", "safe", "package"])
def test_the_sorts_add_up_to_what_the_level_does_not_hold(keep: LevelName) -> None:
    found = removed(Use("/site/used/b.py", Level.SAFE, Reason.MAY_IMPORT, "/site/used/a.py"), keep=keep)
    held = {"traced": 4, "linked": 4, "safe": 8, "package": 54}[keep]
    assert found.size_bytes == sum(part.size_bytes for part in found.parts) == 91 - held
    assert found.low_risk_ratio == sum(part.size_bytes for part in found.parts if part.risk == "low") / (91 - held)


def test_a_package_of_which_only_records_stay_is_not_in_use() -> None:
    record = Use("/site/whole/c.so", Level.LINKED, Reason.METADATA, "the packages", pinned=True)
    whole = replace(PACKAGES[2], files=("/site/whole/c.so", "/opt/left.bin"), metadata=frozenset(["/site/whole/c.so"]))
    inventory = Inventory(packages=(whole,), owners=dict.fromkeys(whole.files, (whole,)))
    assert ("packages of which nothing is needed", 2) in [
        (part.what, part.size_bytes) for part in removed(record, inventory=inventory).parts
    ]


def test_below_safe_what_another_input_may_need_is_the_riskiest() -> None:
    found = removed(Use("/site/used/b.so", Level.SAFE, Reason.MAY_LOAD, "/site/used/a.py"), keep="linked")
    assert ("files that another input may need", 5) in [(part.what, part.size_bytes) for part in found.parts]


def test_what_a_rule_takes_from_what_needs_it_is_said() -> None:
    found = removed(Use("/site/used/b.so", Level.SAFE, Reason.MAY_LOAD, "/site/used/a.py"), drop=("**/b.so",))
    (taken,) = (part for part in found.parts if part.what == "files that a `drop:` rule takes from what needs them")
    assert (taken.risk, taken.size_bytes) == ("high", 5)


def test_a_rule_for_what_nothing_reaches_adds_no_risk() -> None:
    assert removed(drop=("/site/**",)) == removed()


def test_the_riskiest_are_named_with_what_to_do() -> None:
    found = removed()
    assert [(each.group, each.size_bytes, each.largest) for each in found.riskiest[:2]] == [
        ("pip:used@/site", 6, "/site/used/b.dat"),
        ("/opt", 2, "/opt/left.bin"),
    ]
    assert 'if it needs pip:used, write keep: ["/site/used/**"] into the workload file' in found.advice


def test_without_a_run_the_first_advice_is_to_run() -> None:
    assert removed(traced=False).advice.startswith("Nothing was run: profile the image first.")


def test_where_nothing_goes_nothing_is_advised() -> None:
    rest = tuple(Use(path, Level.LINKED, Reason.NEEDED, "run 'r'") for path in TREE if TREE[path].size_bytes)
    found = removed(*rest)
    assert (found.files, found.low_risk_ratio, found.parts) == (0, None, ())
    assert found.advice == "Nothing goes at this keep level."
