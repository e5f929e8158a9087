"""What is fuzzed: each target takes hostile bytes and may raise nothing but the errors that users are shown."""

import bz2
import contextlib
import gzip
import io
import json
import lzma
import posixpath
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from mlbloat import gpu, pipeline, slim
from mlbloat.cache import NoCache
from mlbloat.errors import BadImageError, MlbloatError, UsageError
from mlbloat.image import Limits, load, squash
from mlbloat.image.meter import Meter
from mlbloat.image.squash import LayerContents, merge
from mlbloat.image.unpack import unpack
from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.image import ImageConfig
from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.use import Level
from mlbloat.packages import take_inventory
from mlbloat.pipeline import Request
from mlbloat.report import json as saved
from mlbloat.report import table
from mlbloat.tarstream import TarLayer, Window, index
from mlbloat.usage import marking, static
from mlbloat.usage.trace import load_profile
from mlbloat.verify import compare
from tests.fuzz.mutation import checked, damaged
from tests.support import images, reports
from tests.support.devicecode import bundle, compressed_bundle, fatbin, library
from tests.support.elf import elf_file
from tests.support.images import OPAQUE, WHITEOUT, Device, Member
from tests.support.trees import Hard, Link, tree_of
from tests.tarstream.test_layer import old_gnu, sparse_0_0, sparse_0_1, sparse_1_0

_SMALL = Limits(image_bytes=64 << 20, entries=20_000, metadata_bytes=4 << 20, document_bytes=1 << 20)
_LONG = "/" + "n" * 150


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    inputs: st.SearchStrategy[Any]
    run: Callable[[Any], None]


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mlbloat-fuzz-") as directory:
        yield Path(directory)


_MEMBERS: images.Members = {
    "/d": Member(value=None, mode=0o1777, uid=7),
    "/d" + _LONG: Member(value=b"abc" * 300, xattrs={"user.a": b"\xff\n=1"}, mtime=1.5),
    "/l": Link("d"),
    "/l/below": b"x",
    "/h": Hard("/d" + _LONG),
    "/c": Device(1, 3),
    "/gone": WHITEOUT,
    "/o": OPAQUE,
}
_TARS = (
    *(images.layer_tar(_MEMBERS, tar_format=form) for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)),
    sparse_1_0(), sparse_0_1(), sparse_0_0(), old_gnu(9),
)  # fmt: skip


def _tar(data: bytes) -> None:
    """Index, merge and read; where the standard library reads the same names, its contents must be the same."""
    with _scratch() as space:
        path = space / "t"
        path.write_bytes(data)
        layer = TarLayer(tar=Window.whole(path), name="layer", limits=_SMALL)
        with layer.tar.open() as stream:
            entries = index(stream, name="layer", limits=_SMALL)
        for entry in entries:
            assert entry.path.startswith("/")
            assert not {"", ".", ".."} & set(entry.path.split("/")[1:]) or entry.path == "/"
            if sum(len(chunk) for chunk in layer.members([entry])) % 512:
                raise AssertionError(f"{entry} is not made of whole blocks")
        _check_tree(merge([entries], LayerContents((layer,)), "image", limits=_SMALL))
        _compare_with_the_standard_library(data, layer)


def _compare_with_the_standard_library(data: bytes, layer: TarLayer) -> None:
    with layer.tar.open() as stream:
        ours = {entry.member: entry for entry in index(stream, name="layer", limits=_SMALL)}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:", errors="surrogateescape") as tar:
            for theirs in tar.getmembers():
                entry = ours.get(theirs.offset)
                if entry is None or not theirs.isreg() or entry.kind is not Kind.FILE or theirs.issparse():
                    continue
                if (theirs.size, theirs.pax_headers) == (entry.size_bytes, {}):
                    content = tar.extractfile(theirs)
                    with layer.open(entry) as stream:
                        assert content is not None
                        assert stream.read() == content.read()
    except (tarfile.TarError, ValueError, OverflowError):
        pass  # it is less patient than we are, or dies of a number


def _check_tree(tree: FileTree) -> None:
    for path, entry in tree.items():
        assert path == entry.path
        assert path == "/" or tree[posixpath.dirname(path)].kind is Kind.DIRECTORY
        assert entry.kind not in (Kind.HARDLINK, Kind.WHITEOUT, Kind.OPAQUE)
        if entry.kind is Kind.FILE:
            assert len(tree.read(entry, 1 << 20)) == min(entry.size_bytes, 1 << 20)
    assert set(tree) == {"/", *(entry.path for entry in tree.below("/"))}


