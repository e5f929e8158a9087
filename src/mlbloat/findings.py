"""Known ways to waste bytes in an image, each with the line of a Dockerfile that avoids it.

A rule is a small function; adding one is a function and its name in `RULES`. Every advice is one line of a Dockerfile;
words in capitals are for the reader to fill in. Content counts by inode and only where it would go: a cached file that
is hard-linked into an environment frees nothing.
"""

import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.image import Image
from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.package import Inventory, Manager
from mlbloat.model.report import Finding

MAX_PATHS = 10
"""Paths shown per finding, largest first."""
MAX_STEP = 60
"""Characters shown of a layer's history line in a title."""


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """What the rules look at."""

    image: Image
    tree: FileTree
    inventory: Inventory
    marks: tuple[Mark, ...]

    @cached_property
    def touched(self) -> frozenset[str]:
        """Files that a run touched: no rule calls them waste."""
        return frozenset(mark.path for mark in self.marks if mark.file_class is FileClass.USED)

    @cached_property
    def unused(self) -> tuple[Entry, ...]:
        return tuple(self.tree[mark.path] for mark in self.marks if mark.file_class is FileClass.UNUSED)

    @cached_property
    def names(self) -> Mapping[tuple[int, int], int]:
        """How many names each content has."""
        counts: dict[tuple[int, int], int] = {}
        for entry in self.tree.files():
            counts[entry.inode] = counts.get(entry.inode, 0) + 1
        return counts


Rule = Callable[[_Scene], Iterable[Finding]]


def find(image: Image, tree: FileTree, inventory: Inventory, marks: tuple[Mark, ...]) -> tuple[Finding, ...]:
    """Return what the rules found, most bytes first; nothing that would free no bytes."""
    scene = _Scene(image=image, tree=tree, inventory=inventory, marks=marks)
    found = [finding for rule in RULES for finding in rule(scene) if finding.bytes]
    return tuple(sorted(found, key=lambda finding: (-finding.bytes, finding.rule, finding.title)))


def _pip_cache(scene: _Scene) -> Iterator[Finding]:
    yield _cache(
        scene,
        rule="pip-cache",
        title="Cache of pip",
        directory=re.compile(r"(?s:.*)/\.cache/pip(?=/)"),
        advice="ENV PIP_NO_CACHE_DIR=1",
    )


def _uv_cache(scene: _Scene) -> Iterator[Finding]:
    yield _cache(
        scene,
        rule="uv-cache",
        title="Cache of uv",
        directory=re.compile(r"(?s:.*)/\.cache/uv(?=/)"),
        advice="ENV UV_NO_CACHE=1",
    )


def _conda_cache(scene: _Scene) -> Iterator[Finding]:
    prefixes = {package.location for package in scene.inventory.packages if package.manager is Manager.CONDA}
    places = [
        r"(?s:.*)/\.conda/pkgs(?=/)",
        *(re.escape(posixpath.join(prefix, "pkgs")) + "(?=/)" for prefix in prefixes),
    ]
    yield _cache(
        scene,
        rule="conda-cache",
        title="Package cache of conda",
        directory=re.compile("|".join(sorted(places))),
        advice="RUN conda install --yes PACKAGES && conda clean --all --force-pkgs-dirs --yes",
    )


def _apt_cache(scene: _Scene) -> Iterator[Finding]:
    yield _cache(
        scene,
        rule="apt-cache",
        title="Downloaded packages and caches of APT",
        directory=re.compile(r"/var/cache/apt(?=/)"),
        advice="RUN apt-get update && apt-get install --yes --no-install-recommends PACKAGES"
        " && apt-get clean && rm -rf /var/lib/apt/lists/*",
    )


def _apt_lists(scene: _Scene) -> Iterator[Finding]:
    yield _cache(
        scene,
        rule="apt-lists",
        title="Package lists of APT",
        directory=re.compile(r"/var/lib/apt/lists(?=/)"),
        advice="RUN apt-get update && apt-get install --yes --no-install-recommends PACKAGES"
        " && rm -rf /var/lib/apt/lists/*",
    )


def _cache(scene: _Scene, *, rule: str, title: str, directory: re.Pattern[str], advice: str) -> Finding:
    entries = [entry for entry in scene.tree.files() if entry.path not in scene.touched]
    groups = _grouped(entries, lambda entry: _match(directory, entry.path))
    return _finding(scene, rule=rule, severity="warning", title=title, groups=groups, advice=advice)


_DEVELOPMENT = re.compile(
    r"(?P<directory>.*?/(?:include|pkgconfig|aclocal))/.*"
    r"|.*\.(?:a|la|h|hh|hpp|hxx|h\+\+|inl|ipp|tcc|cuh|pxd)",
    re.DOTALL,
)


