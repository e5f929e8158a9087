"""Packages that reach files by every mechanism there is, installed by pip, slimmed, and then really used.

The profile only imports them; what is used later is code that the image does not hold, so reach cannot have read it.
"""

import base64
import hashlib
import os
import posixpath
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlbloat import pipeline, runtime
from mlbloat.image import load, squash
from mlbloat.model.filetree import FileTree
from mlbloat.model.workload import Run, Workload
from mlbloat.pipeline import Request
from tests.support import images, madeup, sandbox
from tests.support.images import Value
from tests.support.trees import Link

pytestmark = pytest.mark.sandbox

VENV = "/opt/venv"
SITE = f"{VENV}/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
WHOLE = {"gathered", "moves", "joined", "attach", "pkgutil", "table", "getattr", "relative", "computed", "constant"}
"""Packages of which every module may be imported, as far as their text says: `never` stays."""
LEFT_OUT = {"test", "idlelib", "tkinter", "turtledemo", "ensurepip", "site-packages", "dist-packages", "__pycache__"}
DRIVER = """
import os, sys
for name, code in {jobs!r}:
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", code], os.environ)
    print(name, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@dataclass(frozen=True)
class Slim:
    tree: FileTree
    status: dict[str, str]
    """Package to the exit status of its later use."""
    errors: str


@pytest.fixture(scope="module")
def slim(tmp_path_factory: pytest.TempPathFactory) -> Slim:
    directory = tmp_path_factory.mktemp("madeup")
    engine = sandbox.engine("embedded")
    config = {"Env": [f"PATH={VENV}/bin:/bin"]}
    archive = images.oci_archive(directory / "image.tar", _layers(directory), config=config)
    profile = Workload(profile=(Run(name="import", run=("python3", "/app/main.py")),))
    request = Request(reference=str(archive), workload=profile, engine="embedded")
    assert pipeline.slim(request, f"oci-dir:{directory / 'slim'}").failure == ""
    (directory / "read").mkdir()
    image = load(f"oci-dir:{directory / 'slim'}", directory / "read")
    tree = squash(image)
    runtime.unpack(tree, directory / "rootfs")
    jobs = [(name, madeup.later(name)) for name in madeup.MADE]
    run = Run(name="later", run=("python3", "-c", DRIVER.format(jobs=jobs)))
    container = runtime.container_of(image.config, run, tree, engine)
    outcome = engine.run(container, directory / "rootfs", directory)
    pairs = (line.split() for line in outcome.stdout.decode().splitlines())
    return Slim(tree, dict(pair for pair in pairs if len(pair) == 2), outcome.stderr.decode()[-4000:])


@pytest.mark.parametrize("name", madeup.MADE)
def test_what_was_not_profiled_still_works(slim: Slim, name: str) -> None:
    assert slim.status.get(name) == "0", slim.errors
    assert [path for path in madeup.gone(name) if posixpath.join(SITE, path) in slim.tree] == []
    if name not in WHOLE:
        assert f"{SITE}/{madeup.package(name)}/never.py" not in slim.tree


def _layers(directory: Path) -> list[dict[str, Value]]:
    main = "".join(f"import {madeup.package(name)}\n" for name in madeup.MADE)
    base: dict[str, Value] = {**sandbox.shell_files("/bin/cat", "/bin/sh"), **dict(_python())}
    made: dict[str, Value] = {
        "/app/main.py": main,
        "/opt/settings/made.txt": "settings",
        f"{VENV}/pyvenv.cfg": f"home = {Path(_interpreter()).parent}\nversion = {sys.version.split()[0]}\n",
        f"{VENV}/bin/python3": Link(_interpreter()),
        "/dev/null": b"",
    }
    for name in madeup.MADE:
        made |= madeup.outside(name)
    site = _installed(directory)
    for path in sorted(site.rglob("*")):
        if path.is_file():
            made[f"{SITE}/{path.relative_to(site)}"] = path.read_bytes()
    for name in (name for name, each in madeup.MADE.items() if each.archived):
        package, files = madeup.package(name), madeup.files(name)
        inside = {path: text for path, text in files.items() if path.startswith(f"{package}/")}
        made |= {f"{SITE}/{path}": text for path, text in files.items() if path not in inside}
        made[f"{SITE}/{package}.pth"] = f"./{package}.egg\n"
        made[f"{SITE}/{package}.egg"] = _zip(directory / f"{package}.egg", inside).read_bytes()
    return [base, made]


def _interpreter() -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return os.path.realpath(f"{sys.base_prefix}/bin/python{version}")


def _python() -> Iterator[tuple[str, Value]]:
    """This machine's Python: interpreter, standard library, and the libraries that its modules load."""
    found: dict[str, bytes | str | None] = {}
    sandbox.take(_interpreter(), found)
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix, "base": sys.base_prefix}))
    for directory, names, files in os.walk(library):
        names[:] = sorted(set(names) - LEFT_OUT)
        for name in files:
            path = f"{directory}/{name}"
            if name.endswith(".so"):
                try:
                    sandbox.take(path, found)
                except StopIteration:  # a library that this machine lacks, so the module works nowhere
                    continue
            elif name.endswith(".py"):
                found[path] = Path(path).read_bytes()
    yield from found.items()


def _installed(directory: Path) -> Path:
    """Build wheels and let pip install them, with no index."""
    both = {**madeup.MADE, **madeup.OTHERS}
    wheels = [_wheel(directory, name, each) for name, each in both.items() if not each.archived]
    site = directory / "site"
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-compile", "--quiet"]
    subprocess.run([*command, "--disable-pip-version-check", "--target", site, *wheels], check=True, timeout=300)
    for name in (name for name, each in both.items() if not each.asked and not each.archived):
        (site / f"{madeup.package(name)}-1.dist-info" / "REQUESTED").unlink()  # pip was given them all by name
    for path in site.glob("*.dist-info/direct_url.json"):
        path.unlink()  # as if they were from an index
    return site


def _wheel(directory: Path, name: str, made: madeup.Made) -> Path:
    package = madeup.package(name)
    info = f"{package}-1.dist-info"
    needs = "".join(f"Requires-Dist: {madeup.package(each)}\n" for each in made.requires)
    files = {
        **madeup.files(name),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: made-up\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    points = made.entry_points
    if points:
        files[f"{info}/entry_points.txt"] = points.replace("NAME", package)
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    return _zip(directory / f"{package}-1-py3-none-any.whl", files)


def _zip(path: Path, files: Mapping[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
