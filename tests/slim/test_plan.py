"""What stays in which layer."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.image import Image
from mlbloat.model.plan import Plan
from mlbloat.model.use import Level
from mlbloat.slim import make_plan, write
from mlbloat.verify import compare
from tests.slim.stacks import image_of, mark, marks_keeping, merged, read_layout
from tests.support.images import OPAQUE, WHITEOUT, Fifo, Member, Members, Value
from tests.support.trees import Hard, Link


def planned(image: Image, *kept: str) -> Plan:
    tree = merged(image)
    return make_plan(image, tree, marks_keeping(tree, *kept), Level.SAFE)


def shown(plan: Plan) -> list[list[str]]:
    """Members per layer: the path, with the kind of what is no plain file or directory."""
    plain = (Kind.FILE, Kind.DIRECTORY)
    return [
        [entry.path if entry.kind in plain else f"{entry.path} {entry.kind}" for entry in layer.members]
        for layer in plan.layers
    ]


def slimmed(image: Image, plan: Plan, directory: Path) -> FileTree:
    write(image, plan, directory / "layout")
    return merged(read_layout(directory / "layout", directory / "again"))


def differences(image: Image, plan: Plan, directory: Path) -> tuple[str, ...]:
    """What the written image has but a deletion, by the product's own comparison."""
    slim = slimmed(image, plan, directory)
    return compare(merged(image), slim, image.config.document, image.config.document, plan.removed)


def test_unreached_files_go_and_directories_links_and_special_files_stay(tmp_path: Path) -> None:
    layer: Members = {"/d": None, "/d/used": "u", "/d/unused": "x", "/link": Link("d/unused"), "/pipe": Fifo()}
    plan = planned(image_of(tmp_path, [layer]), "/d/used")
    assert shown(plan) == [["/d", "/d/used", "/link symlink", "/pipe fifo"]]
    assert plan.removed == ("/d/unused",)
    assert plan.kept == {"/", "/d", "/d/used", "/link", "/pipe"}
    assert plan.layers[0].removed == 1


@pytest.mark.parametrize(
    ("level", "pinned", "stays"),
    [
        (Level.TRACED, False, True),
        (Level.LINKED, False, True),
        (Level.SAFE, False, False),
        (None, False, False),
        (None, True, True),
    ],
)
def test_a_file_stays_up_to_its_level_or_when_pinned(
    tmp_path: Path, level: Level | None, pinned: bool, stays: bool
) -> None:
    image = image_of(tmp_path, [{"/f": "x"}])
    plan = make_plan(image, merged(image), (mark("/f", level, pinned=pinned),), Level.LINKED)
    assert ("/f" in plan.kept) is stays
    assert (plan.removed == ("/f",)) is not stays


def test_a_file_without_a_mark_stays(tmp_path: Path) -> None:
    image = image_of(tmp_path, [{"/f": "x"}])
    assert make_plan(image, merged(image), (), Level.TRACED).removed == ()


def test_all_names_of_a_hard_linked_file_stay_when_one_does(tmp_path: Path) -> None:
    image = image_of(tmp_path, [{"/a": "x", "/b": Hard("/a"), "/c": Hard("/b"), "/d": "y"}])
    assert shown(planned(image, "/c")) == [["/a", "/b hardlink", "/c hardlink"]]
    assert planned(image, "/d").removed == ("/a", "/b", "/c")


def test_shadowed_content_goes_with_the_whiteout_that_hid_it(tmp_path: Path) -> None:
    image = image_of(tmp_path, [{"/a": "old", "/b": "b", "/c": "c"}, {"/a": "new", "/b": WHITEOUT}])
    assert shown(planned(image, "/a", "/c")) == [["/c"], ["/a"]]


def test_a_layer_that_only_deleted_is_dropped(tmp_path: Path) -> None:
    image = image_of(tmp_path, [{"/d": None, "/d/a": "a", "/k": "k"}, {"/d/a": WHITEOUT}])
    plan = planned(image, "/k")
    assert [layer.layer for layer in plan.layers] == [0]
    assert shown(plan) == [["/d", "/k"]]


def test_a_layer_that_loses_nothing_keeps_every_member(tmp_path: Path) -> None:
    image = image_of(tmp_path, [{"/d": None, "/d/a": "a"}, {"/d": None, "/d/b": "b"}])
    plan = planned(image, "/d/a")
    assert plan.layers[0].members == image.layers[0].entries
    assert [layer.removed for layer in plan.layers] == [0, 1]


