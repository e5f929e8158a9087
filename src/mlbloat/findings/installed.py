"""Whole packages that nothing needs, and databases of packages that cannot be believed."""

import shlex
from collections.abc import Iterable, Iterator, Sequence

from mlbloat.findings.scene import MAX_PATHS, Rule, Scene, freed
from mlbloat.model import graph
from mlbloat.model.package import Manager, Package
from mlbloat.model.removers import installer, removal, removes, word
from mlbloat.model.report import Finding

_BUILDING = ("devel", "libdevel")
"""Sections of Debian's archive for what programs are built with."""
_INSTALL = {
    Manager.APT: "apt-get update && apt-get install --yes --no-install-recommends PACKAGES",
    Manager.PIP: "pip install PACKAGES",
    Manager.CONDA: "conda install --yes PACKAGES",
    Manager.APK: "apk add --no-cache PACKAGES",
    Manager.RPM: "dnf install --assumeyes --setopt=install_weak_deps=False PACKAGES",
    Manager.NPM: "npm install --global PACKAGES",
}


def _unused(rule: Rule, scene: Scene) -> Iterator[Finding]:
    candidates = scene.unneeded
    for manager in Manager:
        packages = [scene.packages[key] for key in sorted(candidates) if scene.packages[key].manager is manager]
        title = f"{len(packages)} packages of {manager} of which nothing is needed, and that nothing needed requires"
        commands = removal(_by_size(scene, _removable(scene, packages)), scene.tree)
        advice = f"RUN {_INSTALL[manager]} && {commands}" if commands else ""
        yield _finding(rule, scene, title, packages, advice)


def _removable(scene: Scene, packages: Iterable[Package]) -> list[Package]:
    """Leave out what a remedy runs, what that requires, and what another manager installed."""
    packages = list(packages)
    running = graph.depths(scene.inventory.packages, [package.key for package in packages if removes(package)])
    return [each for each in packages if each.key not in running and installer(each, scene.inventory) is None]


def _recommended(rule: Rule, scene: Scene) -> Iterator[Finding]:
    """Installed because something recommends it: nobody asked for it and nothing requires it."""
    recommended = {key for package in scene.inventory.packages for key in package.recommends}
    dependents = graph.required_by(scene.inventory.packages)
    packages = [
        scene.packages[key]
        for key in sorted(scene.unneeded & recommended)
        if scene.packages[key].requested is False and key not in dependents
    ]
    yield _finding(rule, scene, "Packages that are there because another one recommends them", packages, rule.remedy)


def _build_tools(rule: Rule, scene: Scene) -> Iterator[Finding]:
    candidates = scene.unneeded
    packages = [each for each in scene.of_manager(Manager.APT) if each.section in _BUILDING and each.key in candidates]
    names = _names(_by_size(scene, packages)[:MAX_PATHS])
    install = f"apt-get update && apt-get install --yes {names}"
    advice = f"RUN {install} && BUILD && apt-get purge --yes --auto-remove {names} && rm -rf /var/lib/apt/lists/*"
    yield _finding(rule, scene, "Compilers and other tools to build with, which nothing uses", packages, advice)


def _finding(rule: Rule, scene: Scene, title: str, packages: Sequence[Package], advice: str) -> Finding:
    return Finding(
        rule=rule.name,
        severity=rule.severity,
        title=title,
        bytes=freed(scene, scene.entries_of(packages)),
        paths=tuple(package.key for package in _by_size(scene, packages)[:MAX_PATHS]),
        advice=advice or rule.remedy,
    )


def _by_size(scene: Scene, packages: Iterable[Package]) -> list[Package]:
    return sorted(packages, key=lambda package: (-scene.package_bytes[package.key], package.key))


def _names(packages: Iterable[Package]) -> str:
    return " ".join(map(word, packages))


def _broken(rule: Rule, scene: Scene) -> Iterator[Finding]:
    for problem in scene.inventory.problems:
        path = problem.path if shlex.quote(problem.path) == problem.path else "DATABASE"
        yield Finding(
            rule=rule.name,
            severity=rule.severity,
            title=problem.text,
            bytes=0,
            paths=(problem.path,),
            advice=f"COPY --from=INTACT_IMAGE {path} {path}",
        )


RULES = (
    Rule(
        name="unused-packages",
        severity="note",
        finds="packages of which nothing is used but documentation and records, nothing is reachable but these and"
        " configuration, and that no needed package requires; one finding for each manager. Essential packages are left"
        " out, and those that a package of another manager ships",
        example="RUN apt-get update && apt-get install --yes vim",
        remedy="RUN apt-get update && apt-get install --yes --no-install-recommends PACKAGES"
        " && apt-get purge --yes UNUSED",
        find=_unused,
    ),
    Rule(
        name="recommended-packages",
        severity="warning",
        finds="unneeded packages that nobody asked for and nothing requires, only recommends",
        example="RUN apt-get update && apt-get install --yes PACKAGES",
        remedy="RUN apt-get update && apt-get install --yes --no-install-recommends PACKAGES"
        " && rm -rf /var/lib/apt/lists/*",
        find=_recommended,
    ),
    Rule(
        name="build-tools",
        severity="note",
        finds="unneeded packages of Debian's sections `devel` and `libdevel`",
        example="RUN apt-get update && apt-get install --yes gcc && make",
        remedy="RUN apt-get update && apt-get install --yes TOOLS && BUILD && apt-get purge --yes --auto-remove TOOLS",
        find=_build_tools,
    ),
    Rule(
        name="broken-database",
        severity="error",
        finds="a package database that is cut off, contradicts the files or is not understood; it has no bytes, and"
        " what follows from it is in its title",
        example="RUN truncate --size 1M /var/lib/dpkg/status",
        remedy="COPY --from=INTACT_IMAGE DATABASE DATABASE",
        find=_broken,
    ),
)
