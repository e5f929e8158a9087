"""The written image: faithful, reproducible, nothing left of a failure."""

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from mlbloat.errors import PublishError
from mlbloat.image import load, squash
from mlbloat.model.digest import Digest
from mlbloat.model.filetree import Entry
from mlbloat.model.image import Image, LayerSource
from mlbloat.model.plan import Plan
from mlbloat.model.use import Level
from mlbloat.slim import SlimImage, make_plan, write
from mlbloat.verify import compare
from tests.slim.stacks import blob, image_of, marks_keeping, merged, read_layout
from tests.support.images import WHITEOUT, Device, Fifo, Member, Members, layer_tar
from tests.support.trees import Hard, Link

LAYERS: tuple[Members, ...] = (
    {
        "/": Member(value=None, mode=0o755, mtime=7),
        "/etc": None,
        "/etc/os-release": Member(value="ID=test\n", mtime=1580601600.25),
        "/opt": Member(value=None, mode=0o2750, uid=3, gid=4, mtime=5),
        "/opt/unused": "x" * 3000,
        "/opt/tool": Member(value=b"\x7fELF tool", mode=0o4755, xattrs={"security.capability": b"\x01\0\0\x02"}),
        "/opt/again": Hard("/opt/tool"),
        "/opt/odd \n \udcff name": "odd",
        "/opt/" + "long" * 40: "long",
        "/opt/link": Link("nowhere/" + "far" * 50),
        "/opt/pipe": Fifo(),
        "/opt/null": Device(1, 3),
    },
    {"/opt": None, "/opt/only-here": "y"},
    {"/etc": None, "/etc/late": "z", "/opt/unused-too": "", "/opt/only-here": WHITEOUT},
)
KEPT = ("/etc/os-release", "/opt/tool", "/opt/odd \n \udcff name", "/opt/" + "long" * 40, "/etc/late")


def plan_of(image: Image, *kept: str) -> Plan:
    tree = merged(image)
    return make_plan(image, tree, marks_keeping(tree, *kept), Level.SAFE)


def written(directory: Path, image: Image, *kept: str) -> SlimImage:
    return write(image, plan_of(image, *kept), directory / "layout")


def config_of(slim: SlimImage) -> dict[str, object]:
    content = (slim.directory / "blobs/sha256" / slim.id.hex).read_bytes()
    assert Digest.of(content) == slim.id
    return dict(json.loads(content))


