"""Entry points of installed distributions: plug-ins found by the name of a group.

https://packaging.python.org/en/latest/specifications/entry-points/
"""

import configparser
import re
from collections.abc import Mapping
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
    tree = ground.tree
    for directory in tree.children(root):
        if not directory.endswith((".dist-info", ".egg-info")):
            continue
        entry = tree.find(f"{directory}/entry_points.txt").entry
        if entry is not None and entry.kind is Kind.FILE:
            _parse(entry.path, ground.learning.text(entry, _LIMIT).decode("utf-8", "replace"), groups)
    return {name: tuple(points) for name, points in groups.items()}


def _parse(path: str, text: str, groups: dict[str, list[EntryPoint]]) -> None:
    parser = configparser.RawConfigParser(delimiters=("=",), strict=False, interpolation=None, default_section="\0")
    try:
        parser.read_string(text)
    except configparser.Error:
        return
    for group in parser.sections():
        for _, value in parser.items(group) if group not in _SCRIPTS else ():
            match = _OBJECT.match(value or "")
            if match:
                groups.setdefault(group, []).append(EntryPoint(path, match[1]))
