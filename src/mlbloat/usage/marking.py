"""Uses to marks: one verdict for every regular file of the tree (docs/measures.md, docs/keep-levels.md)."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec import structs

from mlbloat.model.filetree import FileTree
from mlbloat.model.mark import FileClass, Mark
from mlbloat.model.package import Inventory, Package
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.globs import compile_rule

Inode = tuple[int, int]
_STRENGTH = {reason: number for number, reason in enumerate(Reason)}


class _Inode(NamedTuple):
    """What is known of one file, by whatever name."""

    level: Level | None
    file_class: FileClass
    uses: tuple[Use, ...]
    dropped_by: str = ""


def mark(
    tree: FileTree,
    inventory: Inventory,
    uses: Iterable[Use],
    *,
    keep: tuple[str, ...] = (),
    drop: tuple[str, ...] = (),
    traced: bool,
) -> tuple[Mark, ...]:
    """Mark every regular file, in order of path; the names of one hard-linked file share its fate.

    With `traced`, used is what a run touched. Without, it is the closure at `linked`; a pinned file is kept, but
    not used for that.
    """
    inodes = {entry.path: entry.inode for entry in tree.files()}
    gathered: dict[Inode, list[Use]] = {}
    for use in (*uses, *_rule_uses(tree, keep)):
        inode = inodes.get(use.path)
        if inode is not None:
            gathered.setdefault(inode, []).append(use)
    classes = {inode: _classify(found, traced) for inode, found in gathered.items()}
    dropped = _dropped(_names_by_inode(tree), gathered, _first_match(tree, drop)) if drop else {}
    used = {inode for inode, file_class in classes.items() if file_class is FileClass.USED and inode not in dropped}
    for path, use in _package_uses(inventory, inodes, used).items():
        if inodes[path] not in classes:
            # A file with a stronger reason needs no weaker one.
            gathered.setdefault(inodes[path], []).append(use)
    verdicts = {
        inode: _verdict(found, classes.get(inode, FileClass.UNUSED), dropped.get(inode, ""))
        for inode, found in gathered.items()
    }
    return tuple(
        _mark(path, verdicts.get(inode) or _Inode(None, FileClass.UNUSED, (), dropped.get(inode, "")))
        for path, inode in inodes.items()
    )


def unmatched_rules(tree: FileTree, rules: tuple[str, ...]) -> tuple[str, ...]:
    """Return the rules that match nothing in the tree: most often a spelling mistake."""
    patterns = {rule: compile_rule(tree, rule) for rule in rules}
    return tuple(rule for rule, pattern in patterns.items() if not any(pattern.fullmatch(path) for path in tree))


def _names_by_inode(tree: FileTree) -> dict[Inode, list[str]]:
    names: dict[Inode, list[str]] = {}
    for entry in tree.files():
        names.setdefault(entry.inode, []).append(entry.path)
    return names


def _classify(uses: list[Use], traced: bool) -> FileClass:
    threshold = Level.TRACED if traced else Level.LINKED
    found = FileClass.UNUSED
    for use in uses:
        if use.level <= threshold and not use.pinned:
            return FileClass.USED
        if use.level <= Level.SAFE:
            found = FileClass.REACHABLE
    return found


def _verdict(uses: list[Use], file_class: FileClass, dropped_by: str) -> _Inode:
    ordered = tuple(sorted(set(uses), key=_order)) if len(uses) > 1 else tuple(uses)
    if dropped_by:
        return _Inode(None, FileClass.UNUSED, tuple(structs.replace(use, pinned=False) for use in ordered), dropped_by)
    return _Inode(ordered[0].level, file_class, ordered)


def _order(use: Use) -> tuple[int, bool, int, str, str]:
    return use.level, not use.pinned, _STRENGTH[use.reason], use.by, use.path


def _mark(path: str, verdict: _Inode) -> Mark:
    return Mark(path, verdict.level, verdict.file_class, verdict.uses, verdict.dropped_by)


def _rule_uses(tree: FileTree, keep: tuple[str, ...]) -> Iterable[Use]:
    for path, rule in _first_match(tree, keep).items():
        yield Use(path, Level.SAFE, Reason.KEEP_RULE, rule, pinned=True)


def _first_match(tree: FileTree, rules: tuple[str, ...]) -> dict[str, str]:
    matched: dict[str, str] = {}
    for rule in rules:
        pattern = compile_rule(tree, rule)
        for entry in tree.files():
            if pattern.fullmatch(entry.path):
                matched.setdefault(entry.path, rule)
    return matched


def _dropped(
    names: Mapping[Inode, list[str]], gathered: Mapping[Inode, list[Use]], matched: Mapping[str, str]
) -> dict[Inode, str]:
    """Find what the `drop:` rules take: all names must match, no run touched it, no `keep:` rule holds it."""
    dropped: dict[Inode, str] = {}
    for inode, paths in names.items():
        held = any(use.level is Level.TRACED or use.reason is Reason.KEEP_RULE for use in gathered.get(inode, ()))
        if not held and all(path in matched for path in paths):
            dropped[inode] = matched[paths[0]]
    return dropped


def _package_uses(inventory: Inventory, inodes: Mapping[str, Inode], used: set[Inode]) -> dict[str, Use]:
    """Give every file of the used packages, and of those that they require, a reason at `package`."""
    packages = {package.key: package for package in inventory.packages}
    found: dict[str, Use] = {}
    for key, (reason, by) in _required(packages, _evidence(inventory, inodes, used)).items():
        for path in packages[key].files:
            if path in inodes:
                found.setdefault(path, Use(path, Level.PACKAGE, reason, by))
    return found


def _evidence(inventory: Inventory, inodes: Mapping[str, Inode], used: set[Inode]) -> dict[str, str]:
    """Map each directly accessed package to its first used payload file."""
    direct: dict[str, str] = {}
    for package in inventory.packages:
        payload = (path for path in package.files if inodes.get(path) in used and path not in package.metadata)
        first = next(payload, None)
        if first is not None:
            direct[package.key] = first
    return direct


def _required(packages: Mapping[str, Package], direct: Mapping[str, str]) -> dict[str, tuple[Reason, str]]:
    found = {key: (Reason.SAME_PACKAGE, path) for key, path in direct.items()}
    waiting = list(direct)
    for key in waiting:
        for required in packages[key].requires:
            if required in packages and required not in found:
                found[required] = (Reason.REQUIRED_PACKAGE, key)
                waiting.append(required)
    return found