_TEXT = b"some content " * 500
_PACKED = (gzip.compress(_TEXT), bz2.compress(_TEXT), lzma.compress(_TEXT), images.compressed(_TEXT, "zstd"))


def _compressed(data: bytes) -> None:
    with _scratch() as space:
        (space / "blob").write_bytes(data)
        blob = Window.whole(space / "blob")
        try:
            unpack(blob, name="blob", digest=None, diff_id=None, directory=space / "l", limits=_SMALL, meter=Meter())
        except BadImageError:
            assert not (space / "l").exists() or not list((space / "l").iterdir())
            raise


_LAYER = images.layer_tar({"/a": b"x"})
_MANIFEST, _FILES = images.oci_manifest([_LAYER, _LAYER], config={"Cmd": ["a"], "Env": ["A=b"], "User": "u"})
_DOCKER = images.docker_files([_LAYER], style="old")
_DOCUMENTS: dict[str, bytes] = {
    "config": images.config_document([_LAYER, _LAYER], {"Entrypoint": "a", "Cmd": ["b"]}),
    "manifest": _MANIFEST,
    "index": images.oci_layout(
        [images.descriptor(images._MANIFEST_TYPE, _MANIFEST, platform={"os": "linux", "architecture": "arm64"})]
    )["index.json"],
    "docker": bytes(_DOCKER["manifest.json"]),  # type: ignore[arg-type]  # no link
}


def _layout(damage: tuple[str, bytes]) -> None:
    """Exchange one document and keep every digest right, so that its content is what is judged."""
    name, content = damage
    config = content if name == "config" else _DOCUMENTS["config"]
    descriptors = json.loads(_MANIFEST)["layers"]
    manifest = json.dumps({"config": images.descriptor("c", config), "layers": descriptors}).encode()
    manifest = content if name == "manifest" else manifest
    files: dict[str, bytes | Link] = {**_FILES, **images.oci_layout([images.descriptor("m", manifest)])}
    files |= {images.blob_name(blob): blob for blob in (config, manifest)}
    files |= {"index.json": content} if name == "index" else {}
    files = {**_DOCKER, "manifest.json": content} if name == "docker" else files
    with _scratch() as space:
        write = images.write_archive if name == "docker" else images.write_dir
        report = pipeline.scan(Request(reference=str(write(space / "i", files)), limits=_SMALL))
        saved.render(report).encode("utf-8", "surrogateescape")
        table.render(report, color=False).encode("utf-8", "surrogateescape")


_PATHS = st.sampled_from(["/a", "/b", "/a/a", "/a/b", "/a/b/c", "/b/a", "/c/d", "/"])
_VALUES = st.one_of(
    st.just(b""), st.just(b"x"), st.none(), st.just(WHITEOUT), st.just(OPAQUE), st.just(Device(0, 0)),
    st.sampled_from(["a", "../b", "/a/b", "/", ".", "..", "../../../c/d", "a/b/c/d", "x/" * 600]).map(Link),
    _PATHS.map(Hard),
)  # fmt: skip
_LAYERS = st.lists(st.lists(st.tuples(_PATHS, _VALUES), max_size=7), max_size=4)


def _layers(layers: list[list[tuple[str, Any]]]) -> None:
    with _scratch() as space:
        path = images.oci_dir(space / "i", layers, compression="none")
        image = load(str(path), space / "w", limits=_SMALL)
        _check_tree(squash(image, _SMALL))


def _slim(case: tuple[list[list[tuple[str, Any]]], set[str]]) -> None:
    """Remove any files of any layers: what is written differs from the original by just these."""
    layers, unwanted = case
    with _scratch() as space:
        image = load(str(images.oci_dir(space / "i", layers, compression="none")), space / "w", limits=_SMALL)
        tree = squash(image, _SMALL)
        marks = tuple(
            Mark(entry.path, None, FileClass.UNUSED, ())
            if entry.path in unwanted
            else Mark(entry.path, Level.TRACED, FileClass.USED, ())
            for entry in tree.files()
        )
        plan = slim.make_plan(image, tree, marks, Level.SAFE)
        slim.write(image, plan, space / "s")
        after = load(f"oci-dir:{space}/s", space / "v", limits=_SMALL)
        documents = (image.config.document, after.config.document)
        assert compare(tree, squash(after, _SMALL), *documents, plan.removed) == ()


