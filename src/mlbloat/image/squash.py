"""Layers to one tree, as the overlay drivers of the engines do it: each layer by itself first, then one over the other.

Within a layer members apply in the order of the tar, and a path that passes a symbolic link of the same layer is
resolved inside the root. Over the layers below: whiteouts and opaque directories hide first (and never what their own
layer holds), a directory merges with a directory, anything else replaces what was there with all that is below it.

https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md#applying-changesets
https://www.kernel.org/doc/html/latest/filesystems/overlayfs.html
"""

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from msgspec.structs import replace

from mlbloat.errors import BadImageError
from mlbloat.model.filetree import MAX_LINKS, Contents, Entry, FileTree, Kind
from mlbloat.model.image import Image, LayerSource
from mlbloat.tarstream import DEFAULT_LIMITS, Budget, Limits, OverLimitError

NO_MEMBER = -1
"""`Entry.member` of a directory that no tar holds: the root, or a parent that a layer takes for granted."""
_PATH_MAX = 4096


@dataclass(slots=True)
class _Node:
    """A file while the tree is built."""

    entry: Entry
    children: dict[str, "_Node"] = field(default_factory=dict)

    @property
    def implied(self) -> bool:
        return self.entry.member == NO_MEMBER


@dataclass(frozen=True, slots=True)
class LayerContents:
    """Contents of a merged tree; holds no open file."""

    sources: tuple[LayerSource, ...]

    def open(self, entry: Entry) -> BinaryIO:
        """Open the content that the names of a hard-linked file share. The caller closes it."""
        layer, member = entry.inode
        if (entry.layer, entry.member) != entry.inode:
            entry = replace(entry, layer=layer, member=member)
        return self.sources[layer].open(entry)


def squash(image: Image, limits: Limits = DEFAULT_LIMITS) -> FileTree:
    """Merge the layers of an image into its root file system."""
    contents = LayerContents(tuple(layer.source for layer in image.layers))
    digests = tuple(layer.key for layer in image.layers)
    return merge([layer.entries for layer in image.layers], contents, image.reference, digests, limits)


