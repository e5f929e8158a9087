"""Databases that the real dpkg and pip wrote, and what they say of them: the same files for each package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlbloat.image import load, squash
from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.package import Inventory
from mlbloat.packages import take_inventory
from tests.support.debs import deb
from tests.support.engines import missing, program
from tests.support.wheels import wheel

pytestmark = pytest.mark.engine


def run(*command: str | Path, **environment: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **environment})
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def read(root: Path, space: Path) -> tuple[FileTree, Inventory]:
    tree = squash(load(f"dir:{root}", space))
    return tree, take_inventory(tree)


def regular(tree: FileTree, paths: list[str]) -> set[str]:
    found = (tree.find(path, follow=False) for path in paths if path.startswith("/"))
    return {there.path for there in found if there.entry is not None and there.entry.kind is Kind.FILE}


def test_dpkg_with_conffiles_diversions_and_a_foreign_architecture(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        missing("dpkg installs as root only")
    root, build = tmp_path / "root", tmp_path / "build"
    (root / "var/lib/dpkg/info").mkdir(parents=True)
    (root / "var/lib/dpkg/updates").mkdir()
    (root / "var/lib/dpkg/status").touch()
    (root / "usr/lib").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    native = run(program("dpkg"), "--print-architecture").strip()
    foreign = "i386" if native != "i386" else "amd64"
    dpkg = (program("dpkg"), f"--root={root}", "--force-not-root", "--force-script-chrootless", "--force-architecture")
    shared = {"Multi-Arch": "same"}
    first = [
        deb(build, "tool", {"usr/bin/tool": "1", "etc/tool.conf": "x=1", "usr/share/doc/tool/copyright": "GPL"}),
        deb(build, "lib", {"lib/native/lib.so": "64"}, native, fields=shared),
        deb(build, "lib", {"lib/foreign/lib.so": "32"}, foreign, fields=shared),
    ]
    run(*dpkg, "--add-architecture", foreign)
    run(*dpkg, "--install", *first)
    divert = (program("dpkg-divert"), f"--root={root}", "--package", "better", "--rename")
    run(*divert, "--divert", "/usr/bin/tool.plain", "--add", "/usr/bin/tool")
    run(*dpkg, "--install", deb(build, "better", {"usr/bin/tool": "2"}))
    (tmp_path / "space").mkdir()
    tree, inventory = read(root, tmp_path / "space")
    found = {package.name: package for package in inventory.packages}
    # Nothing in this root says what is native: dpkg itself is not there, and one library is of each architecture.
    assert {name.partition(":")[0] for name in found} == {"tool", "lib", "better"}
    for name, package in found.items():
        qualified = f"lib:{name.partition(':')[2] or min(native, foreign)}" if name.startswith("lib") else name
        listed = run(*dpkg, "--listfiles", qualified).splitlines()
        told = [line.rpartition(": ")[2] if line.startswith("diverted by ") else line for line in listed]
        diverted = {"/usr/bin/tool"} if name == "tool" else set()
        expected = regular(tree, [path for path in told if path not in diverted])
        assert {path for path in package.files if not path.startswith("/var/lib/dpkg/")} == expected
    assert "/usr/bin/tool.plain" in found["tool"].files
    assert "/etc/tool.conf" in found["tool"].files
    assert inventory.problems == ()


def test_pip_with_scripts_data_files_and_compiled_modules(tmp_path: Path) -> None:
    prefix = tmp_path / "root/usr/local"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
    wheel(tmp_path, "first", "Requires-Dist: second\n")
    wheel(tmp_path, "second")
    run(
        *pip,
        "install",
        "--quiet",
        "--no-index",
        "--find-links",
        tmp_path,
        "--prefix",
        prefix,
        "--ignore-installed",
        "first",
    )
    site = next(prefix.glob("lib/python*/site-packages"))
    (tmp_path / "space").mkdir()
    tree, inventory = read(tmp_path / "root", tmp_path / "space")
    found = {package.name: package for package in inventory.packages}
    assert {name: package.requested for name, package in found.items()} == {"first": True, "second": False}
    for name, package in found.items():
        shown = run(*pip, "show", "--files", name, PYTHONPATH=str(site)).partition("\nFiles:\n")[2].splitlines()
        paths = [f"/{site.relative_to(tmp_path / 'root')}/{line.strip()}" for line in shown]
        assert set(package.files) == regular(tree, paths)
        assert f"/usr/local/bin/{name}-run" in package.files
        assert f"/usr/local/share/{name}/notes.txt" in package.files
        assert any(path.endswith(".pyc") for path in package.files)
    assert inventory.problems == ()


def spec(directory: Path, name: str, *more: str) -> Path:
    """A package for rpmbuild: a program, a link to it and a page of documentation."""
    lines = (
        f"Name: {name}", "Version: 1.0", "Release: 2", "Summary: x", "License: MIT", "BuildArch: noarch", *more,
        "%description", "x", "%install",
        "mkdir -p %{buildroot}/usr/bin %{buildroot}/usr/share/doc/%{name}",
        "echo 1 > %{buildroot}/usr/bin/%{name}", "ln -s %{name} %{buildroot}/usr/bin/%{name}-link",
        "echo text > %{buildroot}/usr/share/doc/%{name}/README",
        "%files", "/usr/bin/*", "%doc /usr/share/doc/%{name}",
    )  # fmt: skip
    path = directory / f"{name}.spec"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_rpm_with_epochs_and_weak_dependencies(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        missing("rpm installs into another root as root only")
    root, home = tmp_path / "root", {"HOME": str(tmp_path)}
    root.mkdir()
    defined = [("_topdir", tmp_path / "top"), ("_rpmdir", tmp_path / "built"), ("_dbpath", tmp_path / "none")]
    defines = [word for name, path in defined for word in ("--define", f"{name} {path}")]
    for path in (
        spec(tmp_path, "base", "Epoch: 3", "Provides: capability"),
        spec(tmp_path, "extra"),
        spec(tmp_path, "tool", "Requires: capability, /usr/bin/base", "Recommends: extra"),
    ):
        run(program("rpmbuild"), "-bb", "--quiet", *defines, path, **home)
    rpm = (program("rpm"), "--root", str(root), "--dbpath", "/var/lib/rpm", "--nosignature")
    run(*rpm, "--install", *sorted((tmp_path / "built").rglob("*.rpm")), **home)
    (tmp_path / "space").mkdir()
    tree, inventory = read(root, tmp_path / "space")
    asked = "%{name} %|epoch?{%{epoch}:}:{}|%{version}-%{release}\n"
    told = dict(line.split() for line in run(*rpm, "--query", "--all", "--queryformat", asked, **home).splitlines())
    assert {package.name: package.version for package in inventory.packages} == told
    assert told["base"] == "3:1.0-2"
    for package in inventory.packages:
        listed = run(*rpm, "--query", "--list", package.name, **home).splitlines()
        assert set(package.files) == regular(tree, listed)
        assert package.manager == "rpm"
    tool = next(package for package in inventory.packages if package.name == "tool")
    assert (tool.requires, tool.recommends) == (("rpm:base@/",), ("rpm:extra@/",))
    assert inventory.problems == ()
