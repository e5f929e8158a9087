"""Edges from Python files: sources, bytecode, extension modules, `.pth` files, interpreters.

What is linked and what is only safe is written in docs/keep-levels.md; how names are resolved, in `finder`.
"""

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

from mlbloat.model.filetree import Entry, Kind
from mlbloat.model.package import Inventory
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.elf.head import HEAD
from mlbloat.usage.ground import Ground
from mlbloat.usage.python.archive import ARCHIVE, SUFFIXES
from mlbloat.usage.python.asked import Asked
from mlbloat.usage.python.binary import BYTECODE, EXTENSION
from mlbloat.usage.python.data import DataFiles
from mlbloat.usage.python.extension import Extensions
from mlbloat.usage.python.facts import SOURCE
from mlbloat.usage.python.finder import Finder, Place
from mlbloat.usage.python.imports import Imports
from mlbloat.usage.python.integrations import Integrations
from mlbloat.usage.python.layout import PYTHON, Environment, Layout
from mlbloat.usage.python.literals import Literals
from mlbloat.usage.python.modules import Modules
from mlbloat.usage.python.source import When, scan
from mlbloat.usage.python.startup import (
    AT_PROMPT,
    AT_START,
    BESIDE,
    HOOK,
    NOT_FOR_SCRIPTS,
    ON_DEMAND,
)
from mlbloat.usage.reach import Offer

_MOST_READ = 1 << 24
_INTERPRETER = re.compile(rf"{PYTHON.pattern}|libpython\d\.\d+[a-z]?\.so(?:\..*)?")
_LIBRARY = re.compile(r".*\.so(?:\.[0-9.]+)?")


