"""Entry points of installed distributions: plug-ins found by the name of a group.

https://packaging.python.org/en/latest/specifications/entry-points/
"""

import configparser
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlbloat.model.filetree import Kind
from mlbloat.usage.ground import Ground

_SCRIPTS = frozenset({"console_scripts", "gui_scripts"})
"""Started by their own programs, not looked up by a group's name."""
_LIMIT = 1 << 20
_OBJECT = re.compile(r"\s*([\w.]+)")


@dataclass(frozen=True, slots=True)
class EntryPoint:
    path: str
    """The entry_points.txt that declares it."""
    module: str


def entry_points(ground: Ground, root: str) -> Mapping[str, tuple[EntryPoint, ...]]:
    """Read the groups of all distributions installed in a directory of modules."""
    groups: dict[str, list[EntryPoint]] = {}
    for directory in ground.tree.children(root):
        if not directory.endswith((".dist-info", ".egg-info")):
            continue
        path = f"{directory}/entry_points.txt"
        for group, _, module in _declared(ground, path):
            if group not in _SCRIPTS:
                groups.setdefault(group, []).append(EntryPoint(ground.tree.find(path).path, module))
    return {name: tuple(points) for name, points in groups.items()}


def scripts(ground: Ground, path: str) -> tuple[tuple[str, str], ...]:
    """Read the names of the commands that one entry_points.txt declares, and the modules that they start."""
    return tuple((name, module) for group, name, module in _declared(ground, path) if group in _SCRIPTS)


def _declared(ground: Ground, path: str) -> Iterator[tuple[str, str, str]]:
    entry = ground.tree.find(path).entry
    if entry is None or entry.kind is not Kind.FILE:
        return
    parser = configparser.RawConfigParser(delimiters=("=",), strict=False, interpolation=None, default_section="\0")
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # documented way to keep the case of names
    try:
        parser.read_string(ground.learning.text(entry, _LIMIT).decode("utf-8", "replace"))
    except configparser.Error:
        return
    for group in parser.sections():
        for name, value in parser.items(group):
            match = _OBJECT.match(value or "")
            if match:
                yield group, name, match[1]
