"""Advise how to leave whole packages and caches out, as a Dockerfile that does it to the original.

Nothing goes that a package which stays requires, nothing essential, and not the program that removes, nor what that
requires. Packages are named one by one: what managers do by themselves (`--auto-remove`, pruning) would also take what
only the workload needs.
"""

import json
import re
import shlex
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlbloat.model import graph
from mlbloat.model.filetree import FileTree
from mlbloat.model.image import Image
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.plain import plain
from mlbloat.model.removers import Remover, installer, removers, word
from mlbloat.model.report import Finding
from mlbloat.slim.instructions import HADOLINT, base_name, instructions, sayable

_CACHE = re.compile(r".*-(?:cache|lists)")
"""Rules whose findings are caches."""
_SAID = ("unused-packages", "build-tools")
"""Rules that say of packages what the advice says better."""
_WIDTH = 110
_NAMED = 20
"""Packages named in a comment."""


@dataclass(frozen=True, slots=True)
class _Group:
    """What goes together."""

    words: tuple[str, ...]
    size_bytes: int


def lean_dockerfile(
    image: Image,
    tree: FileTree,
    inventory: Inventory,
    kept: frozenset[str],
    findings: Iterable[Finding],
    *,
    used: frozenset[str],
    asked: frozenset[str] = frozenset(),
    base: str,
) -> str:
    """Write the advice; `kept` is what the slim image holds, `base` the original for FROM.

    Of what is kept, `used` is what runs touched, and `asked` are records of packages that code names: without the
    package the code would find none.
    """
    config = json.loads(image.config.document).get("config") or {}
    findings = tuple(findings)
    base = base_name(base)
    kept_files = frozenset(entry.path for entry in tree.files() if entry.path in kept)
    lines = (
        f"# What could be left out of {base} as a whole. Written by mlbloat; build it, and verify what comes out.",
        "# Best is not to bring these in at all: a step frees bytes only in the RUN that brings them in, or as here,",
        "# where the second stage copies what is left. A number is what the line below it frees.",
        HADOLINT,
        f"FROM {base} AS full",
        *(("USER 0:0",) if config.get("User") else ()),
        *_packages(_Scene.of(tree, inventory, kept_files, used, asked)),
        *_caches(kept_files, findings),
        "",
        "FROM scratch",
        "COPY --from=full / /",
        *filter(sayable, instructions(config)),
        *_hints(findings),
    )
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    tree: FileTree
    inventory: Inventory
    removers: Mapping[tuple[Manager, str], Remover | None]
    """By manager and location; None where nothing in the image removes such packages."""
    removable: frozenset[str]
    """Keys of packages that can go."""
    unneeded: frozenset[str]
    """Keys of packages of which nothing is needed, whether they can go or not."""
    names: Mapping[tuple[int, int], set[str]]
    """Paths of each content."""

    @classmethod
    def of(
        cls, tree: FileTree, inventory: Inventory, kept: frozenset[str], used: frozenset[str], asked: frozenset[str]
    ) -> "_Scene":
        names: dict[tuple[int, int], set[str]] = {}
        for entry in tree.files():
            names.setdefault(entry.inode, set()).add(entry.path)
        others = {package.key: owner for package in inventory.packages if (owner := installer(package, inventory))}
        unneeded = graph.unneeded(inventory, is_needed=kept.__contains__, is_used=used.__contains__) - others.keys()
        unneeded -= {package.key for package in inventory.packages if not asked.isdisjoint(package.files)}
        ways = removers(tree, {_place(package) for package in inventory.packages if package.key in unneeded})
        tools = {path for way in ways.values() if way is not None for path in way.programs}
        owners = {owner.key for path in tools for owner in inventory.owners.get(path, ())}
        stay = {
            package.key
            for package in inventory.packages
            if package.key not in others
            and (package.key not in unneeded or package.key in owners or ways[_place(package)] is None)
        }
        reached = graph.depths(inventory.packages, stay).keys()
        stay.update(key for key, owner in others.items() if owner in reached)
        reached = graph.depths(inventory.packages, stay).keys()
        return cls(
            tree=tree,
            inventory=inventory,
            removers=ways,
            removable=unneeded - reached,
            unneeded=unneeded,
            names=names,
        )

    def freed(self, packages: Iterable[Package]) -> int:
        """Return the bytes of what these alone own, and that has no other name."""
        keys = {package.key for package in packages}
        paths = {path for package in packages for path in package.files}
        going = {path for path in paths if {owner.key for owner in self.inventory.owners.get(path, ())} <= keys}
        inodes = {self.tree[path].inode: self.tree[path].size_bytes for path in going}
        return sum(size for inode, size in inodes.items() if self.names[inode] <= going)


