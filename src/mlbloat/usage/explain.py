"""Why a file is kept, as a chain of sentences; or what would keep it."""

from collections.abc import Iterator

from mlbloat.errors import UsageError
from mlbloat.model.chain import chain, is_end, next_steps, sentence
from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.mark import Mark
from mlbloat.model.package import Inventory
from mlbloat.model.use import Level, Use


def explain(path: str, tree: FileTree, marks: tuple[Mark, ...], inventory: Inventory) -> tuple[str, ...]:
    """Follow the strongest evidence from a path back to the run, command or convention where it begins."""
    found = tree.find(path if path.startswith("/") else f"/{path}")
    links = tuple(f"{link} is a symbolic link to {tree[link].target}" for link in found.links)
    if found.entry is None and not found.links:
        raise UsageError(f"cannot explain {path}: the image has no such path; check the spelling, paths are absolute")
    if found.entry is None:
        return (*links, f"{found.path}: not in the image; symbolic links are kept at every level")
    if found.entry.kind is not Kind.FILE:
        return (*links, f"{found.path}: a {found.entry.kind}, kept at every level")
    mark = next(mark for mark in marks if mark.path == found.path)
    if mark.dropped_by:
        return (*links, *_dropped(mark))
    if mark.level is None or mark.level > Level.SAFE:
        return (*links, *_unused(mark, marks, inventory))
    return (*links, *map(sentence, _chain(mark, marks)))


def _dropped(mark: Mark) -> Iterator[str]:
    yield f"{mark.path}: removed by the rule drop: {mark.dropped_by}"
    if mark.uses:
        yield f"without the rule: {sentence(mark.uses[0])}"


def _unused(mark: Mark, marks: tuple[Mark, ...], inventory: Inventory) -> Iterator[str]:
    yield f"{mark.path}: nothing reached it"
    owners = inventory.owners.get(mark.path, ())
    if not owners:
        yield "no package owns it"
    for owner in owners:
        yield f"owned by the {owner.manager} package {owner.name} {owner.version}".rstrip()
    if mark.level is Level.PACKAGE:
        yield "kept at --keep package:"
        yield from map(sentence, _chain(mark, marks))
    yield f'to keep it, add keep: ["{mark.path}"] to the workload file, or a profile run that touches it'


def _chain(mark: Mark, marks: tuple[Mark, ...]) -> tuple[Use, ...]:
    """The rule that pins a file, and the way back to what needs it."""
    pinned = tuple(use for use in mark.uses if use.pinned and is_end(use))[:1]
    way = tuple(chain(mark.path, next_steps(marks)))
    return way if way[:1] == pinned else (*pinned, *way)
