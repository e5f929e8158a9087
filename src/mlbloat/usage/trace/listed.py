"""What it means for the files of a directory that a run listed it.

Their names were read, and nothing else of them; a name is there only with its file. So they are kept at every level,
unless the directory was listed by whoever looks for something else in it: a loader, a shell that follows PATH, or
Python's import system, whose path entry finders list each directory that they search and ask for no file in it.
https://docs.python.org/3/reference/import.html#path-entry-finders
"""

import posixpath
import re
from collections.abc import Iterable, Iterator
from itertools import islice

from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Access, Action, Level, Reason, RunRecord, Use

_MAX_LISTED = 2000
"""A directory with more entries says nothing about any one of them."""
_MODULES = (".py", ".pyc", ".pth")
_EXTENSION = re.compile(r".*\.(?:cpython-|pypy\d|abi3\.).*")
_KERNEL_DIRECTORIES = ("/proc/", "/sys/", "/dev/")
_SYSTEM_DIRECTORIES = frozenset(
    """
    / /bin /etc /home /lib /lib32 /lib64 /opt /root /run /sbin /srv /tmp /usr /usr/bin /usr/lib /usr/lib32 /usr/lib64
    /usr/libexec /usr/local /usr/local/bin /usr/local/lib /usr/local/sbin /usr/sbin /usr/share /var /var/lib /var/tmp
    """.split()
)
"""Directories of the file-system hierarchy that many programs share (hier(7)). Programs list them in passing."""
_SITE = frozenset({"site-packages", "dist-packages"})
"""Where installed modules are, by the module `site`."""
_LANDMARK = "os.py"
"""By which an interpreter knows its standard library: https://docs.python.org/3/library/sys_path_init.html"""


class Listings:
    """What the runs on one image say by listing its directories."""

    def __init__(self, tree: FileTree, config: ImageConfig) -> None:
        self._tree = tree
        variables = dict(config.environment)
        self._silent = _SYSTEM_DIRECTORIES | self._canonical(variables.get("PATH", "").split(":"))
        searched = (*variables.get("PYTHONPATH", "").split(":"), config.working_directory)
        self._searched = self._canonical(searched)
        """What Python searches although nothing that it finds there may tell of it."""

    def of(self, record: RunRecord) -> dict[int, tuple[Use, ...]]:
        """Return the files whose names a run read, by the number of the access by which it did."""
        imports = _Imports(self._tree, record.accesses)
        named = {}
        for number, access in enumerate(record.accesses):
            if access.action is Action.LISTED:
                there = self._tree.find(access.path)
                if there.entry is not None and there.entry.kind is Kind.DIRECTORY and self._speaks(there.path):
                    named[number] = tuple(self._named(there.path, number, imports, f"run '{record.name}'"))
        return named

    def _canonical(self, directories: Iterable[str]) -> frozenset[str]:
        return frozenset(self._tree.find(directory).path for directory in directories if directory)

    def _speaks(self, directory: str) -> bool:
        if directory in self._silent or f"{directory}/".startswith(_KERNEL_DIRECTORIES):
            return False
        if posixpath.dirname(directory) in ("/lib", "/usr/lib") and _holds_libraries(self._tree, directory):
            return False  # a multiarch directory of the loader
        return len(self._tree.children(directory)) <= _MAX_LISTED

    def _named(self, directory: str, number: int, imports: "_Imports", by: str) -> Iterator[Use]:
        """Yield what lies in a directory: pinned, for its name alone; followed from `safe` on, as it may be read."""
        tree = self._tree
        searched = imports.any and directory in self._searched
        if _holds_modules(tree, directory) and (
            searched or _is_installed(tree, directory) or imports.searched(directory, number)
        ):
            return
        for child in tree.children(directory):
            kind = tree[child].kind
            if kind in (Kind.FILE, Kind.SYMLINK):  # a link is always there; what it points to was not named
                yield Use(child, Level.SAFE, Reason.LISTED, by, pinned=kind is Kind.FILE and not searched)


