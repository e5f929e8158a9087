"""Why a package is in the image and whether anything needs it, as sentences."""

from collections.abc import Container, Iterator, Sequence

from mlbloat.errors import UsageError
from mlbloat.model import graph
from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.package import Inventory, Package
from mlbloat.model.removers import installer, removal, removes

_NEAR = 5
"""Packages suggested for a name that is not there, and packages named in one sentence."""


def explain(name: str, inventory: Inventory, marks: Sequence[Mark]) -> tuple[str, ...]:
    """Explain every package of a name or of a `manager:name`, or the one of a key `manager:name@location`."""
    wanted = name.strip().lower()
    found = [each for each in inventory.packages if wanted in _called(each.key.lower(), each.name.lower())]
    if not found:
        near = [each.name for each in inventory.packages if wanted in each.name.lower()][:_NEAR]
        hint = f"there is {', '.join(near)}" if near else "`mlbloat scan IMAGE -o json` lists all"
        raise UsageError(f"cannot explain package {name}: the image has no such package; {hint}")
    subject = _Subject(inventory, marks)
    return tuple(sentence for package in found for sentence in subject.sentences(package))


def _called(key: str, name: str) -> tuple[str, ...]:
    return key, key.rpartition("@")[0], name


class _Subject:
    """The graph of one image, with what its workload uses."""

    def __init__(self, inventory: Inventory, marks: Sequence[Mark]) -> None:
        self._inventory = inventory
        self._marks = {mark.path: mark for mark in marks}
        self._edges = {package.key: package.requires for package in inventory.packages}
        self._dependents = graph.required_by(inventory.packages)
        self._direct = {
            package.key: used for package in inventory.packages if (used := self._used(package)) is not None
        }

    def sentences(self, package: Package) -> Iterator[str]:
        of_class = dict.fromkeys(FileClass, 0)
        for path in package.files:
            of_class[self._marks[path].file_class] += 1
        counts = ", ".join(f"{count} {name}" for name, count in of_class.items())
        yield f"{package.key} {package.version}: {len(package.files)} files ({counts})"
        yield f"  why it is installed: {self._why_installed(package)}"
        yield f"  who needs it: {self._who_needs(package)}"
        yield from self._removal(package)

    def _used(self, package: Package) -> Mark | None:
        marks = (self._marks.get(path) for path in package.files if path not in package.metadata)
        return next((mark for mark in marks if mark and mark.file_class is FileClass.USED), None)

    def _why_installed(self, package: Package) -> str:
        if package.essential:  # before what was asked for: what came with the system counts as that for APT
            return "it is essential: every system of its distribution has it"
        if package.requested:
            return "it was asked for by name"
        asked = [each.key for each in self._inventory.packages if each.requested]
        way = graph.path_between(asked, package.key, self._edges)
        if way:
            return f"{way[0]} was asked for: {_arrows(way)}"
        recommending = [each.key for each in self._inventory.packages if package.key in each.recommends]
        if recommending:
            return f"recommended by {_some(recommending)}"
        above = self._dependents.get(package.key, ())
        if above:
            return f"required by {_some(above)}; nothing says what was asked for by name"
        return "nothing that is installed requires it" + (
            ", and it was not asked for by name" if package.requested is False else ""
        )

    def _who_needs(self, package: Package) -> str:
        way = graph.path_between(self._direct, package.key, self._edges)
        if not way:
            return "nothing that runs requires it"
        mark = self._direct[way[0]]
        reason = f", {mark.uses[0].reason} {mark.uses[0].by}" if mark.uses else ""
        used = f"{mark.path} is used{reason}"
        return used if len(way) == 1 else f"{_arrows(way)}; of {way[0]} {used}"

    def _removal(self, package: Package) -> Iterator[str]:
        needed = self._of_class(FileClass.USED, FileClass.REACHABLE)
        used = self._of_class(FileClass.USED)
        candidates = graph.unneeded(self._inventory, is_needed=needed.__contains__, is_used=used.__contains__)
        if package.key not in candidates:
            yield f"  as a whole: it stays: {self._why_it_stays(package, needed)}"
            return
        removals = graph.removals(self._inventory, candidates)
        going = next((each for each in removals if package.key in (each.key, *each.along)), None)
        if going is None:
            yield "  as a whole: it could go with the packages that require it"
            return
        along = f" along with {_some(going.along)}" if going.along else ""
        command = self._command((going.key, *going.along))
        yield f"  as a whole: {going.key} could go{along}{command and f': {command}'}"

    def _command(self, keys: Sequence[str]) -> str:
        """Return the command that removes packages; none when it would remove what it runs."""
        packages = {package.key: package for package in self._inventory.packages}
        going = [packages[key] for key in keys if installer(packages[key], self._inventory) is None]
        return "" if any(map(removes, going)) else removal(going)

    def _why_it_stays(self, package: Package, needed: Container[str]) -> str:
        if package.essential:
            return "it is essential, and its manager refuses to remove it"
        used = self._of_class(FileClass.USED)
        needing = {
            each.key
            for each in self._inventory.packages
            if graph.has_need(each, is_needed=needed.__contains__, is_used=used.__contains__)
        }
        if package.key in needing:
            return "some of it is used or reachable"
        way = graph.path_between(needing, package.key, self._edges)
        if way:
            return f"{_arrows(way)}, and some of {way[0]} is used or reachable"
        shipper = graph.shipper(package, self._inventory)
        if shipper is not None:
            return f"{shipper} ships it, and it goes with that"
        essential = [each.key for each in self._inventory.packages if each.essential]
        way = graph.path_between(essential, package.key, self._edges)
        return f"{_arrows(way)}, and {way[0]} is essential"

    def _of_class(self, *classes: FileClass) -> set[str]:
        return {path for path, mark in self._marks.items() if mark.file_class in classes}


def _arrows(way: Sequence[str]) -> str:
    return " → ".join(way)


def _some(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - _NEAR} more" if len(keys) > _NEAR else ""
    return ", ".join(keys[:_NEAR]) + more