_STATUS = b"""Package: made
Status: install ok installed
Version: 1:2.0-1
Architecture: amd64
Depends: other (>= 1.0) | third, base:any
Conffiles:
 /etc/made.conf d41d8cd98f00b204e9800998ecf8427e

Package: other
Status: install ok installed
Architecture: all
Multi-Arch: same
Version: 3
Provides: third (= 1)
"""
_SITE = "/usr/lib/python3.11/site-packages"
_CONDA = json.dumps(
    {"name": "c", "version": "1", "build": "0", "depends": ["d >=1"], "files": ["lib/c.so", "../x"], "paths_data": {}}
)
_PROGRAM = elf_file(
    needed=("liba.so.1",), runpath="$ORIGIN/../lib", interpreter="/lib/ld.so", strings=("liba.so", "/etc/made.conf")
)
_SOURCE = b'''#!/usr/bin/python3
"""Documentation."""
import os, a.b as c
from . import (x, y)
from ..z import *
def f():
    import importlib; importlib.import_module("made.plugin" + name)
    __getattr__ = lambda n: open(f"{os.path.dirname(__file__)}/data.txt")
if TYPE_CHECKING:
    from t import u
TABLE = {"a": "made.b", 'c': r"made\\.d"}
'''
_TREE: Mapping[str, bytes | str | None] = {
    "/var/lib/dpkg/status": _STATUS,
    "/var/lib/dpkg/info/made.list": b"/.\n/usr\n/usr/bin/tool\n/etc/made.conf\n",
    "/var/lib/dpkg/info/other.md5sums": b"d41d8cd98f00b204e9800998ecf8427e  usr/lib/liba.so.1\n",
    "/var/lib/dpkg/diversions": b"/usr/bin/tool\n/usr/bin/tool.real\nother\n",
    "/var/lib/apt/extended_states": b"Package: made\nArchitecture: amd64\nAuto-Installed: 1\n",
    f"{_SITE}/made-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: made\nVersion: 1.0\nRequires-Dist: b>1; "
    b'python_version < "3.12" and extra == "x"\n\nText\n',
    f"{_SITE}/made-1.0.dist-info/RECORD": b'made/__init__.py,sha256=x,12\n"made/a,b.py",,\n../../../bin/made,,\n',
    f"{_SITE}/made-1.0.dist-info/entry_points.txt": b"[console_scripts]\nmade = made.main:run [x]\n",
    f"{_SITE}/made-1.0.dist-info/INSTALLER": b"pip\n",
    f"{_SITE}/made-1.0.dist-info/top_level.txt": b"made\n",
    f"{_SITE}/egg-2.egg-info/PKG-INFO": b"Name: egg\nVersion: 2\n",
    f"{_SITE}/egg-2.egg-info/requires.txt": b'made>=1\n\n[x:python_version<"3"]\nb\n',
    f"{_SITE}/egg-2.egg-info/installed-files.txt": b"../egg.py\n",
    f"{_SITE}/made/__init__.py": _SOURCE,
    f"{_SITE}/made/data.txt": b"x",
    f"{_SITE}/made.pth": b"/opt/app\nimport made.plugin\n",
    "/opt/venv/pyvenv.cfg": b"home = /usr/bin\ninclude-system-site-packages = true\nversion = 3.11.2\n",
    "/opt/venv/lib/python3.11/site-packages/v.py": b"import made\n",
    "/opt/conda/conda-meta/c-1-0.json": _CONDA,
    "/opt/conda/conda-meta/history": b"==> 2024-01-01 00:00:00 <==\n# update specs: ['c=1', \"d\"]\n+c-1-0\n",
    "/opt/conda/lib/c.so": elf_file(soname="c.so"),
    "/usr/bin/tool": _PROGRAM,
    "/usr/bin/python3.11": elf_file(interpreter="/lib/ld.so"),
    "/usr/bin/python3": Link("python3.11"),
    "/lib/ld.so": elf_file(soname="ld.so"),
    "/usr/lib/liba.so.1": elf_file(soname="liba.so.1", bits=32, order=">"),
    "/etc/ld.so.conf": b"include /etc/ld.so.conf.d/*.conf\n/usr/lib\n",
    "/etc/ld.so.conf.d/a.conf": b"include /etc/ld.so.conf\n/opt/$LIB\n",
    "/etc/nsswitch.conf": b"passwd: files systemd\nhosts: files [NOTFOUND=return] dns\n",
    "/app/main.py": b"import made, egg\nfrom made import plugin\n",
    "/app/run.sh": b'#!/bin/sh -e\n. ./env.sh\nexec "$@" | tool --x >/dev/null && python3 /app/main.py <<EOF\nx\nEOF\n',
    "/app/env.sh": b"X=$(tool); source /app/run.sh\n",
}
_BYTES = {path: value for path, value in _TREE.items() if isinstance(value, bytes)}
_BYTES["/opt/conda/conda-meta/c-1-0.json"] = _CONDA.encode()
_FILE = st.sampled_from(sorted(_BYTES)).flatmap(lambda path: st.tuples(st.just(path), damaged((_BYTES[path],))))