def test_a_directory_stays_in_the_layer_that_keeps_a_file_in_it_and_where_it_was_described_last(
    tmp_path: Path,
) -> None:
    image = image_of(tmp_path, [{"/d": Member(value=None, mode=0o700), "/d/a": "a"}, {"/d": None, "/d/b": "b"}])
    plan = planned(image, "/d/a")
    assert shown(plan) == [["/d", "/d/a"], ["/d"]]
    assert differences(image, plan, tmp_path / "out") == ()


def test_a_whiteout_stays_while_the_holder_of_a_kept_hard_link_is_below_it(tmp_path: Path) -> None:
    image = image_of(tmp_path, [{"/d": None, "/d/holder": "x", "/name": Hard("/d/holder")}, {"/d": WHITEOUT}])
    plan = planned(image, "/name")
    assert shown(plan) == [["/d/holder", "/name hardlink"], ["/d whiteout"]]
    assert differences(image, plan, tmp_path / "out") == ()
    assert shown(planned(image)) == []


def test_an_opaque_marker_stays_while_it_hides_something_kept(tmp_path: Path) -> None:
    layers: list[Members] = [
        {"/d": None, "/d/holder": "x", "/name": Hard("/d/holder")},
        {"/d": OPAQUE, "/d/new": "n"},
    ]
    image = image_of(tmp_path, layers)
    plan = planned(image, "/name")
    assert shown(plan) == [["/d", "/d/holder", "/name hardlink"], ["/d opaque"]]
    assert differences(image, plan, tmp_path / "out") == ()
    assert shown(planned(image, "/d/new")) == [["/d"], ["/d/new"]]


def test_an_unused_file_that_hides_the_holder_of_a_kept_hard_link_stays(tmp_path: Path) -> None:
    image = image_of(
        tmp_path, [{"/holder": "old", "/name": Hard("/holder")}, {"/holder": "new", "/twin": Hard("/holder")}]
    )
    plan = planned(image, "/name")
    assert plan.removed == ()
    assert differences(image, plan, tmp_path / "out") == ()


def test_a_shadowed_file_that_hides_the_holder_of_a_kept_hard_link_stays(tmp_path: Path) -> None:
    layers: list[Members] = [
        {"/d": None, "/d/holder": "old", "/name": Hard("/d/holder")},
        {"/d": "a file for one layer"},
        {"/d": None, "/d/new": "n"},
    ]
    image = image_of(tmp_path, layers)
    plan = planned(image, "/name")
    assert shown(plan) == [["/d", "/d/holder", "/name hardlink"], ["/d"], ["/d"]]
    assert differences(image, plan, tmp_path / "out") == ()


def test_a_hard_link_into_a_lower_layer_keeps_its_content_there(tmp_path: Path) -> None:
    image = image_of(tmp_path, [{"/a": "x", "/b": "y"}, {"/link": Hard("/a")}, {"/a": WHITEOUT}])
    plan = planned(image, "/link")
    assert shown(plan) == [["/a"], ["/link hardlink"], ["/a whiteout"]]
    assert differences(image, plan, tmp_path / "out") == ()


def test_a_hard_link_made_through_a_name_that_is_gone_keeps_that_name(tmp_path: Path) -> None:
    layer: Members = {"/a": "x", "/middle": Hard("/a"), "/last": Hard("/middle")}
    image = image_of(tmp_path, [layer, {"/a": WHITEOUT, "/middle": WHITEOUT}])
    plan = planned(image, "/last")
    assert shown(plan) == [["/a", "/middle hardlink", "/last hardlink"], ["/a whiteout", "/middle whiteout"]]
    assert differences(image, plan, tmp_path / "out") == ()


def test_of_a_name_that_comes_twice_in_a_layer_the_last_stays(tmp_path: Path) -> None:
    image = image_of(tmp_path, [[("/a", "first"), ("/b", "b"), ("/a", "second")]])
    plan = planned(image, "/a", "/b")
    assert [entry.member for entry in plan.layers[0].members] == [e.member for e in image.layers[0].entries[1:]]
    assert differences(image, plan, tmp_path / "out") == ()


def test_the_first_of_two_stays_for_a_hard_link_made_in_between(tmp_path: Path) -> None:
    image = image_of(tmp_path, [[("/a", "first"), ("/link", Hard("/a")), ("/a", "second")]])
    plan = planned(image, "/link")
    assert shown(plan) == [["/a", "/link hardlink", "/a"]]
    assert differences(image, plan, tmp_path / "out") == ()


