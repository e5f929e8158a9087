"""How packages are removed: by which program, from which place, and with nothing along that was not named."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.package import Inventory, Manager, Package

_SITE = re.compile(r"(.*)/lib(?:32|64)?/(python([0-9.]*)t?)/(?:site|dist)-packages")
_DEBIAN_SITE = "/usr/lib/python3/dist-packages"
"""Where Debian's Python finds what came with packages of APT."""
_MANAGED = "EXTERNALLY-MANAGED"
"""https://packaging.python.org/specifications/externally-managed-environments/"""

_PROGRAM = re.compile(r".*/s?bin/(?:apt-get|dpkg|apk|rpm|dnf|dnf-3|dnf5|microdnf|yum|conda|mamba|micromamba|npm|pip)")
_FREELY = {Manager.APT: "apt-get purge --yes", Manager.APK: "apk del", Manager.RPM: "rpm --erase"}
"""Commands of managers that have one place."""


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


def removal(packages: Iterable[Package], tree: FileTree | None = None) -> str:
    """Return the commands that remove these, by the programs of a tree or the usual ones; empty when there is none."""
    names: dict[tuple[Manager, str], list[str]] = {}
    for package in packages:
        if package.location.isprintable():
            names.setdefault((package.manager, package.location), []).append(word(package))
    found = removers(tree, names) if tree is not None else {}
    commands = {place: remover.command for place, remover in found.items() if remover is not None}
    return " && ".join(
        " ".join((commands.get(place) or _usual(*place, known=tree is not None), *words))
        for place, words in names.items()
    )


def word(package: Package) -> str:
    """Return what a command calls a package, quoted: rpm calls `name:arch:version` `name-version.arch`."""
    name = package.name
    if package.manager is Manager.RPM:
        name, _, rest = name.partition(":")
        architecture, _, version = rest.partition(":")
        name += "".join(
            (f"-{version.rpartition(':')[2]}" if version else "", f".{architecture}" if architecture else "")
        )
    return shlex.quote(name)


def removes(package: Package) -> bool:
    """Tell whether a package is what a command removes packages with."""
    modules = (f"{package.location}/pip/__main__.py", f"{package.location}/npm/package.json")
    return any(path in modules or _PROGRAM.fullmatch(path) for path in package.files)


def installer(package: Package, inventory: Inventory) -> str | None:
    """Return the key of what installed it, when another manager did: it goes with that, and not by itself."""
    owners = (inventory.owners.get(path, (package,))[0] for path in package.files)
    return next((owner.key for owner in owners if owner.manager is not package.manager), None)


def _usual(manager: Manager, location: str, *, known: bool) -> str:
    """Return the command as it is where all is in its usual place; `known` when it is known that it is not."""
    if manager is Manager.CONDA:
        return f"conda remove --yes --force-remove --prefix {shlex.quote(location)}"
    if manager is Manager.NPM:
        return f"npm uninstall --global --prefix {shlex.quote(location.removesuffix('/lib/node_modules') or '/')}"
    if manager is not Manager.PIP:
        return _FREELY[manager]
    site = _SITE.fullmatch(location)
    if site is None or known or site[1].endswith("/.local"):  # pip --target, --user
        return f"PYTHONPATH={shlex.quote(location)} pip uninstall --yes"
    prefix = "/usr" if location.endswith("/dist-packages") else site[1]
    return f"{shlex.quote(f'{prefix}/bin/{site[2]}')} -m pip uninstall --yes"


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
