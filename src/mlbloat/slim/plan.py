"""Decide which members of which layers a slim image holds.

Layers are kept apart, so that a base that several images share stays shared. Upper layers hide content of lower ones
(https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md#applying-changesets); leaving out what hides is only
right while nothing that it hid is kept, and that is what most of this module is about.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from msgspec import structs

from mlbloat.errors import BadImageError
from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.image import Image
from mlbloat.model.mark import Mark
from mlbloat.model.package import Inventory
from mlbloat.model.plan import LayerPlan, Plan
from mlbloat.model.use import Level, Reason, Use
from mlbloat.slim.databases import Cut, cut_databases
from mlbloat.slim.emptied import emptied

_MARKERS = (Kind.WHITEOUT, Kind.OPAQUE)

Key = tuple[int, int]
"""(layer, member) of an entry."""


_NO_MEMBER = -1
"""Of an entry that gets a header of its own."""


_READ = (
    Reason.EXECUTED,
    Reason.OPENED,
    Reason.LOOKED_UP,
    Reason.CHANGED,
    Reason.LISTED,
    Reason.KEEP_RULE,
    Reason.REPAIRED,
)
"""Reasons for which a package database stays as it is."""


def make_plan(
    image: Image,
    tree: FileTree,
    marks: tuple[Mark, ...],
    keep: Level,
    *,
    inventory: Inventory | None = None,
    squash: bool = False,
    looked: Iterable[str] = (),
) -> Plan:
    """Plan the slim image at a keep level, with its layers kept apart or as one.

    With an inventory, package databases are cut to what is left; without one they stay whole. `looked` are the
    directories that a run looked at.

    Links, special files and nearly all directories of the merged tree stay: they weigh nothing and their loss breaks
    programs in odd ways. A regular file without a mark stays too, because nobody has shown that nothing reaches it.
    """
    if not squash:
        _require_links(image, tree)
    stack, wanted = _Stack.of(image, tree), _wanted(tree, marks, keep)
    inodes, extra = _closed(stack, tree, wanted)
    cut = Cut()
    if inventory is not None:
        whole = _kept(tree, inodes)
        cut = cut_databases(tree, inventory, whole - emptied(tree, whole, looked), _touched(marks, keep))
        still = {entry.inode for entry in tree.files() if entry.path not in cut.removed}
        inodes, extra = _closed(stack, tree, wanted & still)
    kept = _kept(tree, inodes) - cut.directories
    directories = cut.directories | emptied(tree, kept, looked)
    kept -= directories
    rewritten = {tree[path].inode: content for path, content in cut.rewritten.items() if path in kept}
    layers = _one_layer(image, tree, kept) if squash else _layers(image, tree, kept, extra)
    return Plan(
        keep=keep,
        layers=tuple(_with_new_contents(layer, rewritten) for layer in layers),
        kept=kept,
        removed=tuple(path for path in tree if path not in kept and path not in directories),
        removed_directories=tuple(sorted(directories)),
        rewritten=rewritten,
        cut=tuple(path for path in cut.rewritten if path in kept),
        flags=cut.flags,
    )


def _require_links(image: Image, tree: FileTree) -> None:
    """BadImageError where a layer names files through a link that is hidden above it: copied, they were elsewhere."""
    for number, layer in enumerate(image.layers):
        for entry in layer.entries if layer.through_links else ():
            there = tree.get(entry.path)
            if entry.kind is Kind.SYMLINK and (there is None or (there.layer, there.member) != (number, entry.member)):
                raise BadImageError(
                    f"cannot keep the layers of {image.reference}: layer {number} names files through the link "
                    f"{entry.path[:200]!r}, which a later layer hides; use --layers squash"
                )


def _kept(tree: FileTree, inodes: set[Key]) -> frozenset[str]:
    return frozenset(path for path, entry in tree.items() if entry.kind is not Kind.FILE or entry.inode in inodes)


def _touched(marks: Iterable[Mark], keep: Level) -> frozenset[str]:
    """Return what a run named or lacked, code asks for, or a rule keeps: it may depend on every byte of it."""
    return frozenset(mark.path for mark in marks if any(_reads(use, keep) for use in mark.uses))


def _reads(use: Use, keep: Level) -> bool:
    if use.reason is Reason.ASKED:
        return use.level <= keep
    return use.reason in _READ and (use.level is Level.TRACED or use.pinned)


def _with_new_contents(layer: LayerPlan, rewritten: Mapping[Key, bytes]) -> LayerPlan:
    """Give the members whose content changes a header of their own; all else in it stays."""
    members = []
    for entry in layer.members:
        inode = entry.inode if entry.member == _NO_MEMBER else _key(entry)
        new = rewritten.get(inode) if entry.kind is Kind.FILE else None
        renewed = structs.replace(entry, member=_NO_MEMBER, inode=inode, size_bytes=len(new or b""))
        members.append(entry if new is None else renewed)
    return replace(layer, members=tuple(members), untouched=layer.untouched and tuple(members) == layer.members)


def _wanted(tree: FileTree, marks: Iterable[Mark], keep: Level) -> set[Key]:
    """Inodes of which at least one name is to stay; all names of a file stand together, so st_nlink stays true."""
    let_go = {mark.path for mark in marks if not mark.pinned and (mark.level is None or mark.level > keep)}
    return {entry.inode for entry in tree.files() if entry.path not in let_go}


@dataclass(frozen=True, slots=True)
class _Stack:
    """Every member of every layer, by path and by place, in the order in which they are applied."""

    by_key: Mapping[Key, Entry]
    by_path: Mapping[str, list[Entry]]
    shown: frozenset[Key]
    """Members that the merged tree shows."""

    @classmethod
    def of(cls, image: Image, tree: FileTree) -> "_Stack":
        by_path: dict[str, list[Entry]] = defaultdict(list)
        for layer in image.layers:
            for entry in layer.entries:
                by_path[entry.path].append(entry)
        by_key = {_key(entry): entry for entries in by_path.values() for entry in entries}
        return cls(by_key, dict(by_path), frozenset(map(_key, tree.values())))

    def link_target(self, entry: Entry) -> list[Entry]:
        """Return what a hard link's target named when the link was made; at most one entry."""
        if entry.kind is not Kind.HARDLINK:
            return []
        named = (other for other in self.by_path.get(entry.target, ()) if other.kind not in _MARKERS)
        return [other for other in named if _key(other) < _key(entry)][-1:]

    def hiders(self, entry: Entry) -> list[Entry]:
        """Return the entries that must stay so that a member which the tree does not show stays hidden.

        Empty when a whiteout does it: whiteouts stay by themselves while there is something below them.
        """
        found: list[Entry] = []
        for path in (entry.path, *_ancestors(entry.path)):
            for other in self._applied(path, entry):
                if other.kind in _MARKERS:
                    if other.kind is Kind.WHITEOUT or path != entry.path:
                        return []
                elif path == entry.path or other.kind is not Kind.DIRECTORY:
                    found.append(other)
        found.sort(key=lambda other: (_key(other) not in self.shown, _key(other)))
        return found[:1]

    def _applied(self, path: str, after: Entry) -> Iterator[Entry]:
        """Yield what is applied to a path after a member: of a later layer only what that layer leaves there."""
        entries = self.by_path.get(path, [])
        for number, entry in enumerate(entries):
            following = entries[number + 1 :]
            if entry.layer == after.layer:
                if entry.kind not in _MARKERS and _key(entry) > _key(after):
                    yield entry
            elif entry.layer > after.layer and (
                entry.kind in _MARKERS
                or not any(other.layer == entry.layer and other.kind not in _MARKERS for other in following)
            ):
                yield entry


