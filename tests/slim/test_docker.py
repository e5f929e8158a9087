"""With a real docker engine: what is published runs, what is built from the Dockerfile is the slim tree."""

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from docker import APIClient

from mlbloat import pipeline
from mlbloat.errors import PublishError
from mlbloat.image import load, squash
from mlbloat.model.filetree import FileTree
from mlbloat.model.image import Image
from mlbloat.model.use import Level
from mlbloat.model.workload import Workload
from mlbloat.pipeline import Request
from mlbloat.slim import (
    Plan,
    SlimImage,
    SlimOptions,
    make_plan,
    parse_destination,
    publish,
    slimmed_dockerfile,
    write,
)
from mlbloat.slim.dockerfile import TOOL_IMAGE
from mlbloat.verify import compare
from tests.slim.installed import LAYER
from tests.slim.stacks import image_of, marks_keeping, merged
from tests.slim.test_databases import cut
from tests.support import images
from tests.support.images import WHITEOUT, Fifo, Member, Members
from tests.support.timeless import timeless
from tests.support.trees import Hard, Link

pytestmark = pytest.mark.engine

NAME = f"mlbloat-test/{os.getpid()}"
OWN = {"mlbloat.test": str(os.getpid())}
LABEL = f"mlbloat.test={os.getpid()}"


def docker(*arguments: str | Path, content: bytes | None = None) -> str:
    done = subprocess.run(("docker", *map(str, arguments)), capture_output=True, input=content)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


@pytest.fixture(autouse=True)
def no_images_left() -> Iterator[None]:
    yield
    tags = docker("images", "--format", "{{.Repository}}:{{.Tag}}", NAME).split()
    if tags:
        docker("rmi", "--force", *tags)
    docker("image", "prune", "--force", "--filter", f"label={LABEL}")  # first stages of a build


def hello(text: str) -> Member:
    """Assemble a program for x86-64 Linux that prints a text: write(1, text), exit(0)."""
    code = bytes.fromhex("b801000000 bf01000000 488d3510000000 ba") + struct.pack("<I", len(text))
    code += bytes.fromhex("0f05 b83c000000 31ff 0f05".replace(" ", ""))
    code += text.encode()
    start = 0x400000 + 120
    header = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, start, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    size = 120 + len(code)
    return Member(
        value=header + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, size, size, 4096) + code, mode=0o755
    )


def planned(image: Image, tree: FileTree, *kept: str) -> Plan:
    return make_plan(image, tree, marks_keeping(tree, *kept), Level.SAFE)


def slim_hello(directory: Path, text: str) -> SlimImage:
    layers: list[Members] = [
        {
            "/bin": None,
            "/bin/hello": hello(text),
            "/bin/twin": Member(value=Hard("/bin/hello"), mode=0o755),
            "/unused": "x" * 5000,
            "/old": "o",
        },
        {"/new": "n", "/old": WHITEOUT},
    ]
    image = image_of(directory / "tars", layers, config={"Cmd": ["/bin/twin"], "Labels": {"a": "b"}})
    return write(image, planned(image, merged(image), "/bin/hello", "/new"), directory / "layout")


def test_what_is_loaded_into_docker_runs_and_is_the_slim_image(tmp_path: Path) -> None:
    slim = slim_hello(tmp_path, "hello\n")
    assert publish(slim.directory, parse_destination(f"docker:{NAME}:slim")) == f"docker:{NAME}:slim"
    assert docker("run", "--rm", "--network=none", f"{NAME}:slim") == "hello\n"
    (tmp_path / "work").mkdir()
    loaded = load(f"docker:{NAME}:slim", tmp_path / "work")
    assert loaded.id == slim.id
    assert {entry.path for entry in squash(loaded).files()} == {"/bin/hello", "/bin/twin", "/new"}


def test_docker_loads_a_docker_archive(tmp_path: Path) -> None:
    slim = slim_hello(tmp_path, "hello\n")
    publish(slim.directory, parse_destination(f"docker-archive:{tmp_path}/a.tar:{NAME}:archive"))
    docker("load", "--input", tmp_path / "a.tar")
    assert docker("run", "--rm", "--network=none", f"{NAME}:archive") == "hello\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(5, "Input/output error")])
def test_a_load_that_breaks_off_moves_no_tag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    destination = parse_destination(f"docker:{NAME}:slim")
    first, second = slim_hello(tmp_path / "1", "first\n"), slim_hello(tmp_path / "2", "second\n")
    publish(first.directory, destination)

    def breaks(path: Path) -> Iterator[bytes]:
        if path.name == second.layers[-1].digest.hex:
            raise error
        yield path.read_bytes()

    monkeypatch.setattr(sys.modules[publish.__module__], "_chunks", breaks)
    with pytest.raises((KeyboardInterrupt, PublishError)):
        publish(second.directory, destination)
    assert docker("inspect", "--format", "{{.Id}}", f"{NAME}:slim").strip() == first.id


