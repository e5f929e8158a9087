"""Edges from Python files: sources, bytecode, extension modules, `.pth` files, interpreters.

What is linked and what is only safe is written in docs/keep-levels.md; how names are resolved, in `finder`.
"""

import posixpath
import re
from collections.abc import Iterator
from itertools import pairwise

from mlbloat.model.filetree import Entry, FileTree
from mlbloat.model.image import ImageConfig
from mlbloat.model.package import Inventory
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.names import Names
from mlbloat.usage.python.binary import collect
from mlbloat.usage.python.data import DataFiles
from mlbloat.usage.python.extension import Extensions
from mlbloat.usage.python.finder import Finder, Place
from mlbloat.usage.python.imports import Imports
from mlbloat.usage.python.layout import PYTHON, Environment, Layout
from mlbloat.usage.python.literals import Literals
from mlbloat.usage.python.modules import Modules
from mlbloat.usage.python.source import decode, scan
from mlbloat.usage.python.startup import AT_START, ON_DEMAND

_MOST_READ = 1 << 24
_SHEBANG = re.compile(rb"#!\s*(\S+)(?:\s+(?:-\S+\s+)*(\S+))?")
_RELAYED = re.compile(rb"'''exec' \"?(\S+?)\"? ")
"""Second line of a script whose interpreter's path is too long for a first one, as pip and conda write it."""
_INTERPRETER = re.compile(rf"{PYTHON.pattern}|libpython\d\.\d+[a-z]?\.so(?:\..*)?")
_LIBRARY = re.compile(r".*\.so(?:\.[0-9.]+)?")


