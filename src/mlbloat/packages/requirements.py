"""Which installed distributions a distribution needs: markers and extras for the image's own Python.

https://packaging.python.org/specifications/dependency-specifiers/
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

_NAME = re.compile(r"\s*([\w.-]+)")
_EXTRA = re.compile(r"\bextra (?:==|in) \"([^\"]*)\"|\"([^\"]*)\" (?:==|in) extra\b")
"""As a marker is written back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One distribution in the graph."""

    key: str
    specifiers: tuple[str, ...]
    environment: Mapping[str, str]
    """Marker values, without `extra`."""
    visible: Mapping[str, str]
    """Keys of the distributions that it can import, by normalised name."""


def edges(nodes: Iterable[Node], broken: Callable[[str, str], None]) -> dict[str, set[str]]:
    """Return the keys that each key needs; `broken` hears of (key, specifier) that cannot be parsed.

    An extra counts when some installed distribution asks for it; what a user once asked for is recorded nowhere.
    """
    by_key = {node.key: node for node in nodes}
    parsed = {key: _parsed(node, broken) for key, node in by_key.items()}
    needs: dict[str, set[str]] = {key: set() for key in by_key}
    waiting = [(key, "") for key in by_key]
    seen = set(waiting)
    while waiting:
        key, extra = waiting.pop()
        node = by_key[key]
        for requirement in parsed[key]:
            target = node.visible.get(canonicalize_name(requirement.name))
            if target is None or not _holds(requirement.marker, node.environment, extra):
                continue
            needs[key].add(target)
            asked = {(target, wanted) for wanted in requirement.extras} - seen
            seen |= asked
            waiting.extend(sorted(asked))
    return {key: found - {key} for key, found in needs.items()}


def optional(nodes: Iterable[Node]) -> dict[str, set[str]]:
    """Return the keys that each key needs with some extra, whether or not anybody asks for that."""
    return {node.key: set(_with_extras(node)) - {node.key} for node in nodes}


def _with_extras(node: Node) -> Iterator[str]:
    likely = tuple(each for each in node.specifiers if "extra" in each and _name(each) in node.visible)
    for requirement in _parsed(replace(node, specifiers=likely), lambda key, specifier: None):
        extras = [after or before for after, before in _EXTRA.findall(str(requirement.marker))]
        if any(_holds(requirement.marker, node.environment, extra) for extra in extras):
            yield node.visible[canonicalize_name(requirement.name)]


def _name(specifier: str) -> str:
    match = _NAME.match(specifier)
    return canonicalize_name(match[1]) if match else ""


def _parsed(node: Node, broken: Callable[[str, str], None]) -> list[Requirement]:
    found = []
    for specifier in node.specifiers:
        try:
            found.append(Requirement(specifier))
        except (InvalidRequirement, RecursionError):
            broken(node.key, specifier)
    return found


def _holds(marker: Marker | None, environment: Mapping[str, str], extra: str) -> bool:
    if marker is None:
        return True
    try:
        return marker.evaluate({**environment, "extra": extra})
    except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion, RecursionError):
        return True  # what cannot be decided counts as needed