def test_an_interrupt_while_docker_works_on_what_it_was_sent_moves_no_tag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = parse_destination(f"docker:{NAME}:slim")
    first, second = slim_hello(tmp_path / "1", "first\n"), slim_hello(tmp_path / "2", "second\n")
    publish(first.directory, destination)

    def until_it_has_all(self: APIClient, archive: Iterator[bytes]) -> Iterator[object]:
        docker("load", content=b"".join(archive))  # the engine does not hear that nobody waits any more
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(APIClient, "load_image", until_it_has_all)
    with pytest.raises(KeyboardInterrupt):
        publish(second.directory, destination)
    assert docker("inspect", "--format", "{{.Id}}", f"{NAME}:slim").strip() == first.id
    assert docker("rmi", second.id)


def programs() -> dict[str, Member]:
    """The host's sh, rm and xargs with the libraries that they load, under their own names."""
    files: dict[str, Member] = {}
    for name in ("sh", "rm", "xargs"):
        path = shutil.which(name, path="/bin:/usr/bin")
        assert path is not None, f"this machine has no {name}"
        files[f"/bin/{name}"] = _copy(Path(path))
        for word in subprocess.run(("ldd", path), capture_output=True, text=True).stdout.split():
            if word.startswith("/"):
                files[word] = _copy(Path(word))
    return files


def _copy(path: Path) -> Member:
    return Member(value=path.read_bytes(), mode=0o755)


ODD = ("/odd/two words", "/odd/it's", '/odd/"quoted"', "/odd/back\\slash", "/odd/line\nbreak", "/odd/ümlaut", "/odd/-f")


def with_programs(directory: Path, config: dict[str, object]) -> Image:
    files: Members = {
        "/data": Member(value=None, mode=0o1770, uid=5, gid=6),
        "/data/kept": Member(value="k", uid=7, gid=8, mode=0o4755, mtime=1e9),
        "/data/twin": Member(value=Hard("/data/kept"), uid=7, gid=8, mode=0o4755, mtime=1e9),
        "/data/unused": "u",
        "/data/link": Link("unused"),
        "/data/pipe": Fifo(),
        "/odd": None,
        **programs(),
        **dict.fromkeys(ODD, "odd"),
    }
    config = {"Env": ["PATH=/bin", 'ODD=a "b" $x \\'], "User": "7", **config}
    return image_of(
        directory / "tars", [files, {"/data": Member(value=None, mode=0o1770, uid=5, gid=6)}], config=config
    )