class PythonReader:
    """Answers what a Python file leads to; looks at one file at a time and never runs any."""

    def __init__(self, tree: FileTree, inventory: Inventory, config: ImageConfig) -> None:
        self._tree = tree
        self._config = config
        self._layout = Layout(tree, config)
        self._modules = Modules(tree)
        self._finder = Finder(tree, self._layout, self._modules, config.working_directory)
        self._imports = Imports(self._finder, self._modules)
        self._data = DataFiles(tree, inventory, self._modules)
        names = Names(tree, config)
        self._literals = Literals(tree, self._finder, self._modules, self._imports, self._data, names)
        self._extensions = Extensions(tree, inventory, self._finder, self._modules)

    def read(self, entry: Entry) -> Iterator[Use]:
        """Yield what a file leads to, each reason once, the stronger level when there are two."""
        uses: dict[tuple[str, Reason], Use] = {}
        for use in self._read(entry):
            key = (use.path, use.reason)
            if use.path != entry.path and (key not in uses or use.level < uses[key].level):
                uses[key] = use
        yield from uses.values()

    def _read(self, entry: Entry) -> Iterator[Use]:
        name = entry.name
        if name.endswith(".py"):
            yield from self._source(entry, self._finder.place(entry.path))
        elif name.endswith(".pyc"):
            yield from self._bytecode(entry)
        elif name.endswith(".pyi"):
            yield from self._stub(entry)
        elif name.endswith(".pth"):
            yield from self._path_file(entry)
        elif _INTERPRETER.fullmatch(name):
            yield from self._interpreter(entry)
        elif _LIBRARY.fullmatch(name):
            yield from self._extension(entry)
        elif entry.mode & 0o111:
            yield from self._script(entry)

    def _source(self, entry: Entry, place: Place) -> Iterator[Use]:
        source = scan(decode(self._tree.read(entry, _MOST_READ)))
        yield from self._around(place)
        yield from self._cached(entry)
        yield from self._imports.uses(place, source.imports)
        yield from self._literals.uses(place, source)

    def _cached(self, entry: Entry) -> Iterator[Use]:
        """Yield the bytecode files of a source, https://peps.python.org/pep-3147/."""
        directory, name = posixpath.split(entry.path)
        stem = name.removesuffix("py")
        for path in self._tree.children(f"{directory}/__pycache__"):
            if path.endswith(".pyc") and posixpath.basename(path).startswith(stem):
                yield Use(path, Level.LINKED, Reason.BYTECODE, entry.path)

    def _bytecode(self, entry: Entry) -> Iterator[Use]:
        directory, name = posixpath.split(entry.path)
        if posixpath.basename(directory) == "__pycache__":
            # Python ignores it when its source is missing.
            yield Use(
                f"{posixpath.dirname(directory)}/{name.partition('.')[0]}.py", Level.LINKED, Reason.SOURCE, entry.path
            )
            return
        place = self._finder.place(entry.path)
        yield from self._around(place)
        yield from self._extensions.named(place, collect(self._tree.read(entry, _MOST_READ)))

    def _stub(self, entry: Entry) -> Iterator[Use]:
        """A stub is read at run time by lazy loaders only, which import what it imports."""
        source = scan(decode(self._tree.read(entry, _MOST_READ)))
        yield from self._imports.uses(self._finder.place(entry.path), source.imports, deferred=True)

    def _extension(self, entry: Entry) -> Iterator[Use]:
        place = self._finder.place(entry.path)
        yield from self._around(place)
        yield from self._extensions.uses(place, entry)

    def _script(self, entry: Entry) -> Iterator[Use]:
        first, _, rest = self._tree.read(entry, 1024).partition(b"\n")
        match = _SHEBANG.match(first)
        if match is None:
            return
        relayed = _RELAYED.match(rest)
        words = [relayed[1]] if relayed else [word for word in match.groups() if word]
        interpreter = next((w for w in map(_text, words) if PYTHON.fullmatch(posixpath.basename(w))), None)
        if interpreter is not None:
            known = self._layout.of_program(interpreter) if self._tree.find(interpreter).entry else ()
            yield from self._source(entry, self._finder.place(entry.path, known))

    def _around(self, place: Place) -> Iterator[Use]:
        """Yield what comes with any module: the packages that it is in, their data, the site's own files."""
        above = self._finder.package_above(place)
        for path in self._finder.start_of(above, place.version) if above else ():
            yield Use(path, Level.LINKED, Reason.IMPORTED, place.path)
        for path in self._data_of(place, above):
            yield Use(path, Level.SAFE, Reason.DATA, place.path)
        if place.is_top_level:
            yield from self._site(place.path, place.environments, place.root)

    def _data_of(self, place: Place, above: str) -> Iterator[str]:
        if place.starts_package:
            yield from self._data.of_package(place.directory).files
        elif place.in_package and not above:
            yield from self._data.of_directory(place.directory).files
        if place.is_top_level and all(place.root != each.standard_library for each in place.environments):
            yield from self._data.beside(place.path, place.root)

    def _site(self, by: str, environments: tuple[Environment, ...], root: str = "") -> Iterator[Use]:
        """Yield what the `site` module reads when a directory of modules is in use."""
        for each in environments:
            for directory in (root,) if root else each.roots:
                for path in self._layout.path_files.get(directory, ()):
                    yield Use(path, Level.LINKED, Reason.CONVENTION, by)
            if each.config and (not root or not root.startswith(each.standard_library or "\0")):
                yield Use(each.config, Level.LINKED, Reason.CONVENTION, by)

    def _path_file(self, entry: Entry) -> Iterator[Use]:
        """Lines that start with `import` run at every start, https://docs.python.org/3/library/site.html."""
        place = self._finder.place(entry.path)
        lines = self._tree.read(entry, _MOST_READ).decode("utf-8-sig", "replace").splitlines()
        for line in lines:
            if line.startswith(("import ", "import\t")):
                source = scan(line)
                yield from self._imports.uses(place, source.imports)
                for name in re.findall(r"(?:__import__|import_module)\(\s*['\"]([\w.]+)['\"]", line):
                    yield from self._imports.absolute(place, name, Level.LINKED)

    def _interpreter(self, entry: Entry) -> Iterator[Use]:
        environments = self._layout.of_program(entry.path)
        for each in environments:
            directory = posixpath.dirname(entry.path)
            place = Place(entry.path, directory, directory, (each,), version=each.version)
            for name in AT_START:
                yield from self._imports.absolute(place, name, Level.LINKED)
            for name in ON_DEMAND:
                yield from self._imports.absolute(place, name, Level.SAFE)
            for name in self._modules_of_command():
                yield from self._literals.run_module(place, name, Level.LINKED)
        yield from self._site(entry.path, environments)

    def _modules_of_command(self) -> Iterator[str]:
        words = (*self._config.entrypoint, *self._config.command)
        for switch, name in pairwise(words):
            if switch == "-m":
                yield name


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
