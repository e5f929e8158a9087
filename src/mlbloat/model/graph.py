"""The dependency graph of packages: what is needed, how far from the workload, and what could go as a whole."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from mlbloat.model.package import Inventory, Package

Needs = Mapping[str, tuple[str, ...]]
"""Keys that each key needs, or that need it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A package that could be left out as a whole."""

    key: str
    along: tuple[str, ...]
    """Keys of what goes with it: what depends on it, and what nothing else needs then; sorted."""


def required_by(packages: Iterable[Package]) -> dict[str, tuple[str, ...]]:
    """Turn the edges of `requires` round; sorted."""
    found: dict[str, list[str]] = {}
    for package in packages:
        for key in package.requires:
            found.setdefault(key, []).append(package.key)
    return {key: tuple(sorted(keys)) for key, keys in found.items()}


def depths(packages: Iterable[Package], direct: Iterable[str]) -> dict[str, int]:
    """Breadth-first level of each package from the workload; directly accessed ones are at 1."""
    requires = {package.key: package.requires for package in packages}
    found = dict.fromkeys(sorted(direct), 1)
    waiting = deque(found)
    while waiting:
        key = waiting.popleft()
        for needed in requires.get(key, ()):
            if needed not in found:
                found[needed] = found[key] + 1
                waiting.append(needed)
    return found


def path_between(starts: Iterable[str], end: str, edges: Needs) -> tuple[str, ...]:
    """Return the shortest way along edges from one of the starts, `end` included; empty when there is none."""
    before: dict[str, str | None] = dict.fromkeys(sorted(starts))
    waiting = deque(before)
    while waiting:
        key = waiting.popleft()
        if key == end:
            return tuple(reversed(_back(key, before)))
        for following in edges.get(key, ()):
            if following not in before:
                before[following] = key
                waiting.append(following)
    return ()


def _back(key: str | None, before: Mapping[str, str | None]) -> list[str]:
    way = []
    while key is not None:
        way.append(key)
        key = before[key]
    return way


def unneeded(
    inventory: Inventory, *, is_needed: Callable[[str], bool], is_used: Callable[[str], bool]
) -> frozenset[str]:
    """Return the keys of the packages of which no file is needed and that no needed package requires.

    Needed is as in `has_need`. A package that its manager refuses to remove (Essential) is needed. One whose record
    another manager ships is none of them: it goes with what ships it, whose bytes are the same.
    """
    needed = {
        package.key
        for package in inventory.packages
        if package.essential or has_need(package, is_needed=is_needed, is_used=is_used)
    }
    reached = depths(inventory.packages, needed)
    return frozenset(
        package.key
        for package in inventory.packages
        if package.key not in reached and shipper(package, inventory) is None
    )


def shipper(package: Package, inventory: Inventory) -> str | None:
    """Return the key of what ships the record of a package when that is another manager's (Debian's python3-foo)."""
    owners = (inventory.owners[path][0] for path in package.database if path in inventory.owners)
    return next((owner.key for owner in owners if owner.manager is not package.manager), None)


def has_need(package: Package, *, is_needed: Callable[[str], bool], is_used: Callable[[str], bool]) -> bool:
    """Tell whether a file of a package is needed that is more than its documentation and records; asks of paths.

    Configuration (/etc) is a need only when it is used, not when it is merely reachable.
    """
    return any(
        is_used(path) or (is_needed(path) and not path.startswith("/etc/"))
        for path in package.files
        if path not in package.metadata
    )


def removals(inventory: Inventory, candidates: Collection[str]) -> tuple[Removal, ...]:
    """Return what could be removed by itself, in order of key: no other candidate depends on it, unless both ways."""
    packages = {package.key: package for package in inventory.packages}
    dependents = required_by(inventory.packages)
    requires = {package.key: package.requires for package in inventory.packages}
    tops: list[Removal] = []
    for key in sorted(candidates):
        above = _closure(key, dependents)
        if not any(top.key in above for top in tops) and above <= _closure(key, requires):
            free = {each for each in candidates if packages[each].requested is not True}
            going = _going(above, requires, dependents, free)
            tops.append(Removal(key=key, along=tuple(sorted(going - {key}))))
    return tuple(tops)


def _closure(key: str, edges: Needs) -> set[str]:
    found = {key}
    waiting = [key]
    while waiting:
        for following in edges.get(waiting.pop(), ()):
            if following not in found:
                found.add(following)
                waiting.append(following)
    return found


def _going(start: set[str], requires: Needs, dependents: Needs, free: Collection[str]) -> set[str]:
    """Add what only these need, of those that are free to go, as `apt-get autoremove` would find it."""
    going = set(start)
    waiting = sorted(start)
    while waiting:
        for needed in requires[waiting.pop()]:
            if needed in free and needed not in going and going.issuperset(dependents.get(needed, ())):
                going.add(needed)
                waiting.append(needed)
    return going