def merge(
    layers: Sequence[Iterable[Entry]],
    contents: Contents,
    name: str,
    digests: tuple[str, ...] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> FileTree:
    """Merge the entries of layers, lowest first; `name` is what errors call the image."""
    merged, budget = _implied("/", 0), Budget(limits)
    for number, entries in enumerate(layers):
        ordered = tuple(entries)
        upper = _Growth(_implied("/", number), merged, f"layer {number} of {name}", budget)
        for entry in ordered:
            if entry.kind not in (Kind.WHITEOUT, Kind.OPAQUE):
                upper.place(entry)
        for entry in ordered:
            _hide(merged, entry)
        _lay_over(merged, upper.root)
    return FileTree(_collect(merged), contents, digests)


def resolve(entries: tuple[Entry, ...], name: str, limits: Limits = DEFAULT_LIMITS) -> tuple[Entry, ...]:
    """Return the entries of one layer with the paths at which they end up.

    They differ from the tar's where a member is named through a symbolic link of the same layer.
    """
    links = {entry.path for entry in entries if entry.kind is Kind.SYMLINK}
    if links.isdisjoint(_parents(entries)):
        return entries
    growth = _Growth(_implied("/", 0), _implied("/", 0), name, Budget(limits))
    result = []
    for entry in entries:
        found = replace(entry, path=growth.canonical(entry.path))
        if found.kind is Kind.HARDLINK:
            found = replace(found, target=growth.canonical(found.target))
        elif found.kind not in (Kind.WHITEOUT, Kind.OPAQUE):
            growth.place(found)
        result.append(found)
    return tuple(result)


def _parents(entries: Iterable[Entry]) -> set[str]:
    found = {"/"}
    for entry in entries:
        for name in (entry.path, entry.target if entry.kind is Kind.HARDLINK else "/"):
            path = name.rpartition("/")[0] or "/"
            while path not in found:
                found.add(path)
                path = path.rpartition("/")[0] or "/"
    return found


def _implied(path: str, layer: int) -> _Node:
    return _Node(
        Entry(path=path, kind=Kind.DIRECTORY, mode=0o755, layer=layer, member=NO_MEMBER, inode=(layer, NO_MEMBER))
    )


@dataclass(frozen=True, slots=True)
class _Growth:
    """One layer while its members are applied."""

    root: _Node
    lower: _Node
    """What is below; hard links may name its files."""
    name: str
    budget: Budget
    """Of what is not written in the layer: directories taken for granted, links followed."""
    seen: dict[str, _Node] = field(default_factory=dict)
    """Where directories were found, by the path that led there; good until a member replaces another."""
    followed: set[str] = field(default_factory=set)
    """Links that led a member somewhere, and the directories that they are in."""

    def place(self, entry: Entry) -> None:
        """Add a member as an extractor would; what it replaces goes, with all that is below it."""
        if entry.path == "/":
            self.root.entry = entry
            return
        directory, _, name = entry.path.rpartition("/")
        parent = self._directory(directory, entry)
        path = f"{parent.entry.path.rstrip('/')}/{name}"
        placed = self._linked(entry) if entry.kind is Kind.HARDLINK else entry
        if placed.path != path:
            placed = replace(placed, path=path)
        there = parent.children.get(name)
        if there is not None and there.entry.kind is placed.kind is Kind.DIRECTORY:
            there.entry = placed
        else:
            if there is not None:
                self._let_go(path)
            parent.children[name] = _Node(placed)

    def _let_go(self, path: str) -> None:
        """Forget what was found; refuse when a member would mean another file than when it was read alone."""
        if path in self.followed:
            raise self._broken(f"a second {path[:200]!r} takes away a symbolic link that members go through")
        self.seen.clear()

    def _follow(self, link: str) -> None:
        """Remember a link and what it is in: none of it may be replaced any more."""
        while link and link not in self.followed:
            self.followed.add(link)
            link = link.rpartition("/")[0]

    def canonical(self, path: str) -> str:
        """Return where a path leads in this layer; the last component is not followed."""
        parent, name = posixpath.split(path)
        return posixpath.join(self._walk(parent, make=False, what=path)[1], name)

    def _linked(self, entry: Entry) -> Entry:
        """Return the file that a hard link names, under the link's own name and number."""
        target = self._find(self.root, entry.target) or self._find(self.lower, entry.target)
        if target is None or target.entry.kind is Kind.DIRECTORY:
            why = "which is missing" if target is None else "which is a directory"
            raise self._broken(f"the hard link {entry.path[:200]!r} names {entry.target[:200]!r}, {why}")
        return replace(target.entry, path=entry.path, layer=entry.layer, member=entry.member)

    def _find(self, root: _Node, path: str) -> _Node | None:
        growth = self if root is self.root else _Growth(root, root, self.name, self.budget)
        parent, name = posixpath.split(path)
        node, _ = growth._walk(parent, make=False, what=path)
        return node.children.get(name) if node is not None else None

    def _directory(self, path: str, entry: Entry) -> _Node:
        node = self.seen.get(path)
        if node is not None:
            return node
        node, _ = self._walk(path, make=True, what=entry.path)
        if node is None:
            raise self._broken(f"{entry.path[:200]!r} is below a file that is no directory")
        self.seen[path] = node
        return node

    def _walk(self, path: str, *, make: bool, what: str) -> tuple[_Node | None, str]:
        """Follow a path to a directory of this layer; None where there is none. Links never lead out of the root."""
        stack = [self.root]
        pending = [part for part in reversed(path.split("/")) if part]
        followed = 0
        while pending:
            part = pending.pop()
            if part == "..":
                stack = stack[:-1] or [self.root]
                continue
            child = stack[-1].children.get(part)
            if child is None and make:
                child = stack[-1].children[part] = self._taken_for_granted(stack[-1].entry.path, part)
            if child is None:
                return None, posixpath.join(stack[-1].entry.path, part, *reversed(pending))
            if child.entry.kind is Kind.SYMLINK:
                followed += 1
                if followed > MAX_LINKS:
                    raise self._broken(f"{what[:200]!r} is below symbolic links that never end")
                target = child.entry.target
                self._follow(child.entry.path)
                self._take(0, len(target))
                stack = [self.root] if target.startswith("/") else stack
                pending.extend(part for part in reversed(target.split("/")) if part not in ("", "."))
            elif child.entry.kind is Kind.DIRECTORY:
                stack.append(child)
            else:
                return None, posixpath.join(child.entry.path, *reversed(pending))
        return stack[-1], stack[-1].entry.path

    def _taken_for_granted(self, parent: str, name: str) -> _Node:
        path = posixpath.join(parent, name)
        if len(path) > _PATH_MAX:
            raise self._broken(f"the name {path[:200]!r}… is longer than Linux allows")
        self._take(1, len(path))
        return _implied(path, self.root.entry.layer)

    def _take(self, entries: int, metadata_bytes: int) -> None:
        try:
            self.budget.take(entries, metadata_bytes)
        except OverLimitError as error:
            raise BadImageError(f"cannot merge {self.name}: {error}") from None

    def _broken(self, why: str) -> BadImageError:
        return BadImageError(f"cannot merge {self.name}: {why}; pull or save the image again")


def _hide(merged: _Node, entry: Entry) -> None:
    """Take out of the layers below what a whiteout or an opaque directory hides."""
    if entry.kind is Kind.WHITEOUT:
        parent = _below(merged, posixpath.dirname(entry.path))
        if parent is not None:
            parent.children.pop(entry.name, None)
    elif entry.kind is Kind.OPAQUE:
        directory = _below(merged, entry.path)
        if directory is not None:
            directory.children.clear()


def _below(root: _Node, path: str) -> _Node | None:
    node: _Node | None = root
    for part in path.split("/"):
        if part and node is not None:
            node = node.children.get(part)
    return node


def _lay_over(merged: _Node, upper: _Node) -> None:
    waiting = [(merged, upper)]
    while waiting:
        below, above = waiting.pop()
        if not above.implied:
            below.entry = above.entry
        for name, child in above.children.items():
            there = below.children.get(name)
            if there is not None and there.entry.kind is child.entry.kind is Kind.DIRECTORY:
                waiting.append((there, child))
            else:
                below.children[name] = child


def _collect(root: _Node) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        entries[node.entry.path] = node.entry
        waiting.extend(node.children.values())
    return entries