def _closed(stack: _Stack, tree: FileTree, wanted: set[Key]) -> tuple[set[Key], set[Key]]:
    """Return the inodes that stay and the members that stay although the merged tree does not show them.

    A kept hard link needs the member with its content. Where that member's own name is hidden by a later layer, what
    hides it must stay as well, or the old content would come to light under that name.
    """
    names: dict[Key, list[Key]] = defaultdict(list)
    inode_of: dict[Key, Key] = {}
    for entry in tree.files():
        key, inode = _key(entry), entry.inode
        names[inode].append(key)
        inode_of[key] = inode
    inodes: set[Key] = set()
    members: set[Key] = set()
    waiting = [key for inode in sorted(wanted) for key in names[inode]]
    while waiting:
        key = waiting.pop()
        if key in members or key not in stack.by_key:
            continue
        members.add(key)
        entry = stack.by_key[key]
        if entry.kind is Kind.HARDLINK:
            waiting.extend(map(_key, stack.link_target(entry)))
        if key not in stack.shown:
            waiting.extend(map(_key, stack.hiders(entry)))
        elif (shared := inode_of.get(key)) is not None and shared not in inodes:
            inodes.add(shared)
            waiting.extend((shared, *names[shared]))
    return inodes | wanted, members - stack.shown


def _layers(image: Image, tree: FileTree, kept: frozenset[str], extra: set[Key]) -> tuple[LayerPlan, ...]:
    """Choose the members of each layer, lowest first, because a whiteout depends on what is left below it."""
    plans = []
    below: set[str] = set()  # paths of kept members of lower layers
    parents: set[str] = set()
    implied: dict[int, list[Entry]] = defaultdict(list)
    for entry in tree.values():
        if entry.member < 0 and entry.path != "/" and entry.path in kept:
            implied[entry.layer].append(entry)
    for number, layer in enumerate(image.layers):
        members = tuple(
            entry for entry in _left(layer.entries, extra) if _stays(entry, tree, kept, extra, below, parents)
        )
        removed = len(layer.entries) - len(members)
        members = (*_lost_parents(implied[number], members), *members)
        if not any(_counts(entry, tree, extra) for entry in members):
            continue
        below.update(entry.path for entry in members)
        parents.update(_all_ancestors(members))
        untouched = members == layer.entries
        plans.append(LayerPlan(layer=number, members=members, removed=removed, untouched=untouched))
    return tuple(plans)


