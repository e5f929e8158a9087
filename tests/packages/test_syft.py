"""The real syft as the other opinion: the same packages, or a difference with its reason beside it."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from mlbloat.image import load, squash
from mlbloat.packages import take_inventory
from tests.packages.test_rpm import database, package
from tests.support import syft
from tests.support.images import Content, docker_archive

pytestmark = pytest.mark.engine

SITE = "/usr/local/lib/python3.11/site-packages"
RELEASE: dict[str, Content] = {
    "/etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n',
    "/etc/debian_version": "12.5\n",
}


def difference(tmp_path: Path, files: Mapping[str, Content]) -> tuple[syft.Found, syft.Found]:
    """What only syft finds, and what only this project finds."""
    image = docker_archive(tmp_path / "image.tar", [dict(files)])
    (tmp_path / "space").mkdir()
    theirs = {artifact.identity for artifact in syft.artifacts(image)}
    mine = syft.identities(take_inventory(squash(load(f"docker-archive:{image}", tmp_path / "space"))))
    assert theirs | mine, "an oracle that finds nothing says nothing"
    return theirs - mine, mine - theirs


def stanza(name: str, version: str = "1.0-1", **fields: str) -> str:
    given = {"Package": name, "Status": "install ok installed", "Architecture": "amd64", "Maintainer": "a <a@b.org>",
             "Version": version, **fields, "Description": "text"}  # fmt: skip
    return "".join(f"{field}: {value}\n" for field, value in given.items() if value) + "\n"


def metadata(name: str, version: str = "1.0") -> str:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n"


def dist_info(name: str, version: str = "1.0", location: str = SITE) -> dict[str, Content]:
    info = f"{location}/{name}-{version}.dist-info"
    return {
        f"{info}/METADATA": metadata(name, version),
        f"{info}/RECORD": f"{name}-{version}.dist-info/METADATA,,\n{name}/__init__.py,,\n",
        f"{location}/{name}/__init__.py": "",
    }


def test_apt_with_foreign_architectures_and_epochs(tmp_path: Path) -> None:
    status = (
        stanza("dpkg")
        + stanza("libc6", "2.36-9")
        + stanza("libc6", "2.36-9", Architecture="i386")
        + stanza("python3-foo", "1:2.0~rc1-1+b2", Source="foo")
        + stanza("half", Status="install ok half-configured")
    )
    files: dict[str, Content] = {**RELEASE, "/var/lib/dpkg/status": status}
    for name in ("dpkg", "libc6:amd64", "libc6:i386", "python3-foo", "half"):
        files[f"/var/lib/dpkg/info/{name}.list"] = "/.\n"
    assert difference(tmp_path, files) == (set(), set())


def test_apt_packages_of_which_only_configuration_is_left_are_none(tmp_path: Path) -> None:
    status = stanza("dpkg") + stanza("gone", Status="deinstall ok config-files")
    # Syft 1.18 lists every stanza; dpkg -l says `rc` for this one, and there is no file of its payload to own.
    assert difference(tmp_path, {**RELEASE, "/var/lib/dpkg/status": status}) == ({("apt", "gone", "1.0-1")}, set())


def test_distroless(tmp_path: Path) -> None:
    status_d = "/var/lib/dpkg/status.d"
    files: dict[str, Content] = {
        **RELEASE,
        **dict.fromkeys(("/var", "/var/lib", "/var/lib/dpkg", status_d)),  # syft looks for entries of directories
        f"{status_d}/base": stanza("base-files", "12.4", Status=""),
        f"{status_d}/base.md5sums": "0123  etc/os-release\n",
        f"{status_d}/libc6": stanza("libc6", "2.36-9", Status=""),
    }
    assert difference(tmp_path, files) == (set(), set())


def test_virtual_environments_and_eggs(tmp_path: Path) -> None:
    venv = "/opt/venv/lib/python3.11/site-packages"
    files: dict[str, Content] = {
        **RELEASE,
        "/opt/venv/pyvenv.cfg": "home = /usr/bin\n",
        **dist_info("Demo_Pkg", location=venv),
        **dist_info("other", "2.0rc1"),
        **dist_info("app", location="/app/vendor"),
        f"{SITE}/directory-1.0.egg-info/PKG-INFO": metadata("directory"),
        f"{SITE}/single-1.0.egg-info": metadata("single"),
    }
    assert difference(tmp_path, files) == (set(), set())


def test_copies_that_packages_bundle_and_source_trees_are_no_installations(tmp_path: Path) -> None:
    files = {
        **RELEASE,
        **dist_info("demo"),
        **dist_info("bundled", location=f"{SITE}/demo/_vendor"),
        "/src/source.egg-info/PKG-INFO": metadata("source"),
    }
    # No Python of the image finds these by name: they are files of `demo`, and of nobody. Syft takes any METADATA.
    assert difference(tmp_path, files) == ({("pip", "bundled", "1.0"), ("pip", "source", "1.0")}, set())


def test_a_distribution_without_metadata_is_named_from_its_directory(tmp_path: Path) -> None:
    files: dict[str, Content] = {**RELEASE, **dist_info("demo"), f"{SITE}/lost-2.0.dist-info/RECORD": "lost/a.py,,\n"}
    # Its files are there and somebody's; the report says that METADATA is missing. Syft has nothing to read.
    assert difference(tmp_path, files) == (set(), {("pip", "lost", "2.0")})


def test_an_egg_link_counts_once(tmp_path: Path) -> None:
    files: dict[str, Content] = {
        **RELEASE,
        f"{SITE}/mine.egg-link": "/app\n.\n",
        "/app/mine.egg-info/PKG-INFO": metadata("mine"),
    }
    assert difference(tmp_path, files) == (set(), set())


def test_conda_is_invisible_to_syft_in_images(tmp_path: Path) -> None:
    record = {"name": "numbers", "version": "1.2", "build": "0", "files": []}
    meta = "/opt/conda/conda-meta/numbers-1.2-0.json"
    # Syft's cataloger of conda has no tag for images, so it does not run on one.
    assert difference(tmp_path, {**RELEASE, meta: json.dumps(record)}) == (set(), {("conda", "numbers", "1.2")})


def test_alpine(tmp_path: Path) -> None:
    installed = (
        "C:Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=\nP:musl\nV:1.2.5-r0\nA:x86_64\nS:1\nI:1\nT:c\nU:u\nL:MIT\no:musl\nF:lib\nR:ld.so\n\n"
        "C:Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=\nP:busybox\nV:1.36.1-r29\nA:x86_64\nS:1\nI:1\nT:b\nU:u\nL:GPL\no:busybox\nF:bin\nR:b\n\n"
    )
    files: dict[str, Content] = {
        "/etc/os-release": "ID=alpine\nVERSION_ID=3.20.0\n",
        "/lib/apk/db/installed": installed,
    }
    assert difference(tmp_path, files) == (set(), set())


def test_rpm(tmp_path: Path) -> None:
    content = database(tmp_path, package("bash", "/usr/bin/bash"), package("glibc", EPOCH=(2,)))
    files: dict[str, Content] = {
        "/etc/os-release": 'ID="rhel"\nVERSION_ID="9.4"\n',
        "/var/lib/rpm/rpmdb.sqlite": content,
    }
    assert difference(tmp_path, files) == (set(), set())


def test_global_npm_modules(tmp_path: Path) -> None:
    manifest = json.dumps({"name": "tool", "version": "1.0.0"})
    inner = json.dumps({"name": "inner", "version": "2.0.0"})
    module = "/usr/local/lib/node_modules/tool"
    files: dict[str, Content] = {
        **RELEASE,
        f"{module}/package.json": manifest,
        f"{module}/node_modules/inner/package.json": inner,
    }
    # What a global module needs lies inside it and is a part of it here: it can neither be removed nor upgraded alone.
    assert difference(tmp_path, files) == ({("npm", "inner", "2.0.0")}, set())