class PythonReader:
    """Answers what a Python file leads to; looks at one file at a time and never runs any."""

    def __init__(self, ground: Ground, inventory: Inventory) -> None:
        self._tree = ground.tree
        self._config = ground.config
        self._learning = ground.learning
        self._layout = Layout(ground)
        self._modules = Modules(ground.tree)
        self._finder = Finder(ground.tree, self._layout, self._modules, ground.config.working_directory)
        self._imports = Imports(self._finder, self._modules)
        self._data = DataFiles(ground, inventory, self._modules)
        self._literals = Literals(ground, inventory, self._finder, self._modules, self._imports, self._data)
        self._asked = Asked(ground, inventory)
        self._extensions = Extensions(inventory, self._finder, self._modules)
        self._integrations = Integrations(inventory, self._finder)
        self.group_of = self._integrations.group
        """`group_of(entry)`: the distribution and top-level module of a file, see `Integrations.group`."""
        self._standard = tuple(
            f"{each.standard_library}/" for each in self._layout.environments if each.standard_library
        )
        self._tests = tuple(f"{directory}test/" for directory in self._standard)
        self._by_suffix = {"pyc": self._bytecode, "pyi": self._stub, "pth": self._path_file}
        self._bytecode_of = lru_cache(maxsize=1 << 14)(self._bytecode_in)

    def standard_library(self, seeds: Iterable[Use]) -> Iterator[Use]:
        """Yield the modules of the standard library of each interpreter that ran, or that the command needs.

        They are what a script from outside of the image, or a command of one line, counts on without a look.
        """
        ran = (use.path for use in seeds if use.level <= Level.LINKED and use.reason is not Reason.KEEP_RULE)
        for path in dict.fromkeys(path for path in ran if _INTERPRETER.fullmatch(posixpath.basename(path))):
            for each in self._layout.of_program(path) if self._tree.find(path).entry else ():
                for module in self._standard_modules(each):
                    yield Use(module, Level.SAFE, Reason.MAY_IMPORT, path)

    def _standard_modules(self, environment: Environment) -> Iterator[str]:
        library = environment.standard_library
        for root in (library, f"{library}/lib-dynload") if library else ():
            for name in self._modules.names(root):
                module = self._modules.member(root, name, environment.version)
                if module is None or name in NOT_FOR_SCRIPTS or name.startswith("_"):
                    continue
                yield from module.files
                if module.files and module.directory:
                    yield from self._modules.submodules(module.directory, environment.version, recursive=True)

    def prepare(self, entries: Sequence[Entry]) -> None:
        self._learning.ahead(SOURCE, (entry for entry in entries if entry.name.endswith((".py", ".pyi"))))
        self._learning.ahead(EXTENSION, (entry for entry in entries if _is_library(entry.name)))

    def read(self, entry: Entry) -> Iterable[Use | Offer]:
        """Yield what a file leads to, each reason once, the stronger level when there are two."""
        uses: dict[tuple[str, Reason], Use] = {}
        for use in self._read(entry):
            before = uses.setdefault((use.path, use.reason), use)
            if use.level < before.level:
                uses[use.path, use.reason] = use
        apart = self._for_nobody(entry)
        others = (use for use in uses.values() if use.path != entry.path and not (apart and use.path.startswith(apart)))
        return self._integrations.sort(self._finder.place(entry.path), others) if uses else ()

    def _for_nobody(self, entry: Entry) -> tuple[str, ...]:
        """Return where that is which the standard library imports only to be tested, or for a person at a prompt.

        https://docs.python.org/3/library/test.html: for internal use by Python.
        """
        if entry.path.startswith(self._tests) or not entry.path.startswith(self._standard):
            return ()
        place = self._finder.place(entry.path)
        if not place.is_standard:
            return ()
        prompt = AT_PROMPT.get(entry.name.removesuffix(".py"))
        return (*self._tests, f"{place.root}/{prompt}") if prompt else self._tests

    def _read(self, entry: Entry) -> Iterable[Use]:
        name = entry.name
        if name.endswith(".py"):
            return self._source(entry, self._finder.place(entry.path))
        by_suffix = self._by_suffix.get(name.rpartition(".")[2])
        if by_suffix is not None:
            return by_suffix(entry)
        if name.endswith(SUFFIXES):
            return self._archive(entry)
        if _INTERPRETER.fullmatch(name):
            return self._interpreter(entry)
        if _is_library(name):
            return self._extension(entry)
        return self._script(entry) if entry.mode & 0o111 else ()

    def _source(self, entry: Entry, place: Place) -> Iterator[Use]:
        facts = self._learning.of(SOURCE, entry)
        yield from self._around(place)
        yield from self._cached(entry)
        script = When.SCRIPT if self._may_run(entry, place) else When.CALL
        yield from self._imports.uses(place, facts.imports, until=script)
        if not self._says_nothing(place):
            yield from self._literals.uses(place, facts)
        yield from self._beside(place)

    def _may_run(self, entry: Entry, place: Place) -> bool:
        """Tell a file that may be run as a script: an application's, `__main__`, an executable one."""
        if place.local or entry.name == "__main__.py" or not entry.name.endswith(".py"):
            return True
        return bool(entry.mode & 0o111 and self._learning.of(HEAD, entry).words)

    def _says_nothing(self, place: Place) -> bool:
        """Tell a module whose strings are of another time: a record of a build, a hook that waits for an import."""
        if place.is_top_level and place.starts_package:
            return posixpath.basename(place.directory) == HOOK
        name = posixpath.basename(place.path)
        return place.is_standard and any(name.startswith(beginning) for beginning in BESIDE.values())

    def _beside(self, place: Place) -> Iterator[Use]:
        """Yield what a module of the standard library imports by a name that the build decided."""
        if not place.is_standard:
            return
        beginning = BESIDE.get(place.path[len(place.root) + 1 :].partition("/")[0].removesuffix(".py"))
        for name in self._modules.names(place.root) if beginning else ():
            if name.startswith(str(beginning)):
                yield from self._imports.absolute(place, name, Level.SAFE)

    def _cached(self, entry: Entry) -> Iterator[Use]:
        """Yield the bytecode files of a source, https://peps.python.org/pep-3147/."""
        directory, _, name = entry.path.rpartition("/")
        for path in self._bytecode_of(directory).get(name.partition(".")[0], ()):
            if path[len(directory) + 13 :].startswith(name.removesuffix("py")):
                yield Use(path, Level.LINKED, Reason.BYTECODE, entry.path)

    def _bytecode_in(self, directory: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in self._tree.children(f"{directory}/__pycache__"):
            if path.endswith(".pyc"):
                found.setdefault(posixpath.basename(path).partition(".")[0], []).append(path)
        return found

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
        yield from self._extensions.named(place, self._learning.of(BYTECODE, entry))

    def _stub(self, entry: Entry) -> Iterator[Use]:
        """A stub is read at run time by lazy loaders only, which import what it imports."""
        imports = self._learning.of(SOURCE, entry).imports
        yield from self._imports.uses(self._finder.place(entry.path), imports, deferred=True)

    def _extension(self, entry: Entry) -> Iterator[Use]:
        place = self._finder.place(entry.path)
        yield from self._around(place)
        yield from self._extensions.named(place, self._learning.of(EXTENSION, entry))

    def _archive(self, entry: Entry) -> Iterator[Use]:
        place, facts = self._finder.place(entry.path), self._learning.of(ARCHIVE, entry)
        yield from self._imports.uses(place, facts.imports)
        yield from self._literals.uses(place, facts)

    def _script(self, entry: Entry) -> Iterator[Use]:
        head = self._learning.of(HEAD, entry)
        words = [head.relay] if head.relay else [*head.words[:1], *_program_of(head.words[1:])]
        interpreter = next((word for word in words if PYTHON.fullmatch(posixpath.basename(word))), None)
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
            yield from self._asked.uses(self._tree[place.path])
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
        lines = self._learning.text(entry, _MOST_READ).decode("utf-8-sig", "replace").splitlines()
        for line in lines:
            archive = self._tree.find(posixpath.join(place.directory, line.strip()))
            if archive.entry is not None and archive.entry.kind is Kind.FILE and line.strip():
                yield Use(archive.path, Level.LINKED, Reason.NAMED, entry.path)
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
            yield from self._told(place)
        yield from self._site(entry.path, environments)

    def _told(self, place: Place) -> Iterator[Use]:
        """Yield what the image's command and its health check have Python run: code in the line, or a module."""
        config = self._config
        for line, level in ((config.entrypoint + config.command, Level.LINKED), (config.health_check, Level.SAFE)):
            for words in (line, *map(_shell_words, line)):
                for switch, text in pairwise(words):
                    if switch == "-m":
                        yield from self._literals.run_module(place, text, level)
                    elif switch == "-c":
                        yield from self._imports.uses(place, scan(text).imports, deferred=level is Level.SAFE)


def _shell_words(argument: str) -> Sequence[str]:
    """Return the words of an argument, in case it is a line for a shell."""
    try:
        return shlex.split(argument)
    except ValueError:  # a quote that does not close
        return ()


def _is_library(name: str) -> bool:
    return ".so" in name and _LIBRARY.fullmatch(name) is not None


def _program_of(arguments: Sequence[str]) -> Sequence[str]:
    """Return what `env` starts, as far as its arguments say."""
    return [word for word in arguments if not word.startswith("-") and "=" not in word][:1]