def _tree(damage: list[tuple[str, bytes]]) -> None:
    """Inventory, reach and marks of a tree in which some files are damaged."""
    tree = tree_of({**_TREE, **dict(damage)})
    inventory = take_inventory(tree)
    config = ImageConfig(document=b"{}", entrypoint=("/app/run.sh",), command=("python3", "/app/main.py"))
    uses = static.follow(tree, inventory, config, (), (config.entrypoint + config.command,))
    marks = marking.mark(tree, inventory, uses, keep=(), drop=(), traced=False)
    assert [mark.path for mark in marks] == [entry.path for entry in tree.files()]


_PROFILE = json.dumps(
    {
        "kind": "mlbloat.profile",
        "format": 1,
        "runs": [
            {"name": "a", "engine": "e", "tracer": "t", "seconds": 1.5, "exit": 0, "flags": [], "accesses": []},
        ],
    }
).encode()


def _document(damage: tuple[str, bytes]) -> None:
    name, content = damage
    with _scratch() as space:
        (space / "f").write_bytes(content)
        if name == "profile":
            load_profile(space / "f")
        else:
            saved.load(space / "f")


_SAVED = {"profile": _PROFILE, "report": saved.render(reports.slimmed()).encode()}

_DEVICE = (
    library({".nv_fatbin": fatbin("sm_80", "ptx_90", "lto_75") + bytes(8) + fatbin("sm_100f"), ".rodata": b"x"}),
    library({".rodata": b"a\0" + fatbin("sm_80")}, section_table=False),
    library({".hip_fatbin": bundle({"host-x--": b"", "x--gfx90a": b"a" * 99}) + compressed_bundle(64)}),
    library({".text": b"x" * 300}, machine=190, flags=0x5A),
    fatbin("sm_90") + fatbin("ptx_80"),
    bundle({"x--gfx90a:xnack+": b"a" * 300}),
)


def _device_code(data: bytes) -> None:
    """No more is counted than there is, and what is explained is what is counted."""
    tree = tree_of({"/lib/x.so": data})
    code = gpu.census(tree, NoCache()).files.values()
    assert sum(each.size_bytes for each in code) <= len(data)
    assert bool(gpu.explain("/lib/x.so", tree, NoCache())) is bool(code)


TARGETS = (
    Target("device code", damaged(_DEVICE), _device_code),
    Target("tar", damaged(_TARS).map(checked), _tar),
    Target("compressed", damaged(_PACKED, most=3), _compressed),
    Target(
        "layout",
        st.sampled_from(sorted(_DOCUMENTS)).flatmap(lambda n: st.tuples(st.just(n), damaged((_DOCUMENTS[n],)))),
        _layout,
    ),
    Target("layers", _LAYERS, _layers),
    Target("slim", st.tuples(_LAYERS, st.sets(_PATHS)), _slim),
    Target("tree", st.lists(_FILE, min_size=1, max_size=3), _tree),
    Target(
        "document",
        st.sampled_from(sorted(_SAVED)).flatmap(lambda name: st.tuples(st.just(name), damaged((_SAVED[name],)))),
        _document,
    ),
)


def survives(target: Target, value: object) -> None:
    """Run a target; the errors that users are shown are fine when they are one line that begins as they must."""
    try:
        target.run(value)
    except (BadImageError, UsageError, MlbloatError) as error:
        assert str(error).startswith("cannot "), error
        assert "\n" not in str(error), error