@pytest.mark.parametrize("own_tools", [True, False])
def test_the_dockerfile_cuts_package_databases_as_the_slim_image_does(tmp_path: Path, own_tools: bool) -> None:
    config: Mapping[str, object] = {"Labels": OWN, "Env": ["PATH=/bin"]} | (
        {} if own_tools else {"OnBuild": ["RUN false"]}
    )
    (tmp_path / "image").mkdir()
    path = images.oci_archive(tmp_path / "original.tar", [dict(LAYER) | programs()], config=config)
    original = load(str(path), tmp_path / "image")
    tree = squash(original)
    whole = make_plan(original, tree, (), Level.SAFE)
    publish(write(original, whole, tmp_path / "whole").directory, parse_destination(f"docker:{NAME}:original"))
    plain = image_of(tmp_path / "plain", [programs()], config={"Env": ["PATH=/bin"], "Labels": OWN})
    tool = write(plain, planned(plain, merged(plain), *merged(plain)), tmp_path / "tool")
    publish(tool.directory, parse_destination(f"docker:{NAME}:tool"))
    plan = cut(original)
    assert plan.cut and plan.removed_directories
    made = slimmed_dockerfile(
        original, tree, plan, base=f"{NAME}:original", tool_image=f"{NAME}:tool", list_name="Dockerfile.removed"
    )
    context = tmp_path / "context"
    context.mkdir()
    for name, text in {"Dockerfile": made.text, **made.files}.items():
        (context / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    build = ("docker", "build", "--quiet", "--tag", f"{NAME}:built", context)
    done = subprocess.run(build, capture_output=True, text=True, env={**os.environ, "DOCKER_BUILDKIT": "0"})
    assert done.returncode == 0, done.stderr
    (tmp_path / "work").mkdir()
    built = squash(load(f"docker:{NAME}:built", tmp_path / "work"))
    rewritten = {path: plan.rewritten[tree[path].inode] for path in plan.cut}
    gone = (*plan.removed, *plan.removed_directories)
    assert compare(timeless(tree), timeless(built), b"{}", b"{}", gone, rewritten=rewritten) == ()
    assert {path: built[path].mtime for path in plan.cut} == {path: tree[path].mtime for path in plan.cut}


@pytest.mark.parametrize("own_tools", [True, False])
def test_the_dockerfile_builds_the_slim_tree_and_its_configuration(tmp_path: Path, own_tools: bool) -> None:
    config: dict[str, object] = {} if own_tools else {"OnBuild": ["RUN false"]}
    config |= {"Cmd": ["/data/kept"], "WorkingDir": "/data", "Labels": {"note": "a b", **OWN}, "StopSignal": "SIGINT"}
    original = with_programs(tmp_path, config)
    tree = merged(original)
    tools = write(original, planned(original, tree, *tree), tmp_path / "whole")
    publish(tools.directory, parse_destination(f"docker:{NAME}:original"))
    plain = image_of(tmp_path / "plain", [programs()], config={"Env": ["PATH=/bin"], "Labels": OWN})
    publish(
        write(plain, planned(plain, merged(plain), *merged(plain)), tmp_path / "tool").directory,
        parse_destination(f"docker:{NAME}:tool"),
    )
    plan = planned(original, tree, "/data/kept", ODD[0])
    made = slimmed_dockerfile(
        original, tree, plan, base=f"{NAME}:original", tool_image=f"{NAME}:tool", list_name="Dockerfile.removed"
    )
    assert (f"FROM {NAME}:tool" not in made.text) is own_tools
    context = tmp_path / "context"
    context.mkdir()
    for name, text in {"Dockerfile": made.text, **made.files}.items():
        (context / name).write_text(text, errors="surrogateescape")
    build = ("docker", "build", "--quiet", "--tag", f"{NAME}:built", context)
    done = subprocess.run(build, capture_output=True, text=True, env={**os.environ, "DOCKER_BUILDKIT": "0"})
    assert done.returncode == 0, done.stderr
    (tmp_path / "work").mkdir()
    built = load(f"docker:{NAME}:built", tmp_path / "work")
    wanted = json_config(original)
    assert {name: json_config(built).get(name) for name in wanted} == wanted
    assert compare(timeless(tree), timeless(squash(built)), b"{}", b"{}", plan.removed) == ()


def test_the_dockerfile_of_an_image_without_a_shell_builds_what_slim_publishes(tmp_path: Path) -> None:
    """The image has one program, which is no shell: by the pipeline, as users do, and from docker to docker."""
    files: Members = {
        "/bin": None,
        "/bin/hello": hello("hello\n"),
        "/data": Member(value=None, mode=0o1770, uid=5, gid=6),
        "/data/two words": Member(value="kept", mode=0o640, uid=7, gid=8, mtime=1e9),
        "/usr/lib/unused": "x" * 5000,
    }
    config: dict[str, object] = {"Cmd": ["/bin/hello"], "Env": ["PATH=/bin"], "Labels": OWN}
    archive = images.docker_archive(tmp_path / "a.tar", [files], config=config, tag=f"{NAME}:original")
    docker("load", "--input", archive)
    plain = image_of(tmp_path / "plain", [programs()], config={"Env": ["PATH=/bin"], "Labels": OWN})
    tool = write(plain, planned(plain, merged(plain), *merged(plain)), tmp_path / "tool")
    publish(tool.directory, parse_destination(f"docker:{NAME}:tool"))

    asked = Request(reference=f"docker:{NAME}:original", workload=Workload(keep=("/data/*",)))
    made = pipeline.slim(asked, f"docker:{NAME}:slim", wanted=SlimOptions(dockerfile="Dockerfile"))
    assert made.failure == ""
    context = tmp_path / "context"
    context.mkdir()
    for name, text in made.dockerfile.items():
        (context / name).write_text(text.replace(f"FROM {TOOL_IMAGE} ", f"FROM {NAME}:tool "))
    assert f"FROM {NAME}:tool " in (context / "Dockerfile").read_text()
    build = ("docker", "build", "--quiet", "--tag", f"{NAME}:built", context)
    done = subprocess.run(build, capture_output=True, text=True, env={**os.environ, "DOCKER_BUILDKIT": "0"})
    assert done.returncode == 0, done.stderr
    slim, built = (load(f"docker:{NAME}:{tag}", tmp_path / tag) for tag in ("slim", "built"))
    assert compare(timeless(squash(slim)), timeless(squash(built)), b"{}", b"{}", ()) == ()
    assert {entry.path for entry in squash(built).files()} == {"/bin/hello", "/data/two words"}
    own = ("Cmd", "Env")
    assert [json_config(built)[name] for name in own] == [json_config(slim)[name] for name in own]
    assert docker("run", "--rm", "--network=none", f"{NAME}:built") == "hello\n"


def json_config(image: Image) -> dict[str, object]:

    return dict(json.loads(image.config.document)["config"])
