"""A real Debian in a directory, with what people install in images: packages, environments of Python, conda.

Programs run in it by chroot, so what they say of themselves can be held against what is read from the files.
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from tests.support.conda import Built, channel, environment
from tests.support.debs import deb
from tests.support.engines import missing, program
from tests.support.wheels import editable_source, legacy_source, wheel

SUITE = "bookworm"
VENV, CONDA, TARGET, USER = "/opt/venv", "/opt/conda", "/app/vendor", "/home/app"
VENV_SITE = f"{VENV}/lib/python3.11/site-packages"
CONDA_SITE = f"{CONDA}/lib/python3.11/site-packages"
USER_SITE = f"{USER}/.local/lib/python3.11/site-packages"
_WHEELS = "/usr/share/python-wheels"
_OPTIONS = ("--disable-pip-version-check", "--no-input")
_INSTALL = ("install", "--quiet", "--no-index", "--find-links", "/wheels", "--root-user-action", "ignore")


@dataclass(frozen=True)
class Debian:
    root: Path

    def run(self, *command: str, **variables: str) -> str:
        """Run a program of the tree in the tree; return what it writes."""
        known = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", **variables}
        known["PYTHONDONTWRITEBYTECODE"] = "1"  # asking must not change what is asked about; pip compiles all the same
        inside = ["chroot", str(self.root), *command]
        ended = subprocess.run(inside, capture_output=True, text=True, timeout=300, env=known, stdin=subprocess.DEVNULL)
        assert ended.returncode == 0, f"{command}: {ended.stdout[-2000:]}{ended.stderr[-2000:]}"
        return ended.stdout

    @property
    def pip_wheel(self) -> Path:
        return next((self.root / _WHEELS[1:]).glob("pip-*.whl"))

    def pip(self, python: str, *arguments: str, **variables: str) -> str:
        """Run pip for a Python of the tree: that of its environment, or the one that Debian keeps for environments."""
        return self.run(python, "-m", "pip", *_OPTIONS, *arguments, **self.seeing_pip(python, variables))

    def seeing_pip(self, python: str, variables: Mapping[str, str]) -> Mapping[str, str]:
        """Variables for a Python that has no pip of its own, too."""
        if python != "/usr/bin/python3":
            return variables
        path = ":".join((f"{_WHEELS}/{self.pip_wheel.name}", variables.get("PYTHONPATH", ""))).strip(":")
        return {**variables, "PYTHONPATH": path}


def make(root: Path, scratch: Path) -> Debian:
    """Make the tree; what a test knows of it stands in the functions below."""
    if os.geteuid() != 0:
        missing("making a Debian needs root")
    _bootstrap(root)
    debian = Debian(root)
    _apt(debian, scratch)
    _python(debian)
    _conda(debian, scratch)
    return debian


def _bootstrap(root: Path) -> None:
    """What images of Debian are made by, without translations and documentation, as in its slim images."""
    excluded = ("path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright",
                "path-exclude=/usr/share/locale/*", "force-unsafe-io")  # fmt: skip
    options = [f"--dpkgopt={each}" for each in excluded]
    # In a namespace of its own, so that no mount is left whatever happens.
    command = [
        program("unshare"),
        "--mount",
        program("mmdebstrap"),
        "--quiet",
        "--variant=essential",
        "--include=python3-venv,python3-six",
        *options,
    ]
    ended = subprocess.run([*command, SUITE, str(root)], capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stderr[-4000:]


def _apt(debian: Debian, scratch: Path) -> None:
    """Packages with a conffile, a diversion, a foreign architecture, an alternative, hard links, and one removed."""
    into = debian.root / "debs"
    into.mkdir()
    linked = "ln /usr/lib/linked/one /usr/lib/linked/two"
    alternative = "update-alternatives --install /usr/bin/choice choice /usr/bin/tool 10"
    choice = {"postinst": alternative}
    built = [
        deb(
            scratch,
            "tool",
            {"usr/bin/tool": "1", "etc/tool.conf": "x=1", "usr/share/doc/tool/README": "1"},
            scripts=choice,
        ),
        deb(scratch, "foreign", {"usr/lib/i386-linux-gnu/lib.so": "32"}, "i386", fields={"Multi-Arch": "same"}),
        deb(scratch, "linked", {"usr/lib/linked/one": "1" * 1000}, scripts={"postinst": linked}),
        deb(scratch, "gone", {"etc/gone.conf": "x=1", "usr/bin/gone": "1"}),
        deb(scratch, "legacy-path", {"lib/legacy/module.ko": "aliased by a merged /usr"}),
    ]
    better = deb(scratch, "better", {"usr/bin/tool": "2"})
    for each in (*built, better):
        each.rename(into / each.name)
    debian.run("dpkg", "--add-architecture", "i386")
    debian.run("sh", "-c", "dpkg --install /debs/tool-* /debs/foreign-* /debs/linked-* /debs/gone-* /debs/legacy-*")
    debian.run("dpkg", "--remove", "gone")
    debian.run("dpkg-divert", "--package", "better", "--divert", "/usr/bin/tool.plain", "--rename", "/usr/bin/tool")
    debian.run("sh", "-c", "dpkg --install /debs/better-* && rm -r /debs")


def _python(debian: Debian) -> None:
    """A virtual environment with wheels, an egg-info, an egg and editable installs; a user's and a directory's."""
    wheels = debian.root / "wheels"
    wheels.mkdir()
    unmet = "Requires-Dist: absent ; python_version < '3'\nRequires-Dist: extra ; extra == 'more'\n"
    wheel(wheels, "first", "Requires-Dist: second\n" + unmet)
    for name in ("second", "extra", "lonely"):
        wheel(wheels, name)
    legacy_source(debian.root / "srv/oldstyle", "oldstyle")
    legacy_source(debian.root / "srv/egg", "egg")
    legacy_source(debian.root / "srv/developed", "developed")
    editable_source(debian.root / "srv/edited", "edited")
    python = f"{VENV}/bin/python"
    debian.run("/usr/bin/python3", "-m", "venv", VENV)
    debian.pip(python, *_INSTALL, "first", "extra")
    debian.pip(python, *_INSTALL, "--no-use-pep517", "--no-build-isolation", "/srv/oldstyle")
    debian.pip(python, *_INSTALL, "--no-build-isolation", "--editable", "/srv/edited")
    debian.run("sh", "-c", f"cd /srv/egg && {python} setup.py --quiet install")
    debian.run("sh", "-c", f"cd /srv/developed && {python} setup.py --quiet develop")
    plain = ("/usr/bin/python3", *_INSTALL, "--break-system-packages")
    debian.pip(*plain, "--user", "lonely", HOME=USER)
    debian.pip(*plain, "--target", TARGET, "second")


def _conda(debian: Debian, scratch: Path) -> None:
    """A base environment from a channel of Debian's own Python and pip, one more, and a wheel that pip puts there."""
    pip = _unpacked(debian.pip_wheel)
    built = (
        Built(name="python", version="3.11.2", files=_standard_library(debian.root)),
        Built(name="pip", version=debian.pip_wheel.name.split("-")[1], files=pip, depends=["python"], noarch="python"),
        Built(name="libmath", files={"lib/libmath.so.1": "ELF" * 1000}, form="tar.bz2"),
        Built(name="tables", files={"share/tables/a.csv": "1,2\n" * 500}, depends=("libmath",), noarch="generic"),
    )  # fmt: skip
    address = channel(scratch / "channel", built)
    prefix = debian.root / CONDA[1:]
    environment(prefix, address, ["python", "pip"], prefix)
    environment(prefix / "envs/other", address, ["tables"], prefix)
    debian.pip(f"{CONDA}/bin/python3.11", *_INSTALL, "lonely")


