"""Real engines as oracles: what they make of an image is what we read."""

import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import docker
import pytest

from mlbloat.errors import ImageNotFoundError
from mlbloat.image import load, squash
from mlbloat.model.filetree import FileTree, Kind
from tests.support import images
from tests.support.images import OPAQUE, WHITEOUT, Compression, Device, Fifo, Member, Members
from tests.support.trees import Hard, Link

pytestmark = pytest.mark.engine

LAYERS: list[Members] = [
    {
        "/bin": Member(value=None, mode=0o711, mtime=1000),
        "/bin/tool": Member(value=b"#!tool", mode=0o4755, uid=1, gid=2, mtime=1500),
        "/bin/same": Member(value=Hard("/bin/tool"), mode=0o4755, uid=1, gid=2, mtime=1500),
        "/bin/link": Link("/usr/../bin/tool"),
        "/old": None,
        "/old/a": b"a",
        "/old/sub": None,
        "/old/sub/b": b"b",
        "/gone": None,
        "/gone/c": b"c",
        "/turns": None,
        "/turns/d": b"d",
        "/pipe": Fifo(),
        "/null": Device(1, 3),
        "/" + "n" * 120: b"long",
        os.fsdecode(b"/caf\xe9"): b"latin",
    },
    {
        "/old": Member(value=None, mode=0o750),
        "/old/": OPAQUE,
        "/old/new": b"new",
        "/gone": WHITEOUT,
        "/turns": b"into a file",
    },
    {"/turns": WHITEOUT, "/bin": Member(value=None, mode=0o755), "/bin/tool": WHITEOUT, "/last": b"last"},
]


def tree_lines(tree: FileTree) -> dict[str, tuple[object, ...]]:
    return {
        path: (
            entry.kind.value,
            entry.mode if entry.kind is not Kind.SYMLINK else 0o777,
            entry.uid,
            entry.gid,
            entry.target,
            tree.read(entry) if entry.kind is Kind.FILE else b"",
        )
        for path, entry in tree.items()
        if path != "/"
    }


def disk_lines(root: Path) -> dict[str, tuple[object, ...]]:
    return {"/" + str(path.relative_to(root)): disk_line(path) for path in root.rglob("*")}


def disk_line(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    kinds = {
        stat.S_IFREG: Kind.FILE,
        stat.S_IFDIR: Kind.DIRECTORY,
        stat.S_IFLNK: Kind.SYMLINK,
        stat.S_IFIFO: Kind.FIFO,
        stat.S_IFCHR: Kind.CHARACTER,
        stat.S_IFBLK: Kind.BLOCK,
    }
    kind = kinds[stat.S_IFMT(status.st_mode)]
    return (
        kind.value,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        str(path.readlink()) if kind is Kind.SYMLINK else "",
        path.read_bytes() if kind is Kind.FILE else b"",
    )


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_the_tree_is_what_umoci_unpacks(tmp_path: Path, compression: Compression) -> None:
    path = images.oci_dir(tmp_path / "layout", LAYERS, compression=compression, tag="v1")
    subprocess.run(["umoci", "raw", "unpack", "--image", f"{path}:v1", str(tmp_path / "root")], check=True)
    assert tree_lines(squash(load(f"oci-dir:{path}:v1", tmp_path / "w"))) == disk_lines(tmp_path / "root")


def test_archives_that_skopeo_writes_hold_the_same_image(tmp_path: Path) -> None:
    source = images.oci_dir(tmp_path / "layout", LAYERS, config={"Cmd": ["x"]})
    found = load(f"oci-dir:{source}", tmp_path / "w")
    for target in (
        f"oci-archive:{tmp_path}/o.tar:v1",
        f"docker-archive:{tmp_path}/d.tar:app:1",
        f"oci:{tmp_path}/o:v1",
    ):
        subprocess.run(["skopeo", "copy", "-q", f"oci:{source}:latest", target], check=True)
        peer = load(target.replace("oci:", "oci-dir:", 1), tmp_path / "w")
        assert [layer.diff_id for layer in peer.layers] == [layer.diff_id for layer in found.layers]
        assert [layer.entries for layer in peer.layers] == [layer.entries for layer in found.layers]
        assert tree_lines(squash(peer)) == tree_lines(squash(found))


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[str]:
    """The image in the docker engine, under a name of its own."""
    client = docker.from_env(timeout=600)
    name = f"mlbloat-test/{os.getpid()}:{tmp_path.name}".lower()
    with images.docker_archive(tmp_path / "d.tar", LAYERS, config={"Cmd": ["x"]}, tag=name).open("rb") as stream:
        client.images.load(stream)
    yield name
    client.images.remove(name, force=True)
    client.close()


def _bytes(chunks: Iterable[object]) -> bytes:
    return b"".join(cast(Iterable[bytes], chunks))


def test_an_image_of_the_docker_engine_is_read(tmp_path: Path, loaded: str) -> None:
    image = load(f"docker:{loaded}", tmp_path)
    peer = load(f"docker-archive:{tmp_path}/d.tar", tmp_path)
    assert (image.reference, image.id, image.config.command) == (f"docker:{loaded}", peer.id, ("x",))
    assert [layer.diff_id for layer in image.layers] == [layer.diff_id for layer in peer.layers]
    assert tree_lines(squash(load(loaded, tmp_path))) == tree_lines(squash(peer))


def test_the_tree_is_what_the_docker_engine_exports(tmp_path: Path, loaded: str) -> None:
    client = docker.from_env(timeout=600)
    container = client.containers.create(loaded)
    try:
        exported = _bytes(container.export())
    finally:
        container.remove()
        client.close()
    with tarfile.open(fileobj=io.BytesIO(exported), errors="surrogateescape") as tar:
        found = {"/" + member.name: oct(member.mode & 0o7777) for member in tar}
    tree = squash(load(f"docker:{loaded}", tmp_path))
    # The engine adds the mount points of a container.
    added = {"/.dockerenv", "/dev", "/etc", "/proc", "/sys"}
    assert {path for path in found if "/" + path.split("/")[1] not in added} == set(tree) - {"/"}
    assert {path: oct(tree[path].mode) for path in found if path in tree} == {
        path: mode for path, mode in found.items() if path in tree
    }


def test_an_image_that_the_engine_does_not_have_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFoundError, match="no such image in the docker engine; docker pull mlbloat-test/none:1"):
        load("docker:mlbloat-test/none:1", tmp_path)


def test_the_engine_passes_over_global_headers_as_we_do(tmp_path: Path) -> None:
    """A PAX reader would call the file `renamed`."""
    plain = images.layer_tar({"/name": b"x"})
    pax = tarfile.TarInfo.create_pax_global_header({"path": "renamed", "uid": "77"})
    name = f"mlbloat-test/global:{os.getpid()}"
    path = images.docker_archive(tmp_path / "d.tar", [pax + plain], config={"Cmd": ["x"]}, tag=name)
    client = docker.from_env(timeout=600)
    try:
        with path.open("rb") as stream:
            client.images.load(stream)
        container = client.containers.create(name)
        exported = _bytes(container.export())
        container.remove()
        client.images.remove(name, force=True)
    finally:
        client.close()
    with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
        assert (tar.getmember("name").uid, "renamed" in tar.getnames()) == (0, False)
    assert squash(load(str(path), tmp_path / "w"))["/name"].uid == 0
