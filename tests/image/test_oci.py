"""OCI layouts, as a directory and as an archive."""

import bz2
import gzip
import json
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mlbloat import pipeline
from mlbloat.errors import BadImageError, ImageNotFoundError
from mlbloat.image import Limits, load, squash
from mlbloat.model.image import Platform
from mlbloat.request import Request
from tests.support import images
from tests.support.images import WHITEOUT, Compression, Members, descriptor, oci_manifest
from tests.support.trees import Link

LAYERS: list[Members] = [{"/bin/sh": b"#!", "/etc/a": b"old"}, {"/etc/a": WHITEOUT, "/etc/b": b"new"}]
CONFIG = {
    "Entrypoint": ["/bin/sh", "-c"],
    "Cmd": ["ls"],
    "Env": ["PATH=/bin", "A=b=c", "EMPTY"],
    "User": "app",
    "WorkingDir": "/srv",
    "StopSignal": "SIGINT",
    "Labels": {"x": "y"},
}


def names(reference: str, workspace: Path) -> list[str]:
    return list(squash(load(reference, workspace)))


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("write", [images.oci_archive, images.oci_dir])
def test_layouts_are_read_however_their_layers_are_stored(
    tmp_path: Path, write: Callable[..., Path], compression: Compression
) -> None:
    path = write(tmp_path / "image", LAYERS, config=CONFIG, compression=compression)
    scheme = "oci-dir" if path.is_dir() else "oci-archive"
    image = load(f"{scheme}:{path}", tmp_path / "work")
    tree = squash(image)
    assert list(tree) == ["/", "/bin", "/bin/sh", "/etc", "/etc/b"]
    assert tree.read(tree["/etc/b"]) == b"new"
    tars = [images.layer_tar(layer) for layer in LAYERS]
    assert [layer.diff_id for layer in image.layers] == [images.sha256(tar) for tar in tars]
    assert [layer.tar_bytes for layer in image.layers] == [len(tar) for tar in tars]
    sizes = [None if compression == "none" else len(images.compressed(tar, compression)) for tar in tars]
    assert [layer.compressed_bytes for layer in image.layers] == sizes
    assert [layer.created_by for layer in image.layers] == ["layer 0", "layer 1"]
    document = images.config_document(tars, CONFIG)
    manifest, _ = oci_manifest(tars, config=CONFIG, compression=compression)
    assert (image.id, image.digest) == (images.sha256(document), images.sha256(manifest))
    assert (image.reference, image.platform) == (f"{scheme}:{path}", Platform())


def test_layers_that_are_stored_plain_are_not_copied(tmp_path: Path) -> None:
    path = images.oci_archive(tmp_path / "image", LAYERS, compression="none")
    load(str(path), tmp_path / "work")
    assert not [path for path in (tmp_path / "work").rglob("*") if path.is_file() and path.stat().st_size]


def test_the_configuration_is_what_the_image_says(tmp_path: Path) -> None:
    config = load(str(images.oci_dir(tmp_path / "i", LAYERS, config=CONFIG)), tmp_path / "w").config
    assert (config.entrypoint, config.command, config.user) == (("/bin/sh", "-c"), ("ls",), "app")
    assert config.environment == (("PATH", "/bin"), ("A", "b=c"), ("EMPTY", ""))
    assert (config.working_directory, config.stop_signal) == ("/srv", "SIGINT")
    assert json.loads(config.document)["config"] == CONFIG


@pytest.mark.parametrize("config", [None, {"Entrypoint": None, "Cmd": None, "Env": None, "WorkingDir": ""}])
def test_what_the_configuration_does_not_say_is_empty(tmp_path: Path, config: dict[str, object] | None) -> None:
    found = load(str(images.oci_dir(tmp_path / "i", [{}], config=config)), tmp_path / "w").config
    assert (found.entrypoint, found.command, found.environment, found.working_directory) == ((), (), (), "/")


