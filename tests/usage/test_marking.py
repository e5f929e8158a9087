"""Uses to marks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.marking import mark, unmatched_rules
from tests.support.trees import Hard, Link, tree_of

NOTHING = Inventory(packages=(), owners={})
TREE = tree_of({"/a": "1", "/b": "22", "/c": "333", "/d": "4444", "/hard": Hard("/d"), "/link": Link("a")})


def use(path: str, level: Level, reason: Reason = Reason.NEEDED, by: str = "/x", *, pinned: bool = False) -> Use:
    return Use(path, level, reason, by, pinned)


def package(name: str, *files: str, requires: tuple[str, ...] = (), metadata: tuple[str, ...] = ()) -> Package:
    keys = tuple(f"apt:{each}@/" for each in requires)
    return Package(
        manager=Manager.APT,
        name=name,
        version="1",
        location="/",
        files=files,
        requires=keys,
        metadata=frozenset(metadata),
    )


def by_path(marks: tuple[Mark, ...]) -> dict[str, Mark]:
    return {each.path: each for each in marks}


def test_every_regular_file_has_one_mark_in_order() -> None:
    marks = mark(TREE, NOTHING, [use("/link", Level.TRACED), use("/gone", Level.TRACED)], traced=True)
    assert [each.path for each in marks] == ["/a", "/b", "/c", "/d", "/hard"]
    assert {each.file_class for each in marks} == {FileClass.UNUSED}


@pytest.mark.parametrize(
    ("traced", "level", "file_class"),
    [
        (True, Level.TRACED, FileClass.USED),
        (True, Level.LINKED, FileClass.REACHABLE),
        (True, Level.SAFE, FileClass.REACHABLE),
        (True, Level.PACKAGE, FileClass.UNUSED),
        (False, Level.LINKED, FileClass.USED),
        (False, Level.SAFE, FileClass.REACHABLE),
    ],
)
def test_the_class_follows_from_the_level(traced: bool, level: Level, file_class: FileClass) -> None:
    found = by_path(mark(TREE, NOTHING, [use("/a", level)], traced=traced))["/a"]
    assert (found.level, found.file_class) == (level, file_class)


def test_a_pin_keeps_a_file_and_does_not_make_it_used() -> None:
    found = by_path(mark(TREE, NOTHING, [use("/a", Level.LINKED, pinned=True)], traced=False))["/a"]
    assert (found.pinned, found.level, found.file_class) == (True, Level.LINKED, FileClass.REACHABLE)


def test_reasons_stand_strongest_first_once_and_in_the_same_order_for_any_input_order() -> None:
    uses = [
        use("/a", Level.SAFE, Reason.MAY_LOAD),
        use("/a", Level.TRACED, Reason.OPENED, "train"),
        use("/a", Level.LINKED),
    ]
    first = mark(TREE, NOTHING, [*uses, uses[0]], traced=True)
    assert [each.level for each in by_path(first)["/a"].uses] == [Level.TRACED, Level.LINKED, Level.SAFE]
    assert mark(TREE, NOTHING, reversed(uses), traced=True) == first


def test_names_of_one_file_stand_together() -> None:
    marks = by_path(mark(TREE, NOTHING, [use("/hard", Level.TRACED)], traced=True))
    assert marks["/d"].level is marks["/hard"].level is Level.TRACED


def test_used_packages_and_what_they_require_are_kept_at_package() -> None:
    packages = (package("p", "/a", "/b", requires=("q",)), package("q", "/c"), package("r", "/d"))
    inventory = Inventory(packages=packages, owners={})
    marks = by_path(mark(TREE, inventory, [use("/a", Level.TRACED)], traced=True))
    assert [marks[path].level for path in ("/a", "/b", "/c", "/d")] == [
        Level.TRACED,
        Level.PACKAGE,
        Level.PACKAGE,
        None,
    ]
    assert marks["/b"].uses == (use("/b", Level.PACKAGE, Reason.SAME_PACKAGE, "/a"),)
    assert marks["/c"].uses == (use("/c", Level.PACKAGE, Reason.REQUIRED_PACKAGE, "apt:p@/"),)
    assert marks["/b"].file_class is FileClass.UNUSED


def test_metadata_is_no_evidence_of_a_package() -> None:
    inventory = Inventory(packages=(package("p", "/a", "/b", metadata=("/a",)),), owners={})
    assert by_path(mark(TREE, inventory, [use("/a", Level.TRACED)], traced=True))["/b"].level is None


def test_packages_that_require_each_other_end() -> None:
    packages = (package("p", "/a", requires=("q",)), package("q", "/b", requires=("p",)))
    marks = by_path(mark(TREE, Inventory(packages=packages, owners={}), [use("/a", Level.TRACED)], traced=True))
    assert marks["/b"].level is Level.PACKAGE


def test_a_keep_rule_pins_at_safe() -> None:
    found = by_path(mark(TREE, NOTHING, [], keep=("/a",), traced=True))["/a"]
    assert found.uses == (use("/a", Level.SAFE, Reason.KEEP_RULE, "/a", pinned=True),)
    assert found.file_class is FileClass.REACHABLE


def test_a_drop_rule_removes_what_no_run_touched() -> None:
    uses = [use("/a", Level.SAFE), use("/b", Level.TRACED), use("/c", Level.LINKED, pinned=True)]
    marks = by_path(mark(TREE, NOTHING, uses, drop=("/?",), traced=True))
    assert (marks["/a"].level, marks["/a"].dropped_by, marks["/a"].file_class) == (None, "/?", FileClass.UNUSED)
    assert (marks["/b"].level, marks["/b"].dropped_by) == (Level.TRACED, "")
    assert (marks["/c"].level, marks["/c"].pinned) == (None, False)


def test_a_keep_rule_is_stronger_than_a_drop_rule() -> None:
    marks = by_path(mark(TREE, NOTHING, [], keep=("/a",), drop=("/?",), traced=True))
    assert (marks["/a"].level, marks["/a"].dropped_by) == (Level.SAFE, "")
    assert marks["/b"].dropped_by == "/?"


def test_a_drop_rule_must_match_every_name_of_a_file() -> None:
    uses = [use("/d", Level.SAFE)]
    assert by_path(mark(TREE, NOTHING, uses, drop=("/d",), traced=True))["/d"].level is Level.SAFE
    assert by_path(mark(TREE, NOTHING, uses, drop=("/d", "/hard"), traced=True))["/d"].level is None


def test_rules_that_match_nothing_are_named() -> None:
    assert unmatched_rules(TREE, ("/a", "/none/**", "*.py")) == ("/none/**", "*.py")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(use, st.sampled_from(["/a", "/b", "/c", "/d", "/hard"]), st.sampled_from(Level), pinned=st.booleans())
    ),
    st.booleans(),
    st.sampled_from([(), ("/a",), ("/?",), ("/**",)]),
    st.sampled_from([(), ("/b",)]),
)
def test_classes_partition_by_inode_and_levels_nest(
    uses: list[Use], traced: bool, drop: tuple[str, ...], keep: tuple[str, ...]
) -> None:
    inventory = Inventory(packages=(package("p", "/a", "/b"), package("q", "/c", "/d")), owners={})
    marks = mark(TREE, inventory, uses, keep=keep, drop=drop, traced=traced)
    classes = {TREE[each.path].inode: each.file_class for each in marks}
    assert all(each.file_class is classes[TREE[each.path].inode] for each in marks)
    for each in marks:
        kept_at_safe = each.level is not None and each.level <= Level.SAFE
        assert kept_at_safe == (each.file_class is not FileClass.UNUSED)
        assert not (each.pinned and each.level is None)
