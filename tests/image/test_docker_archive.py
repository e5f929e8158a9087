"""Archives of `docker save`, old and new."""

import json
import re
from pathlib import Path
from typing import Literal

import pytest

from mlbloat.errors import BadImageError, ImageNotFoundError
from mlbloat.image import load, squash
from tests.support import images
from tests.support.images import Member, Members
from tests.support.trees import Hard, Link

LAYERS: list[Members] = [
    {"/a": Member(value=b"content", uid=5), "/b": Hard("/a"), "/c": Link("a")},
    {"/d/e": b"more"},
    {"/a": b"changed"},
]
STYLES: list[Literal["old", "new"]] = ["old", "new"]


@pytest.mark.parametrize("style", STYLES)
def test_both_styles_hold_the_same_image_as_a_layout(tmp_path: Path, style: Literal["old", "new"]) -> None:
    path = images.docker_archive(tmp_path / "d.tar", LAYERS, config={"Cmd": ["x"]}, style=style)
    found = load(str(path), tmp_path / "w")
    peer = load(str(images.oci_dir(tmp_path / "o", LAYERS, config={"Cmd": ["x"]})), tmp_path / "w")
    assert found.reference == f"docker-archive:{path}"
    assert (found.id, found.config, found.digest) == (peer.id, peer.config, None)
    assert [layer.entries for layer in found.layers] == [layer.entries for layer in peer.layers]
    tree = squash(found)
    assert [tree.read(tree[name]) for name in ("/a", "/b", "/d/e")] == [b"changed", b"content", b"more"]


@pytest.mark.parametrize("style", STYLES)
def test_plain_layers_are_read_in_place(tmp_path: Path, style: Literal["old", "new"]) -> None:
    image = load(str(images.docker_archive(tmp_path / "d.tar", LAYERS, style=style)), tmp_path / "w")
    assert not [path for path in (tmp_path / "w").rglob("*") if path.is_file() and path.stat().st_size]
    assert image.compressed_bytes is None


def test_a_layer_that_comes_twice_is_a_link_in_old_archives(tmp_path: Path) -> None:
    layer: Members = {"/a": b"x"}
    path = images.docker_archive(tmp_path / "d.tar", [layer, {"/b": b""}, layer], style="old")
    tree = squash(load(str(path), tmp_path / "w"))
    assert (tree["/a"].layer, tree.read(tree["/a"])) == (2, b"x")


def two_images(path: Path) -> Path:
    one = images.docker_files([{"/one": b""}], tag="app:1", style="old")
    two = images.docker_files([{"/two": b""}], tag="reg.io:5000/app:latest", style="new")
    manifest = [json.loads(files["manifest.json"])[0] for files in (one, two)]
    return images.write_archive(path, one | two | {"manifest.json": json.dumps(manifest).encode()})


@pytest.mark.parametrize(
    ("choice", "file"),
    [
        ("app:1", "/one"),
        ("docker.io/library/app:1", "/one"),
        ("1", "/one"),
        ("reg.io:5000/app:latest", "/two"),
        ("reg.io:5000/app", "/two"),
    ],
)
def test_one_of_several_images_is_chosen_by_name_or_tag(tmp_path: Path, choice: str, file: str) -> None:
    path = two_images(tmp_path / "d.tar")
    assert file in squash(load(f"docker-archive:{path}:{choice}", tmp_path / "w"))


def test_several_images_without_a_choice_are_listed(tmp_path: Path) -> None:
    path = two_images(tmp_path / "d.tar")
    with pytest.raises(ImageNotFoundError, match=r"it holds app:1, reg\.io:5000/app:latest; add :NAME:TAG"):
        load(str(path), tmp_path / "w")
    with pytest.raises(ImageNotFoundError, match=r"cannot find 'nope' in .* it holds app:1"):
        load(f"{path}:nope", tmp_path / "w")


def test_an_image_without_a_name_is_found(tmp_path: Path) -> None:
    assert "/a" in squash(load(str(images.docker_archive(tmp_path / "d", LAYERS, tag=None)), tmp_path / "w"))


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (b"nonsense", "cannot read manifest.json in"),
        (b"[]", "holds no image"),
        (b'[{"Config": "missing.json", "Layers": []}]', "missing.json is missing"),
        (b'[{"Config": "../../../etc/passwd", "Layers": []}]', "is missing"),
        (b'[{"Layers": []}]', "missing required field `Config`"),
    ],
)
def test_a_broken_manifest_is_refused(tmp_path: Path, manifest: bytes, why: str) -> None:
    path = images.write_archive(tmp_path / "d.tar", images.docker_files(LAYERS) | {"manifest.json": manifest})
    with pytest.raises((BadImageError, ImageNotFoundError), match=why):
        load(f"docker-archive:{path}", tmp_path / "w")


def test_a_configuration_that_is_not_the_one_its_name_says_is_refused(tmp_path: Path) -> None:
    files = images.docker_files(LAYERS, style="old")
    name, content = next((name, content) for name, content in files.items() if re.fullmatch(r"\w{64}\.json", name))
    assert isinstance(content, bytes)
    path = images.write_archive(tmp_path / "d.tar", files | {name: bytes(content).replace(b"amd64", b"arm64")})
    with pytest.raises(BadImageError, match="another digest"):
        load(f"docker-archive:{path}", tmp_path / "w")


@pytest.mark.parametrize("style", STYLES)
def test_a_layer_that_was_changed_is_refused(tmp_path: Path, style: Literal["old", "new"]) -> None:
    path = images.docker_archive(tmp_path / "d.tar", LAYERS, style=style)
    content = path.read_bytes()
    assert content.count(b"changed") == 1
    path.write_bytes(content.replace(b"changed", b"CHANGED"))
    with pytest.raises(BadImageError, match=r"layer 2 of .* its digest is"):
        load(f"docker-archive:{path}", tmp_path / "w")