@pytest.mark.parametrize(
    ("check", "shell", "line"),
    [
        (["CMD", "curl", "-f", "http://x/"], None, ("curl", "-f", "http://x/")),
        (["CMD-SHELL", "curl -f http://x/ || exit 1"], None, ("/bin/sh", "-c", "curl -f http://x/ || exit 1")),
        (["CMD-SHELL", "a | b"], ["/bin/bash", "-o", "pipefail", "-c"], ("/bin/bash", "-o", "pipefail", "-c", "a | b")),
        (["/bin/check", "now"], None, ("/bin/check", "now")),
        (["NONE"], None, ()),
        ([], None, ()),
        (None, None, ()),
    ],
)
def test_a_health_check_is_the_command_line_that_an_engine_runs(
    tmp_path: Path, check: list[str] | None, shell: list[str] | None, line: tuple[str, ...]
) -> None:
    path = images.oci_dir(tmp_path / "i", [{}], config={"Healthcheck": {"Test": check}, "Shell": shell})
    assert load(str(path), tmp_path / "w").config.health_check == line


def test_an_old_command_of_one_string_is_one_word(tmp_path: Path) -> None:
    path = images.oci_dir(tmp_path / "i", [{}], config={"Cmd": "/bin/true"})
    assert load(str(path), tmp_path / "w").config.command == ("/bin/true",)


def test_history_lines_without_a_layer_do_not_shift_the_others(tmp_path: Path) -> None:
    history = [{"created_by": "A"}, {"created_by": "ENV", "empty_layer": True}, {"created_by": "B"}]
    path = images.oci_dir(tmp_path / "i", LAYERS, extra={"history": history})
    assert [layer.created_by for layer in load(str(path), tmp_path / "w").layers] == ["A", "B"]
    path = images.oci_dir(tmp_path / "j", LAYERS, extra={"history": history[:1]})
    assert [layer.created_by for layer in load(str(path), tmp_path / "w").layers] == ["", ""]


