"""Parts of packages that run-time images have no use for: only what nothing reaches is counted."""

import re
import shlex
from collections.abc import Iterator

from mlbloat.findings.scene import Rule, Scene, grouped, matched, without
from mlbloat.model.filetree import Entry
from mlbloat.model.package import Manager
from mlbloat.model.report import Finding

_DEVELOPMENT_NAMES = tuple(".a .la .h .hh .hpp .hxx .h++ .inl .ipp .tcc .cuh .pxd".split())
_DEVELOPMENT = re.compile(r".*?/(?:include|pkgconfig|aclocal)(?=/)", re.DOTALL)


def _development(rule: Rule, scene: Scene) -> Iterator[Finding]:
    def group(entry: Entry) -> str | None:
        path = entry.path
        directory = None
        if "/include/" in path or "/pkgconfig/" in path or "/aclocal/" in path:
            directory = matched(_DEVELOPMENT, path)
        return directory or (path if path.endswith(_DEVELOPMENT_NAMES) else None)

    groups = grouped(scene.unused, group)
    packages = _unused_development_packages(scene)
    purge = f"apt-get install --yes {packages} && BUILD && apt-get purge --yes --auto-remove {packages}"
    advice = f"RUN apt-get update && {purge}" if packages else without(scene, groups)
    yield rule.finding(scene, "Headers, static libraries and build descriptions that nothing uses", groups, advice)


def _unused_development_packages(scene: Scene) -> str:
    """Return the -dev packages of which nothing is needed."""
    return shlex.join(
        package.name
        for package in scene.of_manager(Manager.APT)
        if package.name.partition(":")[0].endswith("-dev")
        and set(package.files) - package.metadata
        and scene.unused_paths.issuperset(set(package.files) - package.metadata)
    )


_DOCUMENTATION = re.compile(
    r".*/share/(?:doc|info|gtk-doc)/[^/]+|.*/share/man(?=/)|.*/man/man[0-9][a-z0-9]*(?=/)", re.DOTALL
)
_LICENCE = "copyright"
"""Debian's name for the licence of a package; licences have to stay."""


def _documentation(rule: Rule, scene: Scene) -> Iterator[Finding]:
    entries = (entry for entry in scene.unused if "/share/" in entry.path or "/man/" in entry.path)
    licensed = (entry for entry in entries if entry.name != _LICENCE)
    groups = grouped(licensed, lambda entry: matched(_DOCUMENTATION, entry.path))
    system = any(directory.startswith("/usr/share/") for directory in groups)
    managers = {package.manager for package in scene.inventory.packages} if system else set()
    advice = without(scene, groups)
    if Manager.APT in managers:
        advice = rule.remedy
    elif Manager.RPM in managers:
        advice = "RUN dnf install --assumeyes --setopt=tsflags=nodocs PACKAGES"
    yield rule.finding(scene, "Documentation that nothing uses", groups, advice)


_TESTS = re.compile(r".*?/(?:site-packages|dist-packages|python3\.[0-9]+t?)/(?:.+?/)?tests?(?=/)", re.DOTALL)


def _tests(rule: Rule, scene: Scene) -> Iterator[Finding]:
    entries = (entry for entry in scene.files if "/test" in entry.path)
    groups = grouped(entries, lambda entry: matched(_TESTS, entry.path))
    wholly = {
        directory: found
        for directory, found in groups.items()
        if all(entry.path in scene.unused_paths for entry in found)
    }
    title = "Test suites of Python packages, of which nothing is used"
    yield rule.finding(scene, title, wholly, without(scene, wholly))


_COMPILED = re.compile(r"(.*)/__pycache__/([^/]+)\.[^./]+?(?:\.opt-[0-9a-z]+)?\.pyc", re.DOTALL)


def _bytecode(rule: Rule, scene: Scene) -> Iterator[Finding]:
    """Byte code of a source that is gone is never loaded; of several for one module at most one is."""
    modules: dict[str, list[Entry]] = {}
    for entry in scene.files:
        match = _COMPILED.fullmatch(entry.path) if entry.path.endswith(".pyc") else None
        if match:
            modules.setdefault(f"{match[1]}/{match[2]}.py", []).append(entry)
    stale = {
        entry.path: [entry]
        for source, compiled in modules.items()
        for entry in compiled
        if entry.path in scene.unused_paths and (source not in scene.tree or len(compiled) > 1)
    }
    yield rule.finding(scene, "Byte code that no Python of the image loads", stale, without(scene, stale))


RULES = (
    Rule(
        name="development-files",
        severity="note",
        finds="headers, static libraries, `pkgconfig` and `aclocal` files that nothing reaches",
        example="RUN apt-get update && apt-get install --yes libfoo-dev && make",
        remedy="RUN apt-get update && apt-get install --yes PACKAGES && BUILD"
        " && apt-get purge --yes --auto-remove PACKAGES",
        find=_development,
    ),
    Rule(
        name="documentation",
        severity="note",
        finds="manual pages, `share/doc`, `share/info` and `share/gtk-doc` nothing reaches; `copyright` files stay",
        example="RUN apt-get update && apt-get install --yes PACKAGES",
        remedy=r"RUN printf 'path-exclude=/usr/share/%s/*\n' doc man info >/etc/dpkg/dpkg.cfg.d/no-documentation"
        r" && echo 'path-include=/usr/share/doc/*/copyright' >>/etc/dpkg/dpkg.cfg.d/no-documentation",
        find=_documentation,
    ),
    Rule(
        name="unused-tests",
        severity="note",
        finds="`test` and `tests` directories of Python packages of which nothing is reached at all",
        example="RUN pip install PACKAGES",
        remedy="RUN INSTALL && rm -rf DIRECTORIES",
        find=_tests,
    ),
    Rule(
        name="stale-bytecode",
        severity="note",
        finds="byte code in `__pycache__` whose source is gone, or that another file for the same module stands in for",
        example="RUN python3 -O -m compileall /app && python3 -m compileall /app",
        remedy="RUN INSTALL && rm -rf FILES",
        find=_bytecode,
    ),
)