def test_a_directory_that_becomes_a_file_and_a_file_that_becomes_a_directory(tmp_path: Path) -> None:
    image = image_of(tmp_path, [{"/x": None, "/x/a": "a", "/y": "y"}, {"/x": "x", "/y": None, "/y/b": "b"}])
    plan = planned(image, "/x")
    assert shown(plan) == [["/x", "/y"]]
    assert plan.layers[0].layer == 1
    assert differences(image, plan, tmp_path / "out") == ()


def test_a_directory_that_no_layer_names_stays_when_its_last_file_goes(tmp_path: Path) -> None:
    image = image_of(tmp_path, [{"/a/b/unused": "x", "/c": "c"}])
    plan = planned(image, "/c")
    assert shown(plan) == [["/a", "/a/b", "/c"]]
    assert plan.layers[0].removed == 1
    assert differences(image, plan, tmp_path / "out") == ()


NAMES = ("/a", "/b", "/d", "/d/a", "/d/e", "/d/e/a")


@st.composite
def stacks(draw: st.DrawFn) -> list[Members]:
    """Random layers as engines write them: parents are named before their children, links after their targets.

    A name may come twice in a layer, but is never a directory and something else there.
    """
    state: dict[str, str] = {}
    return [_layer(draw, number, state) for number in range(draw(st.integers(1, 4)))]


def _layer(draw: st.DrawFn, number: int, state: dict[str, str]) -> Members:
    members: list[tuple[str, Value]] = []
    for path in draw(st.lists(st.sampled_from(NAMES), max_size=2)):
        marker = draw(st.sampled_from((WHITEOUT, OPAQUE)))
        if number and all(state.get(parent) == "directory" for parent in _parents(path)):
            members.append((path, marker))
            _hide(state, path, itself=marker is WHITEOUT)
    named: dict[str, bool] = {}
    for path in draw(st.lists(st.sampled_from(NAMES), max_size=5)):
        if not all(named.get(parent, True) for parent in _parents(path)):
            continue
        for parent in _parents(path):
            if state.get(parent) != "directory":
                members.append((parent, None))
                _hide(state, parent, itself=True)
                state[parent] = "directory"
            named[parent] = True
        value, kind = _value(draw, f"{number} {len(members)} {path}", [file for file in state if file != path], state)
        if named.setdefault(path, kind == "directory") != (kind == "directory"):
            continue
        members.append((path, value))
        if kind != "directory" or state.get(path) != "directory":
            _hide(state, path, itself=True)
        state[path] = kind
    return members


def _value(draw: st.DrawFn, content: str, others: list[str], state: dict[str, str]) -> tuple[Value, str]:
    kind = draw(st.sampled_from(("file", "file", "hard", "hard", "directory", "link")))
    files = sorted(other for other in others if state[other] == "file")
    if kind == "directory":
        return Member(value=None, mode=draw(st.sampled_from((0o755, 0o700)))), kind
    if kind == "link":
        return Link("a"), kind
    return (Hard(draw(st.sampled_from(files))) if kind == "hard" and files else content), "file"


def _parents(path: str) -> list[str]:
    return [parent for parent in ("/d", "/d/e") if path.startswith(parent + "/")]


def _hide(state: dict[str, str], path: str, *, itself: bool) -> None:
    for other in [other for other in state if other.startswith(path + "/") or (itself and other == path)]:
        del state[other]


@settings(max_examples=60, deadline=None)
@given(stacks(), st.sets(st.sampled_from(NAMES)))
def test_any_stack_slims_to_the_original_without_what_is_removed(layers: list[Members], kept: set[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        image = image_of(directory / "tars", layers)
        tree = merged(image)
        plan = make_plan(image, tree, marks_keeping(tree, *kept), Level.SAFE)
        slim = slimmed(image, plan, directory)
        assert compare(tree, slim, image.config.document, image.config.document, plan.removed) == ()
        assert set(slim) == plan.kept
        assert {entry.path for entry in tree.files()} - set(plan.removed) >= kept & {e.path for e in tree.files()}
        _assert_needed(image, tree, plan)


def _assert_needed(image: Image, tree: FileTree, plan: Plan) -> None:
    """Where nothing is hard-linked, nothing but what the tree shows is kept of files."""
    if any(entry.kind is Kind.HARDLINK for layer in image.layers for entry in layer.entries):
        return
    for layer in plan.layers:
        for entry in layer.members:
            if entry.kind is Kind.FILE:
                assert _place(tree[entry.path]) == _place(entry)


def _place(entry: Entry) -> tuple[int, int]:
    return (entry.layer, entry.member)