def _place(package: Package) -> tuple[Manager, str]:
    return package.manager, package.location


def _packages(scene: _Scene) -> Iterator[str]:
    """Yield a step for each manager and place, then for what is free to go after that, and so on."""
    packages = {package.key: package for package in scene.inventory.packages}
    removable = scene.removable
    while removable:
        rest = Inventory(packages=tuple(packages[key] for key in sorted(removable)), owners={})
        groups = [[packages[key] for key in (top.key, *top.along)] for top in graph.removals(rest, removable)]
        for place, remover in scene.removers.items():
            here = [_group(scene, group, place) for group in groups if place in map(_place, group)]
            if here and remover is not None:
                yield _title(place, here)
                yield from _step(remover.command, here)
        removable -= {package.key for group in groups for package in group}
    for place, remover in scene.removers.items():
        left = [packages[key] for key in sorted(scene.unneeded) if remover is None and _place(packages[key]) == place]
        if left:
            yield _left_out(scene, place, left)


def _title(place: tuple[Manager, str], groups: Sequence[_Group]) -> str:
    count, size_bytes = sum(len(group.words) for group in groups), sum(group.size_bytes for group in groups)
    where = "" if place[1] == "/" else f" in {plain(place[1])}"
    return f"# {place[0]}{where}, {count} package{'s'[: count != 1]}: {_bytes(size_bytes)}"


def _group(scene: _Scene, packages: Sequence[Package], place: tuple[Manager, str]) -> _Group:
    here = [package for package in packages if _place(package) == place]
    return _Group(tuple(word(package) for package in here), scene.freed(here))


def _left_out(scene: _Scene, place: tuple[Manager, str], packages: list[Package]) -> str:
    """Name what is not needed where nothing in the image could remove it."""
    manager, location = place
    sizes = {package.key: scene.freed([package]) for package in packages}
    names = [plain(package.name) for package in sorted(packages, key=lambda each: (-sizes[each.key], each.name))]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    size = _bytes(scene.freed(packages))
    return f"# {size}: do not install by {manager} in {plain(location)}: {', '.join(names[:_NAMED])}{more}"


def _caches(kept: frozenset[str], findings: Iterable[Finding]) -> Iterator[str]:
    groups = []
    for finding in findings:
        paths = [path for path in finding.paths if _CACHE.fullmatch(finding.rule) and path.isprintable()]
        paths = [path for path in paths if not any(each.startswith(f"{path}/") for each in kept)]
        if paths:
            groups.append(_Group(tuple(f"{shlex.quote(path)}/*" for path in paths), finding.bytes))
    if groups:
        yield "# Caches"
        yield from _step("rm -rf", groups)


def _step(command: str, groups: Sequence[_Group]) -> Iterator[str]:
    """Yield one RUN, the largest first; comments between the lines of an instruction are none of it."""
    lines = [f"RUN {command}"]
    for group in sorted(groups, key=lambda group: (-group.size_bytes, group.words)):
        lines.append(f"  # {_bytes(group.size_bytes)}")
        lines += textwrap.wrap(
            " ".join(group.words),
            _WIDTH,
            initial_indent="  ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    code = [number for number, line in enumerate(lines) if not line.startswith("  #")]
    yield from (f"{line} \\" if number in code[:-1] else line for number, line in enumerate(lines))


def _bytes(count: int) -> str:
    return f"{count:,} bytes"


def _hints(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield what belongs into other instructions, as comments."""
    hints = [
        f"#   {_bytes(finding.bytes)}, {finding.rule}: {finding.advice}"
        for finding in findings
        if finding.rule not in _SAID and finding.advice and finding.bytes and sayable(finding.advice)
    ]
    if hints:
        yield ""
        yield "# In the Dockerfile of the original (words in capitals are yours); what these save overlaps:"
        yield from hints