def files_below(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_every_surviving_entry_equals_the_original(tmp_path: Path) -> None:
    image = image_of(tmp_path, LAYERS)
    plan = plan_of(image, *KEPT)
    slim = write(image, plan, tmp_path / "layout")
    document = (slim.directory / "blobs/sha256" / slim.id.hex).read_bytes()
    again = read_layout(tmp_path / "layout", tmp_path / "again")
    assert compare(merged(image), merged(again), image.config.document, document, plan.removed) == ()
    assert plan.removed == ("/opt/unused", "/opt/unused-too")


def test_the_layout_loads_as_an_image_that_compares_equal(tmp_path: Path) -> None:
    image = image_of(tmp_path, LAYERS)
    plan = plan_of(image, *KEPT)
    slim = write(image, plan, tmp_path / "layout")
    (tmp_path / "work").mkdir()
    loaded = load(f"oci-dir:{slim.directory}", tmp_path / "work")
    assert (loaded.id, loaded.digest) == (slim.id, slim.digest)
    assert loaded.compressed_bytes == slim.compressed_bytes
    differences = compare(squash(image), squash(loaded), image.config.document, loaded.config.document, plan.removed)
    assert differences == ()


def test_the_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    image = image_of(tmp_path, LAYERS)
    first, second = written(tmp_path / "1", image, *KEPT), written(tmp_path / "2", image, *KEPT)
    assert first.digest == second.digest
    assert files_below(first.directory) == files_below(second.directory)


def test_a_layer_that_loses_nothing_keeps_its_diff_id_whatever_it_is_padded_to(tmp_path: Path) -> None:
    minimal = layer_tar({"/a": "a"}).rstrip(b"\0") + bytes(512 - 1 + 1024)
    padded = layer_tar({"/b": "b"})
    assert len(minimal) < len(padded) == 10240
    image = image_of(tmp_path, [minimal, padded, {"/c": "c", "/d": "d"}])
    slim = written(tmp_path, image, "/a", "/b", "/c")
    assert [layer.unchanged for layer in slim.layers] == [True, True, False]
    assert [layer.diff_id for layer in slim.layers[:2]] == [Digest.of(minimal), Digest.of(padded)]


def test_sizes_and_digests_are_those_of_the_blobs(tmp_path: Path) -> None:
    slim = written(tmp_path, image_of(tmp_path, LAYERS), *KEPT)
    blobs = [(slim.directory / "blobs/sha256" / layer.digest.hex).read_bytes() for layer in slim.layers]
    assert [Digest.of(content) for content in blobs] == [layer.digest for layer in slim.layers]
    assert [len(content) for content in blobs] == [layer.compressed_bytes for layer in slim.layers]
    tars = [gzip.decompress(content) for content in blobs]
    assert [Digest.of(tar) for tar in tars] == [layer.diff_id for layer in slim.layers]
    assert slim.tar_bytes == sum(map(len, tars))


CONFIG: dict[str, object] = {
    "User": "worker:staff",
    "ExposedPorts": {"8080/tcp": {}},
    "Env": ["A=1", "B=two words", "C=ümlaut"],
    "Labels": {"b": "2", "a": "1"},
    "Healthcheck": {"Test": ["CMD-SHELL", "test -f /x"], "Interval": 30000000000},
    "StopSignal": "SIGINT",
    "OnBuild": None,
}
EXTRA: dict[str, object] = {
    "created": "2020-02-02T00:00:00.123456789Z",
    "author": "someone",
    "container_config": {"Hostname": "", "Cmd": ["/bin/sh", "-c", "#(nop) "]},
    "docker_version": "20.10.24",
    "os.features": ["x"],
    "history": [
        {"created": "2019-01-01T00:00:00Z", "created_by": "base"},
        {"created_by": "ENV A=1", "empty_layer": True},
        {"created_by": "gone", "comment": "only unused files"},
        {"created_by": "last", "author": "me"},
    ],
}


def test_every_field_of_the_configuration_survives_but_layers_and_their_history(tmp_path: Path) -> None:
    image = image_of(tmp_path, [{"/a": "a"}, {"/gone": "x"}, {"/b": "b"}], config=CONFIG, extra=EXTRA)
    config = config_of(written(tmp_path, image, "/a", "/b"))
    original = json.loads(image.config.document)
    assert list(config) == list(original)
    changed = {"rootfs", "history"}
    assert {k: v for k, v in config.items() if k not in changed} == {
        k: v for k, v in original.items() if k not in changed
    }
    first, last = image.layers[0].diff_id, image.layers[2].diff_id
    assert config["rootfs"] == {"type": "layers", "diff_ids": [first, last]}
    assert config["history"] == [
        {"created": "2019-01-01T00:00:00Z", "created_by": "base"},
        {"created_by": "ENV A=1", "empty_layer": True},
        {"created_by": "gone", "comment": "only unused files", "empty_layer": True},
        {"created_by": "last", "author": "me"},
    ]


def test_an_image_that_loses_nothing_keeps_its_configuration_byte_for_byte(tmp_path: Path) -> None:
    image = image_of(tmp_path, [{"/a": "a"}], config=CONFIG, extra=EXTRA | {"history": None})
    assert written(tmp_path, image, "/a").id == image.id


def test_a_history_that_does_not_match_the_layers_is_left_alone(tmp_path: Path) -> None:
    image = image_of(tmp_path, [{"/a": "a"}, {"/b": "b"}], extra={"history": [{"created_by": "import"}]})
    assert config_of(written(tmp_path, image, "/a"))["history"] == [{"created_by": "import"}]


def test_the_manifest_names_the_original(tmp_path: Path) -> None:
    image = replace(image_of(tmp_path, [{"/a": "a"}]), digest=Digest.of(b"manifest"))
    slim = written(tmp_path, image, "/a")
    index = json.loads((slim.directory / "index.json").read_bytes())
    assert index["manifests"][0]["platform"] == {"architecture": "amd64", "os": "linux"}
    assert json.loads(blob(slim.directory, index["manifests"][0]))["annotations"] == {
        "org.opencontainers.image.base.digest": Digest.of(b"manifest"),
        "org.opencontainers.image.base.name": "example/app:1",
    }


def test_an_image_without_any_layer_left_is_still_an_image(tmp_path: Path) -> None:
    slim = written(tmp_path, image_of(tmp_path, [{"/a": "a"}]))
    assert slim.layers == ()
    assert config_of(slim)["rootfs"] == {"type": "layers", "diff_ids": []}


class Failing:
    """A layer that fails after its first chunk."""

    def __init__(self, source: LayerSource, error: BaseException) -> None:
        self.source, self.error = source, error

    def open(self, entry: Entry) -> BinaryIO:
        return self.source.open(entry)

    def members(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        yield from self.source.members(entries)
        raise self.error


@pytest.mark.parametrize("layer", [0, 2])
def test_a_failure_leaves_no_half_written_layer(tmp_path: Path, layer: int) -> None:
    image = image_of(tmp_path, LAYERS)
    layers = list(image.layers)
    layers[layer] = replace(layers[layer], source=Failing(layers[layer].source, OSError(28, "No space left on device")))
    with pytest.raises(PublishError, match="No space left on device; free some space"):
        written(tmp_path, replace(image, layers=tuple(layers)), *KEPT)
    left = files_below(tmp_path / "layout")
    assert not [name for name in left if name.endswith(".part") or name == "index.json"]


def test_an_interrupt_stops_all_layers_and_leaves_no_half_written_one(tmp_path: Path) -> None:
    image = image_of(tmp_path, LAYERS)
    stopped = Failing(image.layers[0].source, KeyboardInterrupt())
    layers = (replace(image.layers[0], source=stopped), *image.layers[1:])
    with pytest.raises(KeyboardInterrupt):
        written(tmp_path, replace(image, layers=layers), *KEPT)
    left = files_below(tmp_path / "layout")
    assert not [name for name in left if name.endswith(".part") or name == "index.json"]


def test_progress_is_told_in_uncompressed_bytes(tmp_path: Path) -> None:
    image = image_of(tmp_path, LAYERS)
    told: list[int] = []
    slim = write(image, plan_of(image, *KEPT), tmp_path / "layout", on_bytes=told.append)
    assert sum(told) == slim.tar_bytes
