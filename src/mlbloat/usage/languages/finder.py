"""Where the modules of one language are in a tree: what a name means, and what belongs together."""

import posixpath
from collections.abc import Iterator
from functools import cached_property, lru_cache

from mlbloat.model.filetree import Kind
from mlbloat.model.package import Inventory
from mlbloat.usage.globs import expand
from mlbloat.usage.ground import Ground
from mlbloat.usage.languages.facts import LISTED
from mlbloat.usage.languages.groups import Groups
from mlbloat.usage.languages.table import Language
from mlbloat.usage.names import environment, is_shared_directory

_MEMORY = 1 << 16
_LONGEST_NAME = 1 << 10
"""A longer one is data: no path is so long, and each of its parts may be the last one of a module's name."""
_MOST_ABOVE = 6
"""Directories above a text that its modules may be in."""
_FILES = frozenset({Kind.FILE, Kind.SYMLINK})


class Finder:
    """Remembers look-ups."""

    def __init__(self, ground: Ground, inventory: Inventory, language: Language) -> None:
        self._tree = ground.tree
        self._config = ground.config
        self._learning = ground.learning
        self._inventory = inventory
        self._language = language
        self.known = lru_cache(maxsize=_MEMORY)(self._known)
        """`known(name)`: the files that a name means wherever modules are installed."""
        self._first_parts = lru_cache(maxsize=_MEMORY)(self._first_parts_in)
        self.beside = lru_cache(maxsize=_MEMORY)(self._beside)
        """`beside(module)`: what goes with the module of a name, by the table."""
        self._around = lru_cache(maxsize=_MEMORY)(self._directories_around)

    def _known(self, name: str) -> tuple[str, ...]:
        name = self._bare(name) if len(name) <= _LONGEST_NAME else ""
        while name:
            found = (*(path for root in self.roots for path in self._in(root, name)), *self._indexed.get(name, ()))
            if found:
                return found
            name = name.rpartition("/")[0] if self._language.shortened else ""
        return ()

    def near(self, name: str, text: str) -> Iterator[str]:
        """Yield the files that a name means beside a text, or in a directory above it or the `lib` of one."""
        name = self._bare(name)
        for directory in self._around(posixpath.dirname(text)):
            yield from self._in(directory, name)

    def below(self, beginning: str, *, texts: bool = False) -> Iterator[str]:
        """Yield what has a name that begins so, and goes on; with `texts` the modules alone."""
        for root in self.roots:
            if beginning.partition("/")[0] in self._first_parts(root):
                for entry in self._tree.below(f"{root}/{beginning.rstrip('/')}"):
                    if entry.kind in _FILES and (not texts or entry.name.endswith(self._language.suffixes)):
                        yield entry.path

    def module(self, path: str) -> str:
        """Return the name that a file has in the innermost root around it; empty for none."""
        directory = posixpath.dirname(path)
        while directory != "/" and directory not in self._root_set:
            directory = posixpath.dirname(directory)
        return self._bare(path[len(directory) + 1 :]) if directory != "/" else ""

    def _beside(self, module: str) -> tuple[str, ...]:
        patterns = [each.format(module, dashed=module.replace("/", "-")) for each in self._language.beside]
        return tuple(
            path
            for root in self.roots
            for pattern in patterns
            for path in expand(self._tree, f"{root}/{pattern}")
            # Texts below a module's own name are modules with names of their own.
            if not (path.startswith(f"{root}/{module}/") and path.endswith((*self._language.suffixes, ".pod")))
        )

    def _bare(self, name: str) -> str:
        suffix = next((form[2:] for form in self._language.forms if name.endswith(form[2:])), "")
        return name.removesuffix(suffix)

    def _in(self, directory: str, name: str) -> Iterator[str]:
        if name.startswith("."):  # relative
            name = posixpath.normpath(f"{directory}/{name}")
        elif name.partition("/")[0] in self._first_parts(directory):
            name = f"{directory}/{name}"
        else:
            return
        for form in self._language.forms:
            entry = self._tree.get(form.format(name))
            if entry is not None and entry.kind in _FILES:
                yield entry.path

    def _first_parts_in(self, directory: str) -> frozenset[str]:
        names = {posixpath.basename(child) for child in self._tree.children(directory)}
        return frozenset(names | {name.partition(".")[0] for name in names})

    def _directories_around(self, directory: str) -> tuple[str, ...]:
        found: list[str] = []
        for _ in range(_MOST_ABOVE):
            if directory == "/" or directory in self._root_set:
                break
            if not is_shared_directory(directory):
                found += [directory, f"{directory}/lib"]
            directory = posixpath.dirname(directory)
        return tuple(found)

    @cached_property
    def roots(self) -> tuple[str, ...]:
        variable = environment(self._config, self._language.variable) if self._language.variable else ""
        named = (self._tree.find(each).path for each in variable.split(":") if each.startswith("/"))
        matching = (each for each in self._tree.directories() if self._language.roots.fullmatch(each))
        return tuple(sorted({*matching, *named}))

    @cached_property
    def _root_set(self) -> frozenset[str]:
        return frozenset(self.roots)

    @cached_property
    def anchors(self) -> frozenset[str]:
        """The directories by which the group of a file is known: those below have one."""
        return self._shared | self._marked

    @cached_property
    def _places(self) -> frozenset[str]:
        pattern = self._language.places
        return frozenset(each for each in self._tree.directories() if pattern and pattern.fullmatch(each))

    @cached_property
    def _shared(self) -> frozenset[str]:
        inside = tuple(f"{each}/" for each in self._places)
        if not self._language.together:
            return self._places
        return self._places | {root for root in self.roots if not root.startswith(inside)}

    @cached_property
    def _marked(self) -> frozenset[str]:
        mark = self._language.mark
        if not mark:
            return frozenset()
        within, _, _ = mark.rpartition("/")
        return frozenset(
            each.removesuffix(f"/{within}") if within else each
            for each in self._tree.directories()
            if each.endswith(f"/{within}" if within else "") and f"{each}/{posixpath.basename(mark)}" in self._tree
        )

    @cached_property
    def _groups(self) -> Groups:
        return Groups(self._tree, self._inventory, self._shared, self._marked)

    def members(self, path: str) -> tuple[str, ...]:
        """Return what belongs together with a file, in order of path; empty where nothing does."""
        return self._groups.members(path)

    def leader(self, path: str) -> str:
        """Return the one file that leads to all that belongs together with this one; empty for none.

        It is none of those that only describe: they are read for many that nobody uses.
        """
        about = self._language.about
        files = (each for each in self.members(path) if self._tree[each].kind is Kind.FILE)
        return next((each for each in files if not (about and about.fullmatch(each))), "")

    @cached_property
    def _indexed(self) -> dict[str, tuple[str, ...]]:
        """Names that a file stands for, whatever the files are called that it means."""
        found: dict[str, list[str]] = {}
        if self._language.index is not None:
            for path in (path for place in sorted(self._places) for path in self._tree.children(place)):
                match = self._language.index.fullmatch(path)
                if match:
                    found.setdefault(match[1], []).extend(each for each in (path, self.leader(path)) if each)
        if self._language.listing is not None:
            for directory in sorted(self._marked):
                entry = self._tree[f"{directory}/{self._language.mark}"]
                for name in (
                    self._learning.of(LISTED[self._language.name], entry).names if entry.kind is Kind.FILE else ()
                ):
                    found.setdefault(name, []).append(entry.path)
        return {name: tuple(paths) for name, paths in found.items()}
