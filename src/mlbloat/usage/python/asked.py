"""What the user may use of a distribution that he installed by name: every module of it, and its commands.

The next input of a program that imports `library` is one thing; what somebody who installed it calls by hand, in a
shell of the container or in a job with the same image, is another: `library.tools`, `library upgrade`.

https://packaging.python.org/en/latest/specifications/recording-installed-packages/#the-requested-file
https://packaging.python.org/en/latest/specifications/entry-points/#use-for-scripts
"""

import posixpath
import re
from collections.abc import Iterator

from mlbloat.model.filetree import Entry, FileTree
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.ground import Ground
from mlbloat.usage.python.entrypoints import scripts
from mlbloat.usage.python.facts import SOURCE

_TESTS = frozenset({"test", "tests", "conftest"})
_TEST_FILE = re.compile(r"test_.*|.*_tests?|testing")


class Asked:
    """Knows the distributions that carry the mark of a user's wish."""

    def __init__(self, ground: Ground, inventory: Inventory) -> None:
        self._ground = ground
        self._owners = inventory.owners
        self._known: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        """Modules and commands by package."""

    def uses(self, entry: Entry) -> Iterator[Use]:
        """Yield what belongs to the distribution of a top-level module."""
        for package in self._owners.get(entry.path, ()):
            if package.manager is Manager.PIP and package.requested:
                if package.key not in self._known:
                    self._known[package.key] = tuple(self._modules(package)), tuple(self._commands(package))
                modules, commands = self._known[package.key]
                yield from (Use(path, Level.SAFE, Reason.MAY_IMPORT, entry.path) for path in modules)
                yield from (Use(path, Level.SAFE, Reason.MAY_RUN, entry.path) for path in commands)

    def _modules(self, package: Package) -> Iterator[str]:
        modules = [path for path in package.files if path.endswith(".py") and _is_module(path, package.location)]
        self._ground.learning.ahead(SOURCE, (self._ground.tree[path] for path in modules))
        return (path for path in modules if path not in package.metadata and not self._is_of_tests(path))

    def _is_of_tests(self, path: str) -> bool:
        """Tell a tool of the library's own developers: it takes something from the tests."""
        imports = self._ground.learning.of(SOURCE, self._ground.tree[path]).imports
        return any(name in _TESTS for each in imports for name in (*each.module.split("."), *each.names))

    def _commands(self, package: Package) -> Iterator[str]:
        names = _names(self._ground, package)
        return (path for path in package.files if names and _is_command(self._ground.tree, path, names))


def _names(ground: Ground, package: Package) -> frozenset[str]:
    declared = next((path for path in package.database if path.endswith(".dist-info/METADATA")), "")
    points = scripts(ground, posixpath.join(posixpath.dirname(declared), "entry_points.txt")) if declared else ()
    return frozenset(name for name, module in points if not any(map(_is_test, module.split("."))))


def _is_command(tree: FileTree, path: str, names: frozenset[str]) -> bool:
    return posixpath.basename(path) in names and bool(tree[path].mode & 0o111)


def _is_module(path: str, root: str) -> bool:
    parts = path.removesuffix(".py").removeprefix(f"{root}/").split("/")
    return path.endswith(".py") and all(part.isidentifier() and not _is_test(part) for part in parts)


def _is_test(name: str) -> bool:
    return name in _TESTS or _TEST_FILE.fullmatch(name) is not None
