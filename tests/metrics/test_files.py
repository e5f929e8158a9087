"""A row for each file: its class, its owner, and the first step of the chain that keeps it."""

from mlbloat.metrics import measure
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.report import Evidence, FileReport
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.marking import mark
from tests.support.measured import image_of
from tests.support.trees import Hard, Link, tree_of

TREE = tree_of(
    {"/app/m.py": "mm", "/cache/a.so": "a" * 9, "/site/a.so": Hard("/cache/a.so"), "/doc": "d", "/link": Link("/doc")}
)
LIBRARY = Package(manager=Manager.PIP, name="lib", version="1", location="/site", files=("/site/a.so",))
INVENTORY = Inventory(
    packages=(LIBRARY,),
    owners={"/site/a.so": (LIBRARY,)},
    counted_as={TREE["/site/a.so"].inode: "/site/a.so"},
)
USES = (
    Use("/app/m.py", Level.TRACED, Reason.OPENED, "run 'r'"),
    Use("/site/a.so", Level.SAFE, Reason.MAY_LOAD, "/app/m.py"),
)


def rows(*, drop: tuple[str, ...] = ()) -> dict[str, FileReport]:
    found = measure(
        image=image_of(tuple(TREE.values())),
        tree=TREE,
        inventory=INVENTORY,
        marks=mark(TREE, INVENTORY, USES, drop=drop, traced=True),
        evidence=Evidence(mode="traced", keep="safe"),
        with_files=True,
    )
    assert found.files is not None
    assert sum(file.size_bytes for file in found.files) == found.totals.size_bytes
    return {file.path: file for file in found.files}


def test_a_file_has_its_class_level_owner_and_reason() -> None:
    file = rows()["/site/a.so"]
    assert (file.size_bytes, file.file_class, file.level) == (9, "reachable", "safe")
    assert (file.owners, file.kind) == (("pip:lib@/site",), "shared libraries")
    assert (file.reason, file.by) == ("may be loaded by", "/app/m.py")


def test_another_name_of_a_file_weighs_nothing_and_says_whose_it_is() -> None:
    file = rows()["/cache/a.so"]
    assert (file.size_bytes, file.same_as, file.file_class) == (0, "/site/a.so", "reachable")


def test_what_nothing_reaches_has_no_reason() -> None:
    file = rows()["/doc"]
    assert (file.file_class, file.level, file.reason, file.by, file.dropped_by) == ("unused", None, "", "", "")


def test_what_a_rule_takes_names_the_rule() -> None:
    assert rows(drop=("**/*.so",))["/site/a.so"].dropped_by == "**/*.so"


def test_only_regular_files_have_rows() -> None:
    assert "/link" not in rows()


def test_rows_are_made_only_when_they_are_asked_for() -> None:
    found = measure(
        image=image_of(tuple(TREE.values())),
        tree=TREE,
        inventory=INVENTORY,
        marks=mark(TREE, INVENTORY, USES, traced=True),
        evidence=Evidence(mode="traced", keep="safe"),
    )
    assert found.files is None
