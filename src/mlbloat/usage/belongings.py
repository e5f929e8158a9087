"""Directories that only serve one program: its plug-ins and data, of which it puts the names together as it runs.

A server asks for `{directory}/{name}.so` with a name out of a query or a setting, and no file says which. What its own
package, one made for it or one that it requires put into a directory that it or its configuration names is there for
nobody else.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from mlbloat.model.filetree import Entry, Kind
from mlbloat.model.package import Inventory, Manager
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.ground import Ground
from mlbloat.usage.names import is_library_name, is_program, is_shared_directory

_WITH_PLACES = frozenset({Manager.APT, Manager.APK, Manager.RPM})
"""Managers whose packages have directories of their own. Conda's share one prefix; modules of Python have readers."""
_MODULES = (".py", ".pm", ".pl", ".rb", ".lua", ".js", ".php", ".tcl", ".R", ".el", ".scm")
"""What makes a directory the search path of a language, whose reader says what of it is reached."""
_MAX_ENTRIES = 2000
_MEMORY = 1 << 12
_UNOWNED = frozenset({""})


class Belongings:
    """Knows which directories belong to whom."""

    def __init__(self, ground: Ground, inventory: Inventory) -> None:
        self._tree = ground.tree
        self._owners = inventory.owners
        self._metadata = frozenset(path for package in inventory.packages for path in package.metadata)
        self._friends: dict[str, set[str]] = {}
        for package in inventory.packages:
            for key in package.requires:
                self._friends.setdefault(key, set()).add(package.key)
                self._friends.setdefault(package.key, set()).add(key)
        self._inside = lru_cache(maxsize=_MEMORY)(self._list)

    def uses(self, names: Iterable[str], by: str) -> Iterator[Use]:
        """Yield the files of directories that a binary or a configuration names and that only its program serves."""
        keys = self._keys(by)
        friends = keys.union(*(self._friends.get(key, ()) for key in keys))
        for name in names if keys else ():
            there = self._tree.find(name)
            if there.entry is None or there.entry.kind is not Kind.DIRECTORY or is_shared_directory(there.path):
                continue
            inside = self._inside(there.path)
            if all(self._keys(entry.path) & friends for entry in inside):
                yield from (Use(e.path, Level.SAFE, _reason(e), by) for e in inside if e.path != by)

    def _keys(self, path: str) -> frozenset[str]:
        """Return the packages of a file; `""` for one of none, nothing for one of a manager without own places."""
        owners = self._owners.get(path, ())
        return frozenset(owner.key for owner in owners if owner.manager in _WITH_PLACES) if owners else _UNOWNED

    def _list(self, directory: str) -> tuple[Entry, ...]:
        """Return the files in a directory and, but for programs, in the directories in it; nothing of modules."""
        direct = [self._tree[path] for path in self._tree.children(directory)]
        below = [
            self._tree[path]
            for entry in direct
            if entry.kind is Kind.DIRECTORY
            for path in self._tree.children(entry.path)
        ]
        files = [entry for entry in direct if entry.kind is Kind.FILE]
        if any(entry.name.endswith(_MODULES) for entry in files):
            return ()
        files += (entry for entry in below if entry.kind is Kind.FILE and not is_program(entry))
        return tuple(e for e in files if e.path not in self._metadata) if len(files) <= _MAX_ENTRIES else ()


def _reason(entry: Entry) -> Reason:
    return Reason.MAY_LOAD if is_library_name(entry.name) else Reason.NAMED