def test_names_of_members_in_an_archive_may_begin_with_a_dot(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(images.layer_tar(images.oci_files(LAYERS), prefix="./"))
    assert "/etc/b" in names(str(path), tmp_path / "w")


def test_an_archive_that_is_compressed_as_a_whole_is_read(tmp_path: Path) -> None:
    plain = images.oci_archive(tmp_path / "plain", LAYERS).read_bytes()
    for method in (bz2, lzma):
        (tmp_path / "i.tar").write_bytes(method.compress(plain))
        assert "/etc/b" in names(str(tmp_path / "i.tar"), tmp_path / method.__name__)
    (tmp_path / "i.tar.gz").write_bytes(gzip.compress(plain))
    image = load(str(tmp_path / "i.tar.gz"), tmp_path / "w")
    assert (image.reference, "/etc/b" in squash(image)) == (f"oci-archive:{tmp_path}/i.tar.gz", True)


def several(**manifests: tuple[str | None, str]) -> dict[str, bytes]:
    """A layout whose index has one image per name: tag, and architecture; its only file is the name."""
    files: dict[str, bytes] = {}
    entries = []
    for name, (tag, architecture) in manifests.items():
        manifest, more = oci_manifest([{f"/{name}": b""}], extra={"architecture": architecture})
        files |= more
        annotations = {"annotations": {"org.opencontainers.image.ref.name": tag}} if tag else {}
        platform = {"os": "linux", "architecture": architecture}
        entries.append(descriptor(images._MANIFEST_TYPE, manifest, platform=platform, **annotations))
    return files | images.oci_layout(entries)


def nested(files: dict[str, bytes], tag: str) -> dict[str, bytes]:
    """Move the index one level down, as `docker buildx` writes it."""
    inner = files["index.json"]
    outer = descriptor(images._INDEX_TYPE, inner, annotations={"org.opencontainers.image.ref.name": tag})
    return files | {images.blob_name(inner): inner} | images.oci_layout([outer])


@pytest.mark.parametrize("platform", ["linux/arm64", "linux/amd64", "linux/arm64/v8"])
def test_the_platform_chooses_in_an_index_of_an_index(tmp_path: Path, platform: str) -> None:
    files = several(amd64=(None, "amd64"), arm64=(None, "arm64"), unknown=(None, "unknown"))
    unknown = json.loads(files["index.json"])
    unknown["manifests"][2]["platform"]["os"] = "unknown"
    files["index.json"] = json.dumps(unknown).encode()
    path = images.write_dir(tmp_path / "i", nested(files, "v1"))
    image = load(f"oci-dir:{path}:v1", tmp_path / "w", platform=platform)
    assert f"/{platform.split('/')[1]}" in squash(image)
    assert str(image.platform) == "/".join(platform.split("/")[:2])


def test_a_platform_that_is_not_there_is_an_error_that_lists_what_is(tmp_path: Path) -> None:
    path = images.write_dir(tmp_path / "i", several(one=(None, "amd64"), two=(None, "s390x")))
    with pytest.raises(ImageNotFoundError, match=r"linux/riscv64.*linux/amd64.*linux/s390x.*--platform"):
        load(f"oci-dir:{path}", tmp_path / "w", platform="linux/riscv64")


def test_the_only_image_is_taken_whatever_its_platform_unless_one_was_asked_for(tmp_path: Path) -> None:
    path = images.oci_dir(tmp_path / "i", LAYERS, extra={"architecture": "s390x"})
    assert str(load(f"oci-dir:{path}", tmp_path / "w").platform) == "linux/s390x"
    with pytest.raises(ImageNotFoundError, match="the image is linux/s390x"):
        load(f"oci-dir:{path}", tmp_path / "w", platform="linux/amd64")


def test_several_images_need_a_tag_or_a_digest_and_the_error_lists_them(tmp_path: Path) -> None:
    path = images.write_archive(tmp_path / "a:b.tar", several(one=("v1", "amd64"), two=("reg.io/x:v2", "amd64")))
    with pytest.raises(ImageNotFoundError, match=r"v1 \(linux/amd64\), reg\.io/x:v2 \(linux/amd64\); add :TAG"):
        load(f"oci-archive:{path}", tmp_path / "w")
    with pytest.raises(ImageNotFoundError, match=r"'v3'.*it holds v1"):
        load(f"oci-archive:{path}:v3", tmp_path / "w")
    assert "/two" in names(f"oci-archive:{path}:reg.io/x:v2", tmp_path / "w")
    assert "/one" in names(f"{path}:v1", tmp_path / "w")
    digest = load(f"oci-archive:{path}:v1", tmp_path / "w").digest
    assert "/one" in names(f"oci-archive:{path}@{digest}", tmp_path / "w")


def test_attestations_are_no_images(tmp_path: Path) -> None:
    files = several(one=("v1", "amd64"), attestation=("v1", "amd64"))
    index = json.loads(files["index.json"])
    index["manifests"][1]["annotations"]["vnd.docker.reference.type"] = "attestation-manifest"
    path = images.write_dir(tmp_path / "i", files | {"index.json": json.dumps(index).encode()})
    assert "/one" in names(str(path), tmp_path / "w")


def test_what_is_attached_to_an_image_since_oci_1_1_is_no_image(tmp_path: Path) -> None:
    """`oras attach` and `cosign` leave their manifests beside the image's, with an artifactType and no platform."""
    files = several(one=("v1", "amd64"))
    index = json.loads(files["index.json"])
    attached = json.dumps({"artifactType": "application/spdx+json", "layers": []}).encode()
    more = descriptor(images._MANIFEST_TYPE, attached, artifactType="application/spdx+json")
    index["manifests"].append(more)
    files |= {"index.json": json.dumps(index).encode(), images.blob_name(attached): attached}
    path = images.write_dir(tmp_path / "i", files)
    assert "/one" in names(str(path), tmp_path / "w")


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
    ],
)
def test_a_layer_is_read_whatever_its_media_type_says(tmp_path: Path, media_type: str) -> None:
    files = images.oci_files([{"/a": b""}, b"", {"/b": b""}])
    manifest = files[manifest_blob(files)].replace(b"application/vnd.oci.image.layer.v1.tar+gzip", media_type.encode())
    files |= {images.blob_name(manifest): manifest} | images.oci_layout([descriptor(images._MANIFEST_TYPE, manifest)])
    path = images.write_dir(tmp_path / "i", files)
    assert names(str(path), tmp_path / "w") == ["/", "/a", "/b"]


def blob_of(files: dict[str, bytes], marker: bytes) -> str:
    return next(name for name, content in files.items() if name.startswith("blobs/") and marker in content)


