"""Why a file is kept, as a chain of sentences; or what would keep it."""

from collections import deque
from collections.abc import Iterator, Mapping

from mlbloat.errors import UsageError
from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.mark import Mark
from mlbloat.model.package import Inventory
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.conventions import CONFIGURATION


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
    by_path = {mark.path: mark for mark in marks}
    mark = by_path[found.path]
    if mark.dropped_by:
        return (*links, *_dropped(mark))
    if mark.level is None or mark.level > Level.SAFE:
        return (*links, *_unused(mark, by_path, inventory))
    return (*links, *_sentences(_chain(mark, by_path)))


def _dropped(mark: Mark) -> Iterator[str]:
    yield f"{mark.path}: removed by the rule drop: {mark.dropped_by}"
    if mark.uses:
        yield f"without the rule: {_sentence(mark.uses[0])}"


def _unused(mark: Mark, by_path: Mapping[str, Mark], inventory: Inventory) -> Iterator[str]:
    yield f"{mark.path}: nothing reached it"
    owners = inventory.owners.get(mark.path, ())
    if not owners:
        yield "no package owns it"
    for owner in owners:
        yield f"owned by the {owner.manager} package {owner.name} {owner.version}".rstrip()
    if mark.level is Level.PACKAGE:
        yield "kept at --keep package:"
        yield from _sentences(_chain(mark, by_path))
    yield f'to keep it, add keep: ["{mark.path}"] to the workload file, or a profile run that touches it'


def _sentences(chain: tuple[Use, ...]) -> Iterator[str]:
    return (_sentence(use) for use in chain)


def _sentence(use: Use) -> str:
    level = "pinned" if use.pinned else use.level.label
    return f"{use.path} ({level}): {use.reason} {use.by}"


def _chain(mark: Mark, by_path: Mapping[str, Mark]) -> tuple[Use, ...]:
    """Find the shortest way back over uses of the file's own level or stronger; two files may need each other."""
    pinned = tuple(use for use in mark.uses if use.pinned and _is_end(use))[:1]
    start: tuple[Use, ...] = ()
    waiting = deque([(mark, start)])
    seen = {mark.path}
    while waiting:
        here, chain = waiting.popleft()
        for use in here.uses:
            if _is_end(use) or here.level is None or use.level > here.level:
                continue
            before = by_path.get(use.by)
            if before is None:
                return (*pinned, *chain, use)
            if before.path not in seen:
                seen.add(before.path)
                waiting.append((before, (*chain, use)))
    return pinned or mark.uses[:1]


def _is_end(use: Use) -> bool:
    """Tell whether a use keeps its own file only: what is kept by a rule is no root of reach."""
    return (use.pinned and use.reason is not Reason.LISTED) or use.by == CONFIGURATION
