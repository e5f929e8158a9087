"""Layers to one tree."""

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from mlbloat.errors import BadImageError
from mlbloat.image import load, squash
from mlbloat.image.squash import NO_MEMBER, LayerContents, merge
from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.tarstream import TarLayer, Window, index
from tests.support.images import OPAQUE, WHITEOUT, Device, Mark, Member, Members, extract, layer_tar, oci_dir
from tests.support.trees import Hard, Link


def tree_of(path: Path, *layers: Members) -> FileTree:
    sources = []
    for number, members in enumerate(layers):
        file = path / f"{number}.tar"
        file.write_bytes(layer_tar(members))
        sources.append(TarLayer(tar=Window.whole(file), name=f"layer {number}"))
    entries = []
    for number, source in enumerate(sources):
        with source.tar.open() as stream:
            entries.append(index(stream, name=source.name, layer=number))
    return merge(entries, LayerContents(tuple(sources)), "image")


def shown(tree: FileTree) -> dict[str, object]:
    """One word per path: content, link target or kind."""
    return {path: shown_entry(tree, entry) for path, entry in tree.items()}


def shown_entry(tree: FileTree, entry: Entry) -> object:
    if entry.kind is Kind.FILE:
        return tree.read(entry)
    return f"-> {entry.target}" if entry.kind is Kind.SYMLINK else entry.kind.value


def test_an_image_without_layers_has_a_root(tmp_path: Path) -> None:
    assert shown(tree_of(tmp_path)) == {"/": "directory"}


def test_parents_that_no_tar_holds_are_directories(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"/a/b/c": b"x"})
    assert shown(tree) == {"/": "directory", "/a": "directory", "/a/b": "directory", "/a/b/c": b"x"}
    assert (tree["/a/b"].mode, tree["/a/b"].member) == (0o755, NO_MEMBER)


def test_upper_layers_replace_and_whiteouts_delete(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path,
        {"/etc/a": b"old", "/etc/b": b"kept", "/tmp/x/y": b"gone", "/tmp/z": b"gone too"},
        {"/etc/a": b"new", "/tmp/x": WHITEOUT, "/tmp/z": WHITEOUT, "/tmp/never-was": WHITEOUT, "/no/dir": WHITEOUT},
    )
    assert shown(tree) == {
        "/": "directory",
        "/etc": "directory",
        "/etc/a": b"new",
        "/etc/b": b"kept",
        "/tmp": "directory",
    }
    assert [tree[path].layer for path in ("/etc/a", "/etc/b")] == [1, 0]


@pytest.mark.parametrize("first", [True, False])
def test_whiteouts_and_opaque_directories_spare_their_own_layer_in_any_order(tmp_path: Path, first: bool) -> None:
    marks = [("/d", OPAQUE), ("/f", WHITEOUT)]
    files = [("/d/new", b"n"), ("/f", b"new")]
    upper = marks + files if first else files + marks
    tree = tree_of(tmp_path, {"/d/old": b"o", "/d/sub/old": b"o", "/f": b"old"}, upper)
    assert shown(tree) == {"/": "directory", "/d": "directory", "/d/new": b"n", "/f": b"new"}


def test_a_directory_merges_and_takes_the_upper_layers_metadata(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"/d": Member(value=None, mode=0o700), "/d/a": b""}, {"/d": Member(value=None, uid=5)})
    assert (tree["/d"].mode, tree["/d"].uid, tree["/d"].layer, "/d/a" in tree) == (0o755, 5, 1, True)


def test_a_parent_taken_for_granted_does_not_change_the_directory_below(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"/d": Member(value=None, mode=0o1777)}, {"/d/a": b""})
    assert (tree["/d"].mode, tree["/d"].layer) == (0o1777, 0)


@pytest.mark.parametrize("upper", [b"file", Link("elsewhere"), Device(1, 3)])
def test_another_kind_hides_everything_that_was_below(tmp_path: Path, upper: bytes | Link | Device) -> None:
    tree = tree_of(tmp_path, {"/d/a/b": b"x"}, {"/d": upper})
    assert list(tree) == ["/", "/d"]
    back = tree_of(tmp_path, {"/d": upper}, {"/d": None, "/d/a": b"y"})
    assert shown(back) == {"/": "directory", "/d": "directory", "/d/a": b"y"}


