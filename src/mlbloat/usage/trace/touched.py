"""What the recorded accesses mean for the files of an image."""

import posixpath
from collections.abc import Iterator
from itertools import islice

from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Action, Level, Reason, RunRecord, Use
from mlbloat.usage.trace.interpreters import MAX_INTERPRETERS, interpreter_in

_REASONS = {
    Action.EXECUTED: Reason.EXECUTED,
    Action.OPENED: Reason.OPENED,
    Action.LOOKED_UP: Reason.LOOKED_UP,
    Action.LISTED: Reason.LOOKED_UP,
    Action.CHANGED: Reason.CHANGED,
}
"""A directory that was listed was itself looked up; LISTED is the reason of what is in it."""

_MAX_LISTED = 2000
"""A directory with more entries says nothing about any one of them."""
_MODULES = (".py", ".pyc", ".pth")
_KERNEL_DIRECTORIES = ("/proc", "/sys", "/dev")
_SYSTEM_DIRECTORIES = frozenset(
    """
    / /bin /etc /home /lib /lib32 /lib64 /opt /root /run /sbin /srv /tmp /usr /usr/bin /usr/lib /usr/lib32 /usr/lib64
    /usr/libexec /usr/local /usr/local/bin /usr/local/lib /usr/local/sbin /usr/sbin /usr/share /var /var/lib /var/tmp
    """.split()
)
"""Directories of the file-system hierarchy that many programs share (hier(7)). Programs list them in passing."""


def uses_of(records: tuple[RunRecord, ...], tree: FileTree, config: ImageConfig) -> tuple[Use, ...]:
    """Return what the runs used, in the order of first use: the files, the links that lead to them, what the kernel
    opened for them, and, no earlier than at `safe`, what lies in the directories that they listed.
    """
    paths = dict(config.environment).get("PATH", "")
    silent = _SYSTEM_DIRECTORIES | {tree.find(directory).path for directory in paths.split(":") if directory}
    found: dict[Use, None] = {}
    for record in records:
        by = f"run '{record.name}'"
        for access in record.accesses:
            found |= dict.fromkeys(_uses(tree, access.path, _REASONS[access.action], by))
            if access.action is Action.EXECUTED:
                found |= dict.fromkeys(_opened_by_the_kernel(tree, access.path))
            elif access.action is Action.LISTED:
                found |= dict.fromkeys(_listed(tree, access.path, by, silent))
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


def _listed(tree: FileTree, path: str, by: str, silent: frozenset[str]) -> Iterator[Use]:
    there = tree.find(path)
    if there.entry is None or there.path in silent or f"{there.path}/".startswith(_under(_KERNEL_DIRECTORIES)):
        return
    if posixpath.dirname(there.path) in ("/lib", "/usr/lib") and _holds_libraries(tree, there.path):
        return  # a multiarch directory of the loader
    children = tree.children(there.path)
    if len(children) > _MAX_LISTED or any(child.endswith(_MODULES) for child in children):
        return
    if any(_is_package(tree, child) for child in islice(children, _MAX_LISTED)):
        return
    for child in children:
        if tree[child].kind in (Kind.FILE, Kind.SYMLINK):
            yield Use(child, Level.SAFE, Reason.LISTED, by)


def _under(directories: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{directory}/" for directory in directories)


def _holds_libraries(tree: FileTree, directory: str) -> bool:
    return any(posixpath.basename(child).startswith("ld-linux") or ".so" in child for child in tree.children(directory))


def _is_package(tree: FileTree, path: str) -> bool:
    """Python lists every directory of its module search path: that asks for no file in it."""
    entry: Entry = tree[path]
    if entry.kind is Kind.DIRECTORY:
        return entry.name == "__pycache__" or f"{path}/__init__.py" in tree
    return entry.kind is Kind.FILE and entry.name.endswith(".so") and ".cpython-" in entry.name