def _standard_library(root: Path) -> Mapping[str, bytes]:
    """Debian's Python without Debian's own layout of directories, as every other Python has it."""
    library = root / "usr/lib/python3.11"
    left_out = ("__pycache__", "EXTERNALLY-MANAGED", "sitecustomize.py", "lib2to3", "ensurepip")
    found = {"bin/python3.11": (root / "usr/bin/python3.11").read_bytes()}
    for path in sorted(library.rglob("*")):
        inner = path.relative_to(library)
        if path.is_file() and not path.is_symlink() and not set(inner.parts) & set(left_out):
            found[f"lib/python3.11/{inner}"] = path.read_bytes()
    schemes, old, new = (
        "lib/python3.11/sysconfig.py",
        b"prefix_scheme = 'posix_local'",
        b"prefix_scheme = 'posix_prefix'",
    )
    assert old in found[schemes], f"{schemes} is not what it was"
    found[schemes] = found[schemes].replace(old, new)
    # `site` itself is in the program, frozen.
    found["lib/python3.11/sitecustomize.py"] = f"import site\nsite.addsitedir({CONDA_SITE!r})\n".encode()
    return found


def _unpacked(path: Path) -> Mapping[str, bytes]:
    with ZipFile(path) as archive:
        return {f"site-packages/{name}": archive.read(name) for name in archive.namelist() if not name.endswith("/")}
