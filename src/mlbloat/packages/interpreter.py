"""Which Python a place of installation belongs to, and which other places that Python sees.

https://docs.python.org/3/library/site.html, https://docs.python.org/3/library/venv.html (pyvenv.cfg)
"""

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlbloat.model.filetree import FileTree, Kind
from mlbloat.packages.database import DatabaseReader, text_of

_VERSIONED = re.compile(r"/python(3\.\d+)t?/")
_STANDARD_LIBRARY = re.compile(r"(.*)/python(3\.\d+)t?")
_PREFIX = re.compile(r"(.*)/lib(?:32|64)?/python[0-9.]*t?/(?:site|dist)-packages")
_SYSTEM_SITE = re.compile(r"^\s*include-system-site-packages\s*=\s*true\s*$", re.MULTILINE | re.IGNORECASE)
_NO_PYTHON = "3.11"
"""Version for a tree without a Python: nothing there imports anything, so only the shape of the graph is at stake."""
_LOADERS = {
    "/lib64/ld-linux-x86-64.so.2": "x86_64",
    "/lib/ld-musl-x86_64.so.1": "x86_64",
    "/lib/ld-linux-aarch64.so.1": "aarch64",
    "/lib/ld-musl-aarch64.so.1": "aarch64",
    "/lib/ld-linux-armhf.so.3": "armv7l",
    "/lib64/ld64.so.2": "ppc64le",
    "/lib/ld64.so.1": "s390x",
    "/lib/ld-linux-riscv64-lp64d.so.1": "riscv64",
}
"""Dynamic loaders, whose paths are fixed by each processor's ABI, to what `platform.machine()` says there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory on some Python's sys.path."""

    location: str
    version: str
    """The Python's, as `3.11`."""
    private: bool
    """In a virtual or conda environment: Pythons outside do not see it."""
    sees_system: bool

    @property
    def unbound(self) -> bool:
        """Tell whether no Python looks there by itself: a `--target` directory, which a PYTHONPATH may name."""
        return _PREFIX.fullmatch(self.location) is None


def places(reader: DatabaseReader, locations: Iterable[str]) -> tuple[Place, ...]:
    """Describe each location, in sorted order."""
    libraries = _standard_libraries(reader.tree)
    return tuple(_place(reader, location, libraries) for location in sorted(set(locations)))


def scripts(location: str) -> str | None:
    """Return the directory of the commands that belong to a place, None where there is none by convention."""
    prefix = _PREFIX.fullmatch(location)
    return f"{prefix[1]}/bin" if prefix else None


def path_of(place: Place, others: Sequence[Place]) -> tuple[str, ...]:
    """Return the locations in which a distribution at a place finds its dependencies, its own place first."""
    shared = [
        other.location
        for other in others
        if place.sees_system
        and not other.private
        and other.location != place.location
        and (other.version == place.version or other.unbound)
    ]
    return (place.location, *shared)


def marker_environment(tree: FileTree, place: Place) -> dict[str, str]:
    """Return the values of environment markers for the image's Python (PEP 508); its patch level is taken as 0."""
    machine = next((name for path, name in _LOADERS.items() if tree.find(path).entry is not None), "x86_64")
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{place.version}.0",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{place.version}.0",
        "python_version": place.version,
        "sys_platform": "linux",
    }


def _place(reader: DatabaseReader, location: str, libraries: Mapping[str, str]) -> Place:
    prefix = _PREFIX.fullmatch(location)
    root = prefix[1] if prefix else None
    settings = reader.read(f"{root}/pyvenv.cfg") if root is not None else None
    conda = root is not None and _is_directory(reader.tree, f"{root}/conda-meta")
    private = settings is not None or conda
    return Place(
        location=location,
        version=_version(location, libraries),
        private=private,
        sees_system=not private or (settings is not None and _SYSTEM_SITE.search(text_of(settings)) is not None),
    )


def _version(location: str, libraries: Mapping[str, str]) -> str:
    named = _VERSIONED.search(location + "/")
    if named:
        return named[1]
    beside = posixpath.dirname(posixpath.dirname(location))
    candidates = [version for directory, version in libraries.items() if posixpath.dirname(directory) == beside]
    return max(candidates or libraries.values(), key=_numbers, default=_NO_PYTHON)


def _standard_libraries(tree: FileTree) -> dict[str, str]:
    """Return the directories of standard libraries and their versions."""
    matches = (_STANDARD_LIBRARY.fullmatch(path) for path in sorted(tree.directories()) if "/python3." in path)
    return {match[0]: match[2] for match in matches if match and _has_os(tree, match[0])}


def _has_os(tree: FileTree, directory: str) -> bool:
    return f"{directory}/os.py" in tree or f"{directory}/os.pyc" in tree


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _is_directory(tree: FileTree, path: str) -> bool:
    entry = tree.find(path).entry
    return entry is not None and entry.kind is Kind.DIRECTORY