def test_the_last_of_one_name_in_a_layer_wins(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, [("/f", b"1"), ("/h", Hard("/f")), ("/f", b"2"), ("/d/x", b"x"), ("/d", b"file")])
    assert shown(tree) == {"/": "directory", "/d": b"file", "/f": b"2", "/h": b"1"}


def test_hard_links_are_files_that_share_an_inode(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path,
        {"/a": Member(value=b"content", mode=0o4755, uid=3), "/b": Hard("/a"), "/c": Hard("/b"), "/s": Link("a")},
        {"/d": Hard("/c"), "/t": Hard("/s")},
        {"/a": WHITEOUT},
    )
    names = [tree[path] for path in ("/b", "/c", "/d")]
    assert {(e.kind, e.mode, e.uid, e.inode, e.size_bytes) for e in names} == {(Kind.FILE, 0o4755, 3, (0, 0), 7)}
    assert [e.layer for e in names] == [0, 0, 1]
    assert len({(e.layer, e.member) for e in names}) == 3
    assert tree.read(tree["/d"]) == b"content"
    assert shown_entry(tree, tree["/t"]) == "-> a"


@pytest.mark.parametrize("layers", [[{"/b": Hard("/a")}], [{"/a": None}, {"/b": Hard("/a")}]])
def test_a_hard_link_to_nothing_or_to_a_directory_is_refused(tmp_path: Path, layers: list[Members]) -> None:
    with pytest.raises(BadImageError, match="the hard link '/b' names '/a', which is"):
        tree_of(tmp_path, *layers)


def test_members_below_a_link_of_their_layer_go_where_it_points_inside_the_root(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path,
        {
            "/usr/lib": None,
            "/lib": Link("usr/lib"),
            "/lib/x": b"x",
            "/up": Link("../../../usr"),
            "/up/y": b"y",
            "/abs": Link("/made"),
            "/abs/z": b"z",
            "/h": Hard("/lib/x"),
        },
    )
    assert shown(tree) == {
        "/": "directory",
        "/abs": "-> /made",
        "/h": b"x",
        "/lib": "-> usr/lib",
        "/made": "directory",
        "/made/z": b"z",
        "/up": "-> ../../../usr",
        "/usr": "directory",
        "/usr/lib": "directory",
        "/usr/lib/x": b"x",
        "/usr/y": b"y",
    }


def test_a_directory_over_a_link_of_a_lower_layer_replaces_it_as_in_overlayfs(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, {"/usr/lib/a": b"", "/lib": Link("usr/lib")}, {"/lib/x": b"x"})
    assert shown(tree)["/lib"] == "directory"
    assert "/usr/lib/x" not in tree


@pytest.mark.parametrize("loop", [{"/a": Link("b"), "/b": Link("a"), "/a/x": b""}, {"/f": b"", "/f/x": b""}])
def test_members_below_a_loop_or_a_file_are_refused(tmp_path: Path, loop: Members) -> None:
    with pytest.raises(BadImageError, match=r"cannot merge layer 0 of image: '/[af]/x' is below"):
        tree_of(tmp_path, loop)


def test_a_loaded_layer_names_its_members_by_the_paths_at_which_they_end_up(tmp_path: Path) -> None:
    members: Members = {"/usr/lib": None, "/lib": Link("usr/lib"), "/lib/x": b"x", "/h": Hard("/lib/x")}
    upper: Members = {"/d": Link("e"), "/d/gone": WHITEOUT, "/d/y": b"y"}
    image = load(str(oci_dir(tmp_path / "i", [members, upper])), tmp_path / "w")
    assert [(e.path, e.target) for e in image.layers[0].entries] == [
        ("/usr/lib", ""),
        ("/lib", "usr/lib"),
        ("/usr/lib/x", ""),
        ("/h", "/usr/lib/x"),
    ]
    assert [e.path for e in image.layers[1].entries] == ["/d", "/e/gone", "/e/y"]
    tree = squash(image)
    real = {(e.layer, e.member) for e in tree.values() if e.member != NO_MEMBER}
    assert {
        (e.path, (e.layer, e.member)) for layer in image.layers for e in layer.entries if (e.layer, e.member) in real
    } == {(e.path, (e.layer, e.member)) for e in tree.values() if e.member != NO_MEMBER}