def _development(scene: _Scene) -> Iterator[Finding]:
    def group(entry: Entry) -> str | None:
        match = _DEVELOPMENT.fullmatch(entry.path)
        return match and (match["directory"] or entry.path)

    groups = _grouped(scene.unused, group)
    packages = _unused_development_packages(scene)
    purge = f"apt-get install --yes {packages} && BUILD && apt-get purge --yes --auto-remove {packages}"
    yield _finding(
        scene,
        rule="development-files",
        severity="note",
        title="Headers, static libraries and build descriptions that nothing uses",
        groups=groups,
        advice=f"RUN apt-get update && {purge}" if packages else _without(scene, groups),
    )


def _unused_development_packages(scene: _Scene) -> str:
    """Return the -dev packages of which nothing is needed."""
    unused = {entry.path for entry in scene.unused}
    return " ".join(
        package.name
        for package in scene.inventory.packages
        if package.manager is Manager.APT
        and package.name.partition(":")[0].endswith("-dev")
        and set(package.files) - package.metadata
        and unused.issuperset(set(package.files) - package.metadata)
    )


_DOCUMENTATION = re.compile(
    r".*/share/(?:doc|info|gtk-doc)/[^/]+|.*/share/man(?=/)|.*/man/man[0-9][a-z0-9]*(?=/)", re.DOTALL
)
_LICENCE = "copyright"
"""Debian's name for the licence of a package; licences have to stay."""


def _documentation(scene: _Scene) -> Iterator[Finding]:
    entries = [entry for entry in scene.unused if entry.name != _LICENCE]
    groups = _grouped(entries, lambda entry: _match(_DOCUMENTATION, entry.path))
    system = any(directory.startswith("/usr/share/") for directory in groups)
    excluded = (
        r"RUN printf 'path-exclude=/usr/share/%s/*\n' doc man info >/etc/dpkg/dpkg.cfg.d/no-documentation"
        r" && echo 'path-include=/usr/share/doc/*/copyright' >>/etc/dpkg/dpkg.cfg.d/no-documentation"
    )
    yield _finding(
        scene,
        rule="documentation",
        severity="note",
        title="Documentation that nothing uses",
        groups=groups,
        advice=excluded if system else _without(scene, groups),
    )


_TESTS = re.compile(r".*?/(?:site-packages|dist-packages|python3\.[0-9]+t?)/(?:.+?/)?tests?(?=/)", re.DOTALL)


def _tests(scene: _Scene) -> Iterator[Finding]:
    unused = {entry.path for entry in scene.unused}
    groups = _grouped(scene.tree.files(), lambda entry: _match(_TESTS, entry.path))
    wholly = {
        directory: entries for directory, entries in groups.items() if all(entry.path in unused for entry in entries)
    }
    yield _finding(
        scene,
        rule="unused-tests",
        severity="note",
        title="Test suites of Python packages, of which nothing is used",
        groups=wholly,
        advice=_without(scene, wholly),
    )


def _shadowed(scene: _Scene) -> Iterator[Finding]:
    pairs: dict[tuple[int, int], list[Entry]] = {}
    layers = scene.image.layers
    cover = [_Cover.of(layer.entries) for layer in layers]
    for number, layer in enumerate(layers):
        for entry in layer.entries:
            if entry.kind is Kind.FILE and entry.size_bytes and (number, entry.member) not in scene.names:
                above = (upper for upper in range(number + 1, len(layers)) if cover[upper].hides(entry.path))
                pairs.setdefault((number, next(above, number)), []).append(entry)
    for (lower, upper), entries in sorted(pairs.items()):
        largest = sorted(entries, key=lambda entry: (-entry.size_bytes, entry.path))
        yield Finding(
            rule="shadowed-bytes",
            severity="warning",
            title=f"Content of {_layer(scene.image, lower)} that {_layer(scene.image, upper)} deletes or overwrites",
            bytes=sum(entry.size_bytes for entry in entries),
            paths=tuple(dict.fromkeys(entry.path for entry in largest))[:MAX_PATHS],
            advice=_joined(layers[lower].created_by, layers[upper].created_by),
        )


def _layer(image: Image, number: int) -> str:
    """Name a layer as the report counts them, with the step that made it where the history says so."""
    step = _step(image.layers[number].created_by)
    return f"layer {number} ({step[:MAX_STEP]}{'…' if len(step) > MAX_STEP else ''})" if step else f"layer {number}"


