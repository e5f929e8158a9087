"""Caches of package managers: what they downloaded, and lists of what there is to download."""

import posixpath
import re
from collections.abc import Iterator
from functools import partial

from mlbloat.findings.scene import Rule, Scene, grouped, matched
from mlbloat.model.package import Manager
from mlbloat.model.report import Finding


def _rule(*, name: str, title: str, part: str, directory: str, finds: str, example: str, remedy: str) -> Rule:
    """`part` is in every path that `directory` matches, and quick to look for."""
    find = partial(_cache, title=title, part=part, directory=re.compile(directory))
    return Rule(name=name, severity="warning", finds=finds, example=example, remedy=remedy, find=find)


def _cache(rule: Rule, scene: Scene, *, title: str, part: str, directory: re.Pattern[str]) -> Iterator[Finding]:
    entries = (entry for entry in scene.files if part in entry.path and entry.path not in scene.touched)
    yield rule.finding(scene, title, grouped(entries, lambda entry: matched(directory, entry.path)))


def _conda(rule: Rule, scene: Scene) -> Iterator[Finding]:
    prefixes = {package.location for package in scene.of_manager(Manager.CONDA)}
    cached = [package for package in scene.inventory.cached if package.manager is Manager.CONDA]
    places = {posixpath.join(prefix, "pkgs") for prefix in prefixes}
    for package in cached:
        above = posixpath.dirname(package.path)
        places.add(above if posixpath.basename(above) == "pkgs" else package.path)
    expressions = [r"(?s:.*)/\.conda/pkgs(?=/)", *(re.escape(each) + "(?=/|$)" for each in sorted(places))]
    directory = re.compile("|".join(expressions))
    installed = {(package.name, package.version) for package in scene.of_manager(Manager.CONDA)}
    named = {(package.name, package.version) for package in cached}
    title = "Package cache of conda"
    if named:
        title += f" ({len(named)} packages, {len(named - installed)} of them installed nowhere)"
    # A cache may be anywhere, and only paths below one are worth the expression.
    below = tuple(places)
    entries = (
        entry
        for entry in scene.files
        if (entry.path.startswith(below) or "/.conda/pkgs/" in entry.path) and entry.path not in scene.touched
    )
    yield rule.finding(scene, title, grouped(entries, lambda entry: matched(directory, entry.path)))


_APT = "RUN apt-get update && apt-get install --yes --no-install-recommends PACKAGES"

RULES = (
    _rule(
        name="pip-cache",
        title="Cache of pip",
        part="/.cache/pip/",
        directory=r"(?s:.*)/\.cache/pip(?=/)",
        finds="`.cache/pip` anywhere",
        example="RUN pip install PACKAGES",
        remedy="ENV PIP_NO_CACHE_DIR=1",
    ),
    _rule(
        name="uv-cache",
        title="Cache of uv",
        part="/.cache/uv/",
        directory=r"(?s:.*)/\.cache/uv(?=/)",
        finds="`.cache/uv` anywhere",
        example="RUN uv pip install --system PACKAGES",
        remedy="ENV UV_NO_CACHE=1",
    ),
    Rule(
        name="conda-cache",
        severity="warning",
        finds="`pkgs/` of a conda prefix, `.conda/pkgs`, and wherever else conda packages lie unpacked or as archives",
        example="RUN conda install --yes PACKAGES",
        remedy="RUN conda install --yes PACKAGES && conda clean --all --force-pkgs-dirs --yes",
        find=_conda,
    ),
    _rule(
        name="apt-cache",
        title="Downloaded packages and caches of APT",
        part="/var/cache/apt/",
        directory=r"/var/cache/apt(?=/)",
        finds="`/var/cache/apt`",
        example="RUN apt-get update && apt-get install --yes --download-only PACKAGES",
        remedy=f"{_APT} && apt-get clean && rm -rf /var/lib/apt/lists/*",
    ),
    _rule(
        name="apt-lists",
        title="Package lists of APT",
        part="/var/lib/apt/lists/",
        directory=r"/var/lib/apt/lists(?=/)",
        finds="`/var/lib/apt/lists`",
        example="RUN apt-get update && apt-get install --yes PACKAGES",
        remedy=f"{_APT} && rm -rf /var/lib/apt/lists/*",
    ),
    _rule(
        name="dnf-cache",
        title="Cache of dnf or yum",
        part="/var/cache/",
        directory=r"/var/cache/(?:dnf|yum|libdnf5)(?=/)",
        finds="`/var/cache/dnf`, `/var/cache/yum`, `/var/cache/libdnf5`",
        example="RUN dnf install --assumeyes PACKAGES",
        remedy="RUN dnf install --assumeyes PACKAGES && dnf clean all && rm -rf /var/cache/dnf /var/cache/libdnf5",
    ),
    _rule(
        name="apk-cache",
        title="Cache of apk",
        part="/var/cache/apk/",
        directory=r"/var/cache/apk(?=/)",
        finds="`/var/cache/apk`",
        example="RUN apk update && apk add PACKAGES",
        remedy="RUN apk add --no-cache PACKAGES",
    ),
    _rule(
        name="npm-cache",
        title="Cache of npm",
        part="/.npm/_cacache/",
        directory=r"(?s:.*)/\.npm/_cacache(?=/)",
        finds="`.npm/_cacache` anywhere",
        example="RUN npm ci",
        remedy="RUN npm ci && npm cache clean --force",
    ),
)