def listed_by(record: RunRecord, tree: FileTree) -> Iterator[str]:
    """Yield what lies in the directories that a run listed, whoever listed them and whatever for."""
    for access in record.accesses:
        if access.action is Action.LISTED:
            children = tree.children(tree.find(access.path).path)
            yield from children if len(children) <= _MAX_LISTED else ()


def seen_directories(records: Iterable[RunRecord], tree: FileTree) -> frozenset[str]:
    """Return the directories that runs named, and those whose names they read where no modules are looked for."""
    seen = set[str]()
    for access in (access for record in records for access in record.accesses if access.path.startswith("/")):
        there = tree.find(access.path)
        if there.entry is not None and there.entry.kind is Kind.DIRECTORY:
            seen.add(there.path)
            if access.action is Action.LISTED and not _holds_modules(tree, there.path):
                seen.update(child for child in tree.children(there.path) if tree[child].kind is Kind.DIRECTORY)
    return frozenset(seen)


class _Imports:
    """Where a run imported modules from, by the order of what the import system asks for.

    For a package it looks for `__init__` before it lists the directory. In a directory of its search path it finds
    packages (`name/__init__`), modules (`__pycache__/name.pyc`) or extension modules after that; the directory of a
    script joins the path when the script was found.
    """

    def __init__(self, tree: FileTree, accesses: tuple[Access, ...]) -> None:
        self._tree = tree
        self._packages: dict[str, int] = {}
        self._scripts: dict[str, int] = {}
        self._paths: set[str] = set()
        self._known: dict[str, str] = {}
        for number, access in enumerate(accesses):
            if access.action in (Action.OPENED, Action.LOOKED_UP):
                self._note(number, access.path)
        self.any = bool(self._packages or self._scripts or self._paths)

    def _note(self, number: int, path: str) -> None:
        directory, _, name = path.rpartition("/")
        if name.endswith(".pyc") and directory.endswith("/__pycache__"):
            self._paths.add(self._canonical(directory.removesuffix("/__pycache__")))
        elif name.startswith("__init__."):
            package = self._canonical(directory)
            self._packages.setdefault(package, number)
            self._paths.add(posixpath.dirname(package))
        elif _EXTENSION.fullmatch(name):
            self._paths.add(self._canonical(directory))
        elif name.endswith(_MODULES):
            self._scripts.setdefault(self._canonical(directory), number)

    def _canonical(self, directory: str) -> str:
        if directory not in self._known:
            self._known[directory] = self._tree.find(directory or "/").path
        return self._known[directory]

    def searched(self, directory: str, number: int) -> bool:
        """Tell whether an access that listed a directory was the import system's."""
        if directory in self._packages:
            return self._packages[directory] < number
        return directory in self._paths or self._scripts.get(directory, number) < number


def _holds_modules(tree: FileTree, directory: str) -> bool:
    children = tree.children(directory)
    return any(child.endswith(_MODULES) or _is_package(tree, child) for child in islice(children, _MAX_LISTED))


def _is_package(tree: FileTree, path: str) -> bool:
    entry = tree[path]
    if entry.kind is Kind.DIRECTORY:
        return entry.name == "__pycache__" or f"{path}/__init__.py" in tree
    return entry.kind is Kind.FILE and _EXTENSION.fullmatch(entry.name) is not None


def _is_installed(tree: FileTree, directory: str) -> bool:
    """Tell whether a directory belongs to a standard library or to installed modules."""
    while directory != "/":
        if posixpath.basename(directory) in _SITE or f"{directory}/{_LANDMARK}" in tree:
            return True
        directory = posixpath.dirname(directory)
    return False


def _holds_libraries(tree: FileTree, directory: str) -> bool:
    return any(posixpath.basename(child).startswith("ld-linux") or ".so" in child for child in tree.children(directory))