def replaced(files: dict[str, bytes], name: str, content: bytes) -> dict[str, bytes]:
    """Exchange a blob and fix nothing else."""
    return files | {name: content}


def without(files: dict[str, bytes], name: str) -> dict[str, bytes]:
    return {key: content for key, content in files.items() if key != name}


def layer_blob(files: dict[str, bytes]) -> str:
    return blob_of(files, b"\x1f\x8b\x08")


def manifest_blob(files: dict[str, bytes]) -> str:
    return blob_of(files, b'"schemaVersion"')


def config_blob(files: dict[str, bytes]) -> str:
    return blob_of(files, b'"diff_ids"')


BROKEN: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str]] = {
    "no index": (lambda f: without(f, "index.json"), "index.json is missing"),
    "index is not JSON": (lambda f: f | {"index.json": b"{"}, "cannot read index.json in"),
    "index is not UTF-8": (lambda f: f | {"index.json": b'{"manifests": "\xff"}'}, "cannot read index.json in"),
    "index is deep": (lambda f: f | {"index.json": b'{"x":' + b"[" * 100_000}, "cannot read index.json in"),
    "index is empty": (lambda f: f | {"index.json": b"{}"}, "holds no image"),
    "no manifest": (lambda f: without(f, manifest_blob(f)), "is missing"),
    "no configuration": (lambda f: without(f, config_blob(f)), "is missing"),
    "no layer": (lambda f: without(f, layer_blob(f)), "is missing"),
    "other manifest": (lambda f: replaced(f, manifest_blob(f), f[manifest_blob(f)][:-1] + b" "), "another digest"),
    "longer manifest": (lambda f: replaced(f, manifest_blob(f), f[manifest_blob(f)] + b" "), "should have"),
    "other layer": (lambda f: replaced(f, layer_blob(f), f[layer_blob(f)][:-1] + b"\xee"), "layer 0|its digest is"),
    "shorter layer": (lambda f: replaced(f, layer_blob(f), f[layer_blob(f)][:-9]), "should have"),
    "digest that is a path": (
        lambda f: f | {"index.json": f["index.json"].replace(b"sha256:", b"sha256:../../")},
        "not a digest",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("write", [images.write_archive, images.write_dir])
def test_broken_layouts_are_refused_in_one_line_that_names_the_file(
    tmp_path: Path, write: Callable[..., Path], case: str
) -> None:
    change, why = BROKEN[case]
    path = write(tmp_path / "image", change(images.oci_files([{"/a": b"content"}])))
    reference = f"oci-dir:{path}" if path.is_dir() else f"oci-archive:{path}"
    with pytest.raises(BadImageError, match=why) as error:
        load(reference, tmp_path / "w")
    assert str(error.value).startswith("cannot read ")
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def layout_with(document: dict[str, object], layers: list[bytes]) -> dict[str, bytes]:
    """A layout with this configuration, every digest right."""
    config = json.dumps(document).encode()
    manifest = json.dumps(
        {
            "config": descriptor(images._CONFIG_TYPE, config),
            "layers": [descriptor(images._LAYER_TYPE, layer) for layer in layers],
        }
    ).encode()
    files = {images.blob_name(content): content for content in (config, manifest, *layers)}
    return files | images.oci_layout([descriptor(images._MANIFEST_TYPE, manifest)])


def _nested(depth: int) -> object:
    value: object = "[[[["
    for _ in range(depth):
        value = [value]
    return value


TAR = images.layer_tar({"/a": b"x"})


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"rootfs": {"diff_ids": [images.sha256(b"other")]}}, "layer 0 of .* should be sha256:"),
        ({"rootfs": {"diff_ids": []}}, "1 layers and its configuration names 0"),
        ({"rootfs": {"diff_ids": ["md5:1"]}}, "not a digest"),
        ({"rootfs": {"diff_ids": 5}}, "Expected `array"),
        ({"mediaType": "application/vnd.example.model"}, "an artifact, not an image"),
        ({"rootfs": {"diff_ids": [images.sha256(TAR)]}, "x": _nested(500)}, "nested more than 100 deep"),
    ],
)
def test_configurations_that_do_not_fit_the_layers_are_refused(
    tmp_path: Path, document: dict[str, object], why: str
) -> None:
    path = images.write_dir(tmp_path / "i", layout_with(document, [TAR]))
    with pytest.raises(BadImageError, match=why):
        load(f"oci-dir:{path}", tmp_path / "w")
    with pytest.raises(BadImageError, match=why):  # which looks before it reads whether it knows the answer
        pipeline.scan(Request(reference=f"oci-dir:{path}", cache=tmp_path / "cache"))