def _one_layer(image: Image, tree: FileTree, kept: frozenset[str]) -> tuple[LayerPlan, ...]:
    """Write the tree as one layer, in the order of its paths: every header is new, and says the same.

    The first name of a hard-linked file holds the content, the others link to it.
    """
    members = []
    first: dict[Key, str] = {}
    for entry in tree.values():
        if entry.path not in kept or (entry.path == "/" and entry.member == _NO_MEMBER):
            continue
        member = structs.replace(entry, member=_NO_MEMBER)
        if entry.kind is Kind.FILE and first.setdefault(entry.inode, entry.path) != entry.path:
            member = structs.replace(member, kind=Kind.HARDLINK, size_bytes=0, target=first[entry.inode], xattrs=())
        members.append(member)
    removed = sum(len(layer.entries) for layer in image.layers) - len(members)
    return (LayerPlan(layer=len(image.layers) - 1, members=tuple(members), removed=removed),) if members else ()


def _lost_parents(implied: Iterable[Entry], members: tuple[Entry, ...]) -> Iterator[Entry]:
    """Yield directories that no tar names and that would go with the last member below them."""
    left = _all_ancestors(entry for entry in members if entry.kind not in _MARKERS)
    return (entry for entry in implied if entry.path not in left)


def _left(entries: tuple[Entry, ...], extra: set[Key]) -> Iterator[Entry]:
    """Yield what a layer leaves by itself: the last of a name that comes twice, nothing below what became a file."""
    last: dict[tuple[str, bool], int] = {}
    files: dict[str, int] = {}
    for entry in entries:
        last[(entry.path, entry.kind in _MARKERS)] = entry.member
        if entry.kind not in (*_MARKERS, Kind.DIRECTORY):
            files[entry.path] = entry.member
    above: dict[str, int] = {"": -1}

    def last_above(path: str) -> int:
        """Return the last member that makes something else than a directory of what a path is below."""
        parent = path.rpartition("/")[0]
        found = above.get(parent)
        if found is None:  # asked once for each of a few thousand directories
            found = above[parent] = max(files.get(parent, -1), last_above(parent))
        return found

    for entry in entries:
        marker = entry.kind in _MARKERS
        replaced = last[(entry.path, marker)] != entry.member or (not marker and last_above(entry.path) > entry.member)
        if not replaced or _key(entry) in extra:
            yield entry


def _stays(
    entry: Entry, tree: FileTree, kept: frozenset[str], extra: set[Key], below: set[str], parents: set[str]
) -> bool:
    if entry.kind is Kind.WHITEOUT:
        return entry.path in below or entry.path in parents
    if entry.kind is Kind.OPAQUE:
        return entry.path in parents
    if _key(entry) in extra:
        return True
    shown = tree.get(entry.path)
    if shown is None:
        return False
    if entry.kind is Kind.DIRECTORY:
        # Also where a later layer describes it again: it is the parent of what this layer keeps.
        return shown.kind is Kind.DIRECTORY and entry.path in kept
    return _key(shown) == _key(entry) and entry.path in kept


def _counts(entry: Entry, tree: FileTree, extra: set[Key]) -> bool:
    """Tell whether a member is worth a layer: a directory that a later layer describes again is not."""
    if entry.kind in _MARKERS or _key(entry) in extra:
        return True
    return entry.path in tree and _key(tree[entry.path]) == _key(entry)


def _key(entry: Entry) -> Key:
    return (entry.layer, entry.member)


def _ancestors(path: str) -> Iterator[str]:
    """Yield the directories above a path, nearest first, the root last."""
    while path != "/":
        path = path.rpartition("/")[0] or "/"
        yield path


def _all_ancestors(entries: Iterable[Entry]) -> set[str]:
    found: set[str] = set()
    for entry in entries:
        for path in _ancestors(entry.path):
            if path in found:
                break  # and so are those above it
            found.add(path)
    return found
