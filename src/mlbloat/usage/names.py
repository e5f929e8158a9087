"""What names written in files mean in the tree: programs, shared libraries, absolute paths.

A name counts only when something of that name exists, so a false positive costs the size of a real file and never
more; that is the price of keeping what the next input asks for.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache

from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Level, Reason, Use
from mlbloat.runtime.defaults import PATH
from mlbloat.usage.globs import expand, is_glob

SMALL_DIRECTORY_ENTRIES = 200
"""A directory that is named is kept with its files up to this many entries; more is a place, not a thing."""

_SHARED_DIRECTORY = re.compile(
    r"/|/(?:bin|boot|dev|etc|home|lib\w*|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)"
    r"|/usr/[^/]+|/usr/local/[^/]+|/usr/(?:local/)?lib\w*/[^/]*-linux-[^/]*|/var/[^/]+"
)
_VIRTUAL = frozenset({"dev", "proc", "run", "sys", "tmp"})
_MEMORY = 1 << 16
_LIBRARY_NAME = re.compile(r"\.so(?:\.[0-9][^/]*)?$")
_LONGEST_PATH = 512


def is_shared_directory(path: str) -> bool:
    """Tell whether many unrelated packages put files here, as in `/usr/lib` (hier(7)): naming it says nothing."""
    return _SHARED_DIRECTORY.fullmatch(path) is not None


def is_program(entry: Entry) -> bool:
    return entry.kind is Kind.FILE and bool(entry.mode & 0o111) and not is_library_name(entry.name)


def is_library_name(name: str) -> bool:
    return _LIBRARY_NAME.search(name) is not None


def environment(config: ImageConfig, name: str, default: str = "") -> str:
    return dict(config.environment).get(name, default)


class Names:
    """Indexes of one tree; remembers look-ups."""

    def __init__(self, tree: FileTree, config: ImageConfig) -> None:
        self._tree = tree
        self._path = [part for part in environment(config, "PATH", PATH).split(":") if part.startswith("/")]
        tops = sorted(posixpath.basename(path) for path in tree.children("/"))
        known = [re.escape(top) for top in tops if top not in _VIRTUAL]
        self._start = re.compile(rf"/(?:{'|'.join(known)})/") if known else None
        self._resolve = lru_cache(maxsize=_MEMORY)(self._resolve_text)
        self._named = lru_cache(maxsize=_MEMORY)(self._find_named)
        self.program = lru_cache(maxsize=_MEMORY)(self._find_program)
        """`program(name)`: the path of an executable file, by PATH or by its absolute name; None when there is none."""
        self.loadable = lru_cache(maxsize=_MEMORY)(self._find_loadable)
        """`loadable(text)`: the libraries that a text means which may have more before the name."""
        self.libraries = lru_cache(maxsize=_MEMORY)(self._find_libraries)
        """`libraries(name)`: the shared libraries of that file name, or of that name and a version."""

    def _find_program(self, name: str) -> str | None:
        candidates = [name] if name.startswith("/") else [posixpath.join(part, name) for part in self._path]
        for candidate in candidates if name and (name.startswith("/") or "/" not in name) else ():
            entry = self._tree.find(candidate).entry
            if entry is not None and is_program(entry):
                return candidate
        return None

    @cached_property
    def _libraries(self) -> dict[str, tuple[tuple[str, str], ...]]:
        return _libraries_by_stem(self._tree)

    def _find_libraries(self, name: str) -> tuple[str, ...]:
        name = posixpath.basename(name)
        known = self._libraries.get(_stem(name), ())
        return tuple(path for path, base in known if base == name or base.startswith(f"{name}."))

    def library_uses(self, names: Iterable[str], by: str) -> Iterator[Use]:
        """Yield the libraries of names that a program may hand to dlopen(3)."""
        for text in names:
            for path in self.loadable(text):
                if path != by:
                    yield Use(path, Level.SAFE, Reason.MAY_LOAD, by)

    def _find_loadable(self, text: str) -> tuple[str, ...]:
        # Strings of Rust and Go have no end mark, so a name may stand glued to the one before it.
        glued = text[max(0, text.rfind("lib")) :]
        return self.libraries(text) or self.libraries(glued)

    def path_uses(self, runs: Iterable[str], by: str, *, glued: bool = False, whole: bool = False) -> Iterator[Use]:
        """Yield existing files, small directories and, with wildcards, groups of files that absolute paths name.

        With `glued`, a path need not end where its characters end, unless it is a whole string of C.
        """
        for text in runs:
            for path in self._named(text, glued, whole):
                if path != by:
                    yield Use(path, Level.SAFE, self._reason(path), by)

    def _find_named(self, run: str, glued: bool, whole: bool) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for start in self._start.finditer(run) if self._start else ():
            at = start.start()
            ends = whole and at == 0 and len(run) <= _LONGEST_PATH
            found.update(dict.fromkeys(self._resolve(run[at : at + _LONGEST_PATH], glued and not ends)))
        return tuple(found)

    def _reason(self, path: str) -> Reason:
        entry = self._tree.find(path).entry
        if entry is None or entry.kind is not Kind.FILE:
            return Reason.NAMED
        if is_library_name(entry.name):
            return Reason.MAY_LOAD
        return Reason.MAY_RUN if is_program(entry) else Reason.NAMED

    def _resolve_text(self, text: str, glued: bool) -> tuple[str, ...]:
        if is_glob(text):
            # A wildcard over a shared directory (`/usr/lib/*`) is a search, not a name.
            fixed = text[: min(position for position in map(text.find, "*?") if position >= 0)]
            place = posixpath.dirname(fixed)
            return () if is_shared_directory(place) else tuple(expand(self._tree, text))
        named = next((each for each in (text, text.rstrip(".")) if self._tree.find(each).entry is not None), None)
        path = named or (self._beginning(text) if glued else None)
        there = self._tree.find(path) if path else None
        if path is None or there is None or there.entry is None:
            return ()
        if there.entry.kind is Kind.DIRECTORY:
            return self.directory(there.path)
        return (path,) if there.entry.kind is Kind.FILE else ()

    def _beginning(self, text: str) -> str | None:
        """Find the longest file name that a text begins with; strings of Rust and Go stand without a mark between."""
        here = "/"
        for part in text.strip("/").split("/"):
            there = self._tree.find(posixpath.join(here, part))
            if there.entry is None:
                shorter = (posixpath.join(here, part[:length]) for length in range(len(part) - 1, 1, -1))
                return next((each for each in shorter if self._is_file(each)), None)
            if there.entry.kind is Kind.FILE:
                return there.path
            here = there.path
        return None

    def _is_file(self, path: str) -> bool:
        entry = self._tree.find(path).entry if path in self._tree else None
        return entry is not None and entry.kind is Kind.FILE

    def directory(self, path: str) -> tuple[str, ...]:
        """Return the files and links of a small directory, and of small directories that its links lead to."""
        inside = self._few_below(path)
        behind = [self._tree.find(entry.path) for entry in inside if entry.kind is Kind.SYMLINK]
        linked = [there.path for there in behind if there.entry is not None and there.entry.kind is Kind.DIRECTORY]
        everything = [*inside, *(entry for place in linked if place != path for entry in self._few_below(place))]
        kept = (entry for entry in everything if entry.kind in {Kind.FILE, Kind.SYMLINK})
        # Who names a directory may run the programs in it (`libexec`), not those of some directory below.
        return tuple(dict.fromkeys(e.path for e in kept if posixpath.dirname(e.path) == path or not self._runs(e.path)))

    def _runs(self, path: str) -> bool:
        entry = self._tree.find(path).entry
        return entry is not None and is_program(entry)

    def _few_below(self, path: str) -> list[Entry]:
        found: list[Entry] = []
        if is_shared_directory(path):
            return found
        for entry in self._tree.below(path):
            found.append(entry)
            if len(found) > SMALL_DIRECTORY_ENTRIES:
                return []
        return found


def _stem(name: str) -> str:
    head, dot_so, _ = name.partition(".so")
    return head + dot_so


def _libraries_by_stem(tree: FileTree) -> dict[str, tuple[tuple[str, str], ...]]:
    stems: dict[str, list[tuple[str, str]]] = {}
    for path, name in _library_files(tree.values()):
        stems.setdefault(_stem(name), []).append((path, name))
    return {stem: tuple(known) for stem, known in stems.items()}


def _library_files(entries: Iterable[Entry]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        if ".so" in entry.path and entry.kind in {Kind.FILE, Kind.SYMLINK}:
            name = entry.name
            if is_library_name(name):
                yield entry.path, name