@dataclass(frozen=True, slots=True)
class _Cover:
    """What a layer hides of the layers below it.

    https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md#applying-changesets
    """

    exact: frozenset[str]
    below: frozenset[str]
    """Everything under these paths is hidden: deleted, opaque, or no directory any more."""

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "_Cover":
        entries = tuple(entries)
        return cls(
            frozenset(entry.path for entry in entries if entry.kind is not Kind.OPAQUE),
            frozenset(entry.path for entry in entries if entry.kind is not Kind.DIRECTORY),
        )

    def hides(self, path: str) -> bool:
        return path in self.exact or any(above in self.below for above in _above(path))


def _above(path: str) -> Iterator[str]:
    while path != "/":
        path = posixpath.dirname(path)
        yield path


RULES: tuple[Rule, ...] = (
    _pip_cache,
    _uv_cache,
    _conda_cache,
    _apt_cache,
    _apt_lists,
    _shadowed,
    _development,
    _documentation,
    _tests,
)


def _match(pattern: re.Pattern[str], path: str) -> str | None:
    match = pattern.match(path)
    return match[0] if match else None


def _grouped(entries: Iterable[Entry], key: Callable[[Entry], str | None]) -> dict[str, list[Entry]]:
    """Group regular files by the path to show for them, leaving out those that have none."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        path = key(entry)
        if path is not None:
            groups.setdefault(path, []).append(entry)
    return groups


def _finding(
    scene: _Scene,
    *,
    rule: str,
    severity: Literal["note", "warning", "error"],
    title: str,
    groups: Mapping[str, list[Entry]],
    advice: str,
) -> Finding:
    entries = [entry for group in groups.values() for entry in group]
    return Finding(
        rule=rule,
        severity=severity,
        title=title,
        bytes=_freed(scene, entries),
        paths=_largest(scene, groups),
        advice=advice,
    )


def _freed(scene: _Scene, entries: Iterable[Entry]) -> int:
    """Return the bytes that go when these names go: content with a name elsewhere stays."""
    going: dict[tuple[int, int], list[Entry]] = {}
    for entry in entries:
        going.setdefault(entry.inode, []).append(entry)
    return sum(group[0].size_bytes for inode, group in going.items() if len(group) == scene.names[inode])


def _largest(scene: _Scene, groups: Mapping[str, list[Entry]]) -> tuple[str, ...]:
    return tuple(sorted(groups, key=lambda path: (-_freed(scene, groups[path]), path)))[:MAX_PATHS]


def _without(scene: _Scene, groups: Mapping[str, list[Entry]]) -> str:
    """Return the step that installs the largest of these, with their removal in the same layer."""
    removable = _whole(scene, groups)
    paths = [path for path in _largest(scene, removable) if path.isprintable()]
    return f"RUN INSTALL && rm -rf {shlex.join(paths)}"


def _whole(scene: _Scene, groups: Mapping[str, list[Entry]]) -> dict[str, list[Entry]]:
    """Split the directories that hold something else as well into their files."""
    whole: dict[str, list[Entry]] = {}
    for path, entries in groups.items():
        there = sum(entry.kind is not Kind.DIRECTORY for entry in scene.tree.below(path))
        if there > len(entries):
            whole.update({entry.path: [entry] for entry in entries})
        else:
            whole[path] = entries
    return whole


_SHELL = re.compile(r"^(?:RUN )?(?:\|\d+ .*?)?/bin/(?:ba)?sh (?:-o [a-z]+ |-[a-z]+ )*?-[a-z]*c ")
_COPY = re.compile(r"(?:COPY|ADD) .*?(\S+)")
_ATTRIBUTES = re.compile(r"\b(?:chown|chmod|chgrp)\b")


def _joined(lower: str, upper: str) -> str:
    """Return a step that leaves the bytes out of every layer."""
    first, second = _step(lower), _step(upper)
    copied = _COPY.fullmatch(first)
    if copied and _ATTRIBUTES.search(second):
        return f"COPY --chown=OWNER --chmod=MODE SOURCE {copied[1]}"
    if copied:
        return f"RUN --mount=type=bind,source=SOURCE,target={copied[1]} INSTALL"
    if first and second and not _COPY.fullmatch(second):
        return f"RUN {first}" if first == second else f"RUN {first} && {second}"
    return "COPY --from=FULL_IMAGE / /"


def _step(created_by: str) -> str:
    """Return the instruction or command of a history line, without what the builder wrote around it."""
    text = " ".join(created_by.split()).removesuffix(" # buildkit")
    text = _SHELL.sub("", text, count=1).removeprefix("#(nop) ").removeprefix("RUN ").strip()
    return text if text.isprintable() else ""