def test_a_number_that_nobody_can_read_is_refused(tmp_path: Path) -> None:
    document: dict[str, object] = {"rootfs": {"diff_ids": [images.sha256(TAR)]}, "x": "NUMBER"}
    files = layout_with(document, [TAR])
    config = files[config_blob(files)].replace(b'"NUMBER"', b"1" * 5000)
    manifest = json.dumps({"config": descriptor("c", config), "layers": [descriptor("l", TAR)]}).encode()
    files |= {images.blob_name(blob): blob for blob in (config, manifest)}
    files |= images.oci_layout([descriptor("m", manifest)])
    path = images.write_dir(tmp_path / "i", files)
    with pytest.raises(BadImageError, match=r"cannot read the configuration of .*digits"):
        load(f"oci-dir:{path}", tmp_path / "w")


def test_a_layer_that_is_no_tar_is_named_in_the_error(tmp_path: Path) -> None:
    junk = b"junk" * 400
    document: dict[str, object] = {"rootfs": {"diff_ids": [images.sha256(junk)]}}
    path = images.write_dir(tmp_path / "i", layout_with(document, [junk]))
    with pytest.raises(BadImageError, match=r"cannot read layer 0 of oci-dir:.*octal"):
        load(f"oci-dir:{path}", tmp_path / "w")


def test_an_index_that_contains_itself_ends(tmp_path: Path) -> None:
    files = images.oci_files(LAYERS)
    for _ in range(6):
        files = nested(files, "x")
    path = images.write_dir(tmp_path / "i", files)
    with pytest.raises(BadImageError, match="nested more than 4 deep"):
        load(f"oci-dir:{path}", tmp_path / "w")


def test_an_index_that_names_one_index_again_and_again_ends(tmp_path: Path) -> None:
    files = images.oci_layout([])
    for _ in range(4):
        inner = files["index.json"]
        files |= {images.blob_name(inner): inner} | images.oci_layout([descriptor(images._INDEX_TYPE, inner)] * 200)
    path = images.write_dir(tmp_path / "i", files)
    with pytest.raises(BadImageError, match="names more than 1000 manifests"):
        load(f"oci-dir:{path}", tmp_path / "w")


def test_a_document_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = images.oci_dir(tmp_path / "i", LAYERS)
    with pytest.raises(BadImageError, match="limit document_bytes"):
        load(f"oci-dir:{path}", tmp_path / "w", limits=Limits(document_bytes=100))


def test_an_archive_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = images.oci_archive(tmp_path / "whole", LAYERS).read_bytes()
    with tarfile.open(tmp_path / "whole") as tar:
        end = max(member.offset_data + member.size for member in tar)
    path = tmp_path / "cut.tar"
    for size in range(100, end, 397):
        path.write_bytes(whole[:size])
        with pytest.raises(BadImageError):
            load(f"oci-archive:{path}", tmp_path / "w")


def test_a_blob_of_an_archive_may_be_a_link_but_never_leads_out_of_it(tmp_path: Path) -> None:
    files: dict[str, bytes | Link] = dict(images.oci_files(LAYERS))
    files["elsewhere"] = files.pop("index.json")
    path = images.write_archive(tmp_path / "in.tar", files | {"index.json": Link("elsewhere")})
    assert "/etc/b" in names(str(path), tmp_path / "w")
    (tmp_path / "index.json").write_bytes(b"{}")
    path = images.write_archive(tmp_path / "out.tar", files | {"index.json": Link(str(tmp_path / "index.json"))})
    with pytest.raises(BadImageError, match=r"index\.json is missing"):
        load(f"oci-archive:{path}", tmp_path / "w")