def test_a_tree_and_its_contents_travel_to_another_process(tmp_path: Path) -> None:
    contents = tree_of(tmp_path, {"/a": b"x"}).contents
    with pickle.loads(pickle.dumps(contents)).open(Entry(path="/a", kind=Kind.FILE)) as stream:
        assert stream.read() == b"x"


@given(
    st.dictionaries(
        st.sampled_from("abcdef"),
        st.one_of(st.binary(max_size=3), st.none(), st.sampled_from([Link("../d0"), Hard("/d0/first")])),
    ),
    st.sampled_from(["", "./"]),
)
@examples(max_examples=30, deadline=None)
def test_one_layer_is_what_the_standard_library_extracts(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, bytes | Link | Hard | None], prefix: str
) -> None:
    work: Path = tmp_path_factory.mktemp("layer")
    members: Members = {"/d0": None, "/d0/first": b"1", **{f"/d1/{name}": value for name, value in values.items()}}
    tree = tree_of(work, members)
    extract(layer_tar(members, prefix=prefix), work / "root")
    extracted = {"/" + str(path.relative_to(work / "root")): _on_disk(path) for path in (work / "root").rglob("*")}
    assert shown(tree) == {"/": "directory", **extracted}


def _on_disk(path: Path) -> object:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return "directory" if path.is_dir() else path.read_bytes()


PATHS = st.sampled_from(["/a", "/b", "/a/c", "/a/d", "/b/e", "/a/c/f", "/a/c/g"])
LAYERS = st.lists(
    st.lists(st.tuples(PATHS, st.one_of(st.none(), st.just(b""), st.just(WHITEOUT), st.just(OPAQUE))), max_size=6),
    max_size=4,
)


@given(LAYERS)
@examples(max_examples=120, deadline=None)
def test_any_layers_merge_as_the_specification_says(
    tmp_path_factory: pytest.TempPathFactory, layers: list[list[tuple[str, bytes | Mark | None]]]
) -> None:
    """The model: sets of paths, one rule after the other, as slow and as plain as can be."""
    model: dict[str, str] = {"/": "directory"}
    for layer in layers:
        own: dict[str, str] = {}
        for path, value in layer:
            if isinstance(value, Mark):
                for hidden in [one for one in model if one.startswith(path + "/")]:
                    del model[hidden]
                if value is WHITEOUT:
                    model.pop(path, None)
            else:
                own_parents = [path[:end] for end in range(1, len(path)) if path[end] == "/"]
                if any(own.get(parent) == "file" for parent in own_parents):
                    return  # a member below a file: refused, as another test says
                own |= dict.fromkeys(own_parents, "directory")
                if value is not None:
                    own = {one: kind for one, kind in own.items() if not one.startswith(path + "/")}
                own[path] = "directory" if value is None else "file"
        for path, kind in own.items():
            if "file" in (kind, model.get(path)):
                model = {one: there for one, there in model.items() if not one.startswith(path + "/") or one in own}
            model[path] = kind
    tree = tree_of(tmp_path_factory.getbasetemp(), *layers)
    assert {path: entry.kind.value for path, entry in tree.items()} == model


def test_a_content_is_named_by_its_layer_and_its_place_there() -> None:
    entries = (Entry(path="/a", kind=Kind.FILE, layer=1, member=512, inode=(0, 1024)),)
    tree = merge([(), entries], LayerContents(()), "image", ("sha256:low", "sha256:high"))

    assert tree.content_key(tree["/a"]) == ("sha256:low", 1024)
    assert merge([(), entries], LayerContents(()), "image").content_key(tree["/a"]) is None
