"""What names written in files mean in the tree: programs, shared libraries, absolute paths.

A name counts only when something of that name exists, so a false positive costs the size of a real file and never
more; that is the price of keeping what the next input asks for.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice

from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Level, Reason, Use
from mlbloat.runtime.defaults import PATH
from mlbloat.usage.globs import expand, is_glob

SMALL_DIRECTORY_ENTRIES = 200
"""A directory that is named is kept with its files up to this many entries; more is a place, not a thing."""
MAX_NAMES = 100_000
"""Names taken from one piece of data; real ones hold a few thousand, hostile ones as many as fit."""

_SHARED_DIRECTORY = re.compile(
    r"/|/(?:bin|boot|dev|etc|home|lib\w*|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)"
    r"|/usr/[^/]+|/usr/local/[^/]+|/usr/(?:local/)?lib\w*/[^/]*-linux-[^/]*|/var/[^/]+"
)
_VIRTUAL = frozenset({"dev", "proc", "run", "sys", "tmp"})
_MEMORY = 1 << 16
_LIBRARY_NAME = re.compile(r"\.so(?:\.[0-9][^/]*)?$")
_NAME_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.+@/~-"
_MAX_LIBRARY_NAME = 255
_VERSION = re.compile(rb"(?:\.[0-9]+)*")
_PATH_CHARACTERS = rb"[A-Za-z0-9_.+@%~/*?-]{1,512}"


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
        self._libraries = _libraries_by_stem(tree)
        tops = sorted(posixpath.basename(path) for path in tree.children("/"))
        known = [re.escape(top.encode("utf-8", "surrogateescape")) for top in tops if top not in _VIRTUAL]
        self._start = re.compile(rb"/(?:" + b"|".join(known) + rb")/") if known else None
        self._rest = re.compile(_PATH_CHARACTERS)
        self._resolve = lru_cache(maxsize=_MEMORY)(self._resolve_text)
        self.program = lru_cache(maxsize=_MEMORY)(self._find_program)
        """`program(name)`: the path of an executable file, by PATH or by its absolute name; None when there is none."""
        self.libraries = lru_cache(maxsize=_MEMORY)(self._find_libraries)
        """`libraries(name)`: the shared libraries of that file name, or of that name and a version."""

    def _find_program(self, name: str) -> str | None:
        candidates = [name] if name.startswith("/") else [posixpath.join(part, name) for part in self._path]
        for candidate in candidates if name and (name.startswith("/") or "/" not in name) else ():
            entry = self._tree.find(candidate).entry
            if entry is not None and is_program(entry):
                return candidate
        return None

    def _find_libraries(self, name: str) -> tuple[str, ...]:
        name = posixpath.basename(name)
        known = self._libraries.get(_stem(name), ())
        return tuple(path for path, base in known if base == name or base.startswith(f"{name}."))

    def library_uses(self, data: bytes, by: str) -> Iterator[Use]:
        """Find names of shared libraries: what a program may hand to dlopen(3)."""
        for raw in dict.fromkeys(islice(_library_names(data), MAX_NAMES)):
            for path in self._loadable(raw.decode("ascii")):
                if path != by:
                    yield Use(path, Level.SAFE, Reason.MAY_LOAD, by)

    def _loadable(self, text: str) -> tuple[str, ...]:
        # Strings of Rust and Go have no end mark, so a name may stand glued to the one before it.
        glued = text[max(0, text.rfind("lib")) :]
        return self.libraries(text) or self.libraries(glued)

    def path_uses(self, data: bytes, by: str, *, glued: bool = False) -> Iterator[Use]:
        """Find absolute paths of existing files, small directories and, with wildcards, of groups of files.

        With `glued`, a path need not end where its characters end, unless zero bytes mark it as a string of C.
        """
        for raw, whole in dict.fromkeys(islice(self._path_names(data), MAX_NAMES)):
            for path in self._resolve(raw, glued and not whole):
                if path != by:
                    yield Use(path, Level.SAFE, self._reason(path), by)

    def _path_names(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        for start in self._start.finditer(data) if self._start else ():
            match = self._rest.match(data, start.start())
            if match is not None:
                before, after = data[match.start() - 1 : match.start()], data[match.end() : match.end() + 1]
                yield match[0], before == after == b"\0"

    def _reason(self, path: str) -> Reason:
        entry = self._tree.find(path).entry
        if entry is None or entry.kind is not Kind.FILE:
            return Reason.NAMED
        if is_library_name(entry.name):
            return Reason.MAY_LOAD
        return Reason.MAY_RUN if is_program(entry) else Reason.NAMED

    def _resolve_text(self, raw: bytes, glued: bool) -> tuple[str, ...]:
        text = raw.decode("ascii")
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
        return tuple(dict.fromkeys(entry.path for entry in everything if entry.kind in {Kind.FILE, Kind.SYMLINK}))

    def _few_below(self, path: str) -> list[Entry]:
        found: list[Entry] = []
        if is_shared_directory(path):
            return found
        for entry in self._tree.below(path):
            found.append(entry)
            if len(found) > SMALL_DIRECTORY_ENTRIES:
                return []
        return found


def _library_names(data: bytes) -> Iterator[bytes]:
    at = data.find(b".so")
    while at >= 0:
        before = data[max(0, at - _MAX_LIBRARY_NAME) : at]
        version = _VERSION.match(data, at + 3)
        end = version.end() if version else at + 3
        yield data[at - len(before) + len(before.rstrip(_NAME_CHARACTERS)) : end]
        at = data.find(b".so", end)


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
