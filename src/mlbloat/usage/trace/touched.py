"""What the recorded accesses mean for the files of an image."""

from collections.abc import Iterator

from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Action, Level, Phase, Reason, RunRecord, Use
from mlbloat.usage.trace.interpreters import MAX_INTERPRETERS, interpreter_in
from mlbloat.usage.trace.listed import Listings

_REASONS = {
    Action.EXECUTED: Reason.EXECUTED,
    Action.OPENED: Reason.OPENED,
    Action.LOOKED_UP: Reason.LOOKED_UP,
    Action.LISTED: Reason.LOOKED_UP,
    Action.CHANGED: Reason.CHANGED,
}
"""A directory that was listed was itself looked up; LISTED is the reason of what is in it."""


_DOING = {
    Phase.START: "when it started",
    Phase.READY: "when it was ready",
    Phase.REQUESTS: "when it was asked",
    Phase.STOP: "when it stopped",
}


def uses_of(records: tuple[RunRecord, ...], tree: FileTree, config: ImageConfig) -> tuple[Use, ...]:
    """Return what the runs used, in the order of first use: the files, the links that lead to them, what the kernel
    opened for them, and what lies in the directories that they listed.
    """
    listings = Listings(tree, config)
    found: dict[Use, None] = {}
    for record in records:
        by = run = f"run '{record.name}'"
        named = listings.of(record)
        phases = {first: phase for phase, first in record.phases} if len(record.phases) > 1 else {}
        for number, access in enumerate(record.accesses):
            if number in phases:
                by = f"{run} ({_DOING[phases[number]]})"
            found |= dict.fromkeys(_uses(tree, access.path, _REASONS[access.action], by))
            if access.action is Action.EXECUTED:
                found |= dict.fromkeys(_opened_by_the_kernel(tree, access.path))
            elif access.action is Action.LISTED:
                found |= dict.fromkeys(named.get(number, ()))
    if records:
        found |= dict.fromkeys(_read_by_the_engine(tree, config))
    return tuple(found)


def _read_by_the_engine(tree: FileTree, config: ImageConfig) -> Iterator[Use]:
    """Yield the account files: an engine looks up the image's user, and HOME, before anything of the image runs."""
    for path in ("/etc/passwd", "/etc/group") if config.user else ("/etc/passwd",):
        yield from _uses(tree, path, Reason.OPENED, "the engine, for the image's user")


def missing_of(records: tuple[RunRecord, ...], tree: FileTree) -> tuple[str, ...]:
    """Return the names that a run asked for and the image does not have, as the run named them, sorted."""
    named = {access.path for record in records for access in record.accesses}
    return tuple(sorted(path for path in named if tree.find(path).entry is None))


def _uses(tree: FileTree, path: str, reason: Reason, by: str) -> Iterator[Use]:
    there = tree.find(path)
    for link in there.links:
        yield Use(link, Level.TRACED, reason, by)
    if there.entry is not None:
        yield Use(there.path, Level.TRACED, reason, by)


def _opened_by_the_kernel(tree: FileTree, path: str) -> Iterator[Use]:
    """Yield the interpreters of a program: the kernel opens them itself, where no system call shows it."""
    for _ in range(MAX_INTERPRETERS):
        there = tree.find(path)
        if there.entry is None or there.entry.kind is not Kind.FILE:
            return
        with tree.open(there.entry) as stream:
            path = interpreter_in(stream)
        if not path.startswith("/"):
            return
        yield from _uses(tree, path, Reason.INTERPRETER, there.path)
