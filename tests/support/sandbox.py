"""Containers for tests that really run something: this machine's own root, or a tree with its shell."""

import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

from mlbloat import runtime
from mlbloat.model.conditions import Conditions, Mount
from mlbloat.model.container import Container
from mlbloat.model.filetree import FileTree
from mlbloat.runtime import Engine, program, runc
from tests.support.trees import Link, tree_of

HOST = Path("/")
"""Every machine that runs the tests has a Python, and what it needs, under its own root."""


def in_chroot() -> bool:
    """Tell whether these tests run in a plain chroot, where "/" is no mount."""
    return all(line.split()[4] != "/" for line in Path("/proc/self/mountinfo").read_text().splitlines())


def engine(name: str) -> Engine:
    """Return an engine that works here. In CI its absence is a failure, elsewhere the reason to skip."""
    found = next(engine for engine in runtime.ENGINES if engine.name == name)
    problem = found.problem(tracing=True)
    if problem and os.environ.get("CI"):
        pytest.fail(f"{name}: {problem}")
    if problem:
        pytest.skip(f"{name}: {problem}")
    return found


def tracer(found: ModuleType) -> ModuleType:
    """Return a tracer that works here. In CI its absence is a failure, elsewhere the reason to skip."""
    problem = found.problem()
    if problem and os.environ.get("CI"):
        pytest.fail(f"{found.name}: {problem}")
    if problem:
        pytest.skip(f"{found.name}: {problem}")
    return found


def break_runtimes(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program in the place of runc and podman that fails before it has started anything."""
    broken = directory / "broken"
    broken.write_text("#!/bin/sh\necho it is broken >&2\nexit 3\n")
    broken.chmod(stat.S_IRWXU)
    monkeypatch.setattr(runc, "_program", lambda: str(broken))
    monkeypatch.setattr(program, "find", lambda name: str(broken))


def container(*argv: str, timeout_seconds: float = 120.0, directory: str = "/tmp", uid: int = 0) -> Container:
    return Container(
        argv=argv,
        environment=(("PATH", os.environ.get("PATH", os.defpath)),),
        working_directory=directory,
        uid=uid,
        gid=uid,
        groups=(),
        timeout_seconds=timeout_seconds,
    )


def python(code: str, timeout_seconds: float = 120.0, directory: str = "/tmp") -> Container:
    """A container that runs some Python of this machine."""
    return container(sys.executable, "-I", "-S", "-B", "-c", code, timeout_seconds=timeout_seconds, directory=directory)


def python_with_mounts(code: str, conditions: Conditions | None = None) -> Container:
    """A container that runs some Python of this machine in a small tree, where Python is mounted."""
    given = conditions or Conditions()
    mounts = tuple(Mount(source=each, target=each, read_only=True) for each in sorted({"/usr", sys.base_prefix}))
    what = container(os.path.realpath(sys.executable), "-I", "-S", "-B", "-c", code)
    return replace(what, conditions=replace(given, mounts=(*given.mounts, *mounts)))


def shell_tree(files: dict[str, bytes | str | None] | None = None) -> FileTree:
    """A tree with /bin/sh, cat and what they load, from this machine, and more files."""
    return tree_of(shell_files("/bin/sh", "/bin/cat") | (files or {}))


def shell_files(*programs: str) -> dict[str, bytes | str | None]:
    """Programs of this machine with what they load, a place for temporary files, and a file that nothing reads."""
    found: dict[str, bytes | str | None] = {"/tmp": None, "/usr/share/never": "never read\n"}
    for each in programs:
        take(each, found)
    return found


def python_files(modules: str) -> dict[str, bytes | str | None]:
    """The Python of these tests, with some modules and nothing else, for a tree of its own."""
    code = f"""import {modules}, encodings.utf_8, os, sys
print(*(module.__file__ for module in sys.modules.values() if getattr(module, "__file__", "")), sep="\\n")"""
    program = os.path.realpath(sys.executable)
    words = [program, "-I", "-S", "-B", "-c", code]
    found = shell_files("/bin/sh", program)
    for path in subprocess.run(words, check=True, capture_output=True, text=True).stdout.split():
        if path.endswith(".so"):
            take(path, found)
        else:
            found[path] = Path(path).read_bytes()
    return found


def take(path: str, found: dict[str, bytes | str | None]) -> None:
    """Add a file at the path that a loader asks for, and all that it needs."""
    if path in found:
        return
    real = os.path.realpath(path)
    found[real] = Path(real).read_bytes()
    if real != path:
        found[path] = Link(real)
    with Path(real).open("rb") as stream:
        elf = ELFFile(stream)
        interpreter = elf.get_section_by_name(".interp")
        if interpreter is not None:
            take(interpreter.data().rstrip(b"\0").decode(), found)
        for dynamic in (section for section in elf.iter_sections() if isinstance(section, DynamicSection)):
            for tag in dynamic.iter_tags("DT_NEEDED"):
                take(_library(str(vars(tag)["needed"])), found)


def _library(name: str) -> str:
    machine = os.uname().machine
    own = f"{sys.base_prefix}/lib"
    places = (
        own,
        f"/lib/{machine}-linux-gnu",
        f"/usr/lib/{machine}-linux-gnu",
        "/lib64",
        "/usr/lib64",
        "/lib",
        "/usr/lib",
    )
    return next(f"{place}/{name}" for place in places if Path(place, name).exists())
