"""Which program of an image removes packages of a manager, and takes nothing along that was not named."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.package import Manager

_SITE = re.compile(r"(.*)/lib(?:32|64)?/(python([0-9.]*)t?)/(?:site|dist)-packages")
_DEBIAN_SITE = "/usr/lib/python3/dist-packages"
"""Where Debian's Python finds what came with packages of APT."""
_MANAGED = "EXTERNALLY-MANAGED"
"""https://packaging.python.org/specifications/externally-managed-environments/"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remover:
    command: str
    """Names of packages follow."""
    programs: tuple[str, ...]
    """Canonical paths of what it runs: the packages that own them stay."""


def removers(tree: FileTree, places: Iterable[tuple[Manager, str]]) -> Mapping[tuple[Manager, str], Remover | None]:
    """Return how packages are removed, by manager and place; None where nothing in the image does it.

    `apk del` and npm have no entry: both take along what they find superfluous.
    """
    return {place: _remover(tree, *place) for place in sorted(places)}


def _remover(tree: FileTree, manager: Manager, location: str) -> Remover | None:
    if manager is Manager.PIP:
        return next(_pips(tree, location), None)
    commands: Mapping[str, str] = {}
    if manager is Manager.APT:
        commands = {"/usr/bin/apt-get": "apt-get purge --yes", "/usr/bin/dpkg": "dpkg --purge"}
    elif manager is Manager.RPM:
        commands = {"/usr/bin/rpm": "rpm --erase"}
    elif manager is Manager.CONDA:
        commands = dict(_condas(location))
    found = ((_program(tree, path), command) for path, command in commands.items())
    return next((Remover(command=command, programs=(path,)) for path, command in found if path), None)


def _condas(prefix: str) -> Iterator[tuple[str, str]]:
    """Yield conda and its like, which may be in the base environment: its others are below `envs`."""
    base = prefix.partition("/envs/")[0]
    for name, force in (("conda", "--force-remove"), ("mamba", "--force"), ("micromamba", "--force")):
        for directory in dict.fromkeys((f"{prefix}/bin", f"{base}/bin", "/usr/local/bin", "/usr/bin", "/bin")):
            program = f"{directory}/{name}"
            yield program, f"{shlex.quote(program)} remove --yes {force} --prefix {shlex.quote(prefix)}"


def _pips(tree: FileTree, location: str) -> Iterator[Remover]:
    """Yield pip as each Python runs it that looks for modules in a place and has pip."""
    site = _SITE.fullmatch(location)
    if site is None:
        return
    prefix, name = site[1], site[2]
    for python in dict.fromkeys(
        f"{directory}/{program}"
        for directory in (f"{prefix}/bin", *(("/usr/bin",) if prefix in ("/usr", "/usr/local") else ()))
        for program in (name, "python3", "python")
    ):
        interpreter = _program(tree, python)
        places = (location, *((_DEBIAN_SITE,) if python.startswith("/usr/bin/") else ()))
        pip = next((found for place in places if (found := _program(tree, f"{place}/pip/__main__.py", 0))), "")
        if interpreter and pip:
            libraries = tree.children(tree.find(f"{python.rpartition('/bin/')[0]}/lib").path)
            managed = any(f"{library}/{_MANAGED}" in tree for library in libraries)
            options = " --break-system-packages" if managed else ""
            yield Remover(command=f"{shlex.quote(python)} -m pip uninstall --yes{options}", programs=(interpreter, pip))


def _program(tree: FileTree, path: str, mode: int = 0o111) -> str:
    """Return the canonical path of a program, empty when there is none."""
    entry = tree.find(path).entry
    fine = entry is not None and entry.kind is Kind.FILE and (not mode or entry.mode & mode)
    return entry.path if entry is not None and fine else ""
