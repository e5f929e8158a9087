"""Uses that the string literals of a source lead to: names of modules, plug-in groups, libraries, programs and files.

Whatever a name is used for, it counts only where something of that name exists; the more general the name, the more the
code around it must look like code that imports, loads or runs. A name that is put together from the network, a file or
the environment cannot be seen here.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

from mlbloat.model.filetree import FileTree
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.names import Names
from mlbloat.usage.python.data import DataFiles
from mlbloat.usage.python.entrypoints import EntryPoint, entry_points
from mlbloat.usage.python.finder import Finder, Place, files_of
from mlbloat.usage.python.imports import Imports
from mlbloat.usage.python.modules import Modules, Resolution
from mlbloat.usage.python.source import Import, Source, When, find_imports

_NAME = r"[^\W\d]\w*"
_DOTTED = re.compile(rf"({_NAME}(?:\.{_NAME})+)(?::[\w.]*)?")
_ANY_NAME = re.compile(rf"\.*{_NAME}(?:\.{_NAME})*")
_PREFIX = re.compile(rf"(\.*(?:{_NAME}\.)*)(?:[{{%].*)?")
_LAZY = ("import_module", "__import__", "__getattr__", "_import_structure", "iter_modules", "walk_packages", "azy")
_IMPORTS_BY_NAME = ("import_module", "__import__")
_COMPUTED = tuple(
    re.compile(rf"{word}\(\s*(?:([a-zA-Z]{{0,2}})\"(\d+)\"\s*[,)])?") for word in ("import_module", "__import__")
)
_IMPORTERS = tuple(
    re.compile(rf"{word}\(([^()]*(?:\(\)[^()]*)*)")
    for word in (
        *("__import__", r"import\w*", r"Import\w*", r"azy\w*", r"lugin\w*"),
        *("load_module", "run_module", "iter_modules", "walk_packages"),
    )
)
"""Calls whose name says that they import; each starts with fixed characters, which makes the search quick."""
_REPLACES_ITSELF = re.compile(r"sys\.modules\[__name__\]\s*=")
_STUB = "attach_stub("
_RUNS = (
    "subprocess",
    "popen",
    "Popen",
    "os.system",
    "os.exec",
    "os.spawn",
    "posix_spawn",
    "which(",
    "_exec(",
    "_shell(",
)
_CALLED = re.compile(
    r"(?:run|call|check_output|open|system|which|exec|exec[lv]p?e?|spawn\w*|output|command|shell)"
    r"\(\s*\[?\s*[a-zA-Z]?\"(\d+)\""
)
_LIST_HEAD = re.compile(r"\[\s*[a-zA-Z]?\"(\d+)\"\s*,")
_MODULE_SWITCH = re.compile(r"\"(\d+)\"\s*,\s*[a-zA-Z]?\"(\d+)\"")
_COMMAND_TEXT = re.compile(rf"[\w./+-]*python[\d.]*\s+(?:-\w+\s+)*-m\s+({_NAME}(?:\.{_NAME})*)")
_ARGUMENT = re.compile(rf"(?<![\w.\"]){_NAME}(?:\.{_NAME})*")
_HOOKS = "meta_path"
_LOADS = ("ctypes", "CDLL", "LoadLibrary", "dlopen", "load_library", "find_library")
_FIND_LIBRARY = re.compile(r"find_library\(\s*[a-zA-Z]?\"(\d+)\"")
_LIBRARY_STEM = re.compile(r"lib[\w+-]{2,}")
_NUMBER = re.compile(r"\"(\d+)\"")
_LONGEST_NAME = 256


class Literals:
    def __init__(
        self, tree: FileTree, finder: Finder, modules: Modules, imports: Imports, data: DataFiles, names: Names
    ) -> None:
        self._finder = finder
        self._modules = modules
        self._imports = imports
        self._data = data
        self._names = names
        self._groups: Callable[[str], Mapping[str, tuple[EntryPoint, ...]]] = lru_cache(maxsize=256)(
            lambda root: entry_points(tree, root)
        )

    def uses(self, place: Place, source: Source) -> Iterator[Use]:
        strings = dict.fromkeys(text for text in source.strings if text)
        short = [text for text in strings if len(text) <= _LONGEST_NAME]
        if _is_lazy(source):
            hints = (each for each in source.imports if each.when is When.NEVER)
            yield from self._imports.uses(place, hints, deferred=True, typing=True)
        yield from self._dotted(place, short)
        yield from self._own_modules(place, source, short)
        yield from self._importer_calls(place, source)
        yield from self._code(place, strings)
        yield from self._plugins(place, source, short)
        yield from self._files(place, short)
        yield from self._libraries(place, source, short)
        yield from self._programs(place, source)
        text = "\n".join(strings).encode("utf-8", "surrogateescape")
        yield from self._names.path_uses(text, place.path)

    def _dotted(self, place: Place, strings: list[str]) -> Iterator[Use]:
        """`package.module`, `package.module.object`, `package.module:object`."""
        for text in strings:
            match = _DOTTED.fullmatch(text) if "." in text else None
            if match:
                found = [each for each in self._finder.absolute(place, match[1]) if each.length > 1]
                for path in files_of(found):
                    yield Use(path, Level.SAFE, Reason.MAY_IMPORT, place.path)

    def _own_modules(self, place: Place, source: Source, strings: list[str]) -> Iterator[Use]:
        """Lazy tables and computed names: of the package's own modules the named ones, or all where none can be."""
        if place.in_package and (place.starts_package or _is_lazy(source)):
            for text in strings:
                if _ANY_NAME.fullmatch(text):
                    yield from self._imports.relative(place, text, Level.SAFE)
        if _has(source, _IMPORTS_BY_NAME):
            yield from self._computed(place, source, strings)
        if place.in_package and place.starts_package and _REPLACES_ITSELF.search(source.code):
            yield from self._imports.submodules(place, place.directory)
        if place.in_package and _has(source, ("iter_modules", "walk_packages")):
            recursive = "walk_packages" in source.code
            yield from self._imports.submodules(place, place.directory, recursive=recursive)
        if _STUB in source.code:
            yield Use(place.path + "i", Level.SAFE, Reason.NAMED, place.path)

    def _computed(self, place: Place, source: Source, strings: list[str]) -> Iterator[Use]:
        for text in strings:
            match = _PREFIX.fullmatch(text) if "." in text else None
            if match and match[1] and text[-1:] != "%":
                yield from self._all_below(place, match[1])
        if any(_is_computed(source, match) for call in _COMPUTED for match in call.finditer(source.code)):
            if place.in_package:
                yield from self._imports.submodules(place, place.directory)
            known = self._finder.top_level(place.environments)
            for text in strings:
                if text in known:
                    yield from self._imports.absolute(place, text, Level.SAFE)

    def _all_below(self, place: Place, prefix: str) -> Iterator[Use]:
        bare = prefix.strip(".")
        dots = len(prefix) - len(prefix.lstrip("."))
        if dots and place.in_package:
            yield from self._below(place, [self._finder.relative(place, dots, bare)])
        elif bare:
            length = bare.count(".") + 1
            yield from self._below(place, [e for e in self._finder.absolute(place, bare) if e.length == length])

    def _importer_calls(self, place: Place, source: Source) -> Iterator[Use]:
        """`import_module("x")`, `import_optional("x")`, `LazyLoader("x", globals(), "y.x")`, `-m x`."""
        for importer in _IMPORTERS:
            for call in importer.finditer(source.code):
                for number in _NUMBER.findall(call[1])[:3]:
                    yield from self._by_name(place, source, source.strings[int(number)])
                for argument in _ARGUMENT.findall(call[1]):
                    yield from self._package_argument(place, source, argument)
        for switch in _MODULE_SWITCH.finditer(source.code) if "-m" in source.strings else ():
            if source.strings[int(switch[1])] == "-m":
                yield from self.run_module(place, source.strings[int(switch[2])], Level.SAFE)

    def _by_name(self, place: Place, source: Source, text: str) -> Iterator[Use]:
        if not _ANY_NAME.fullmatch(text):
            return
        if text.startswith("."):
            yield from self._imports.relative(place, text, Level.SAFE)
            return
        yield from self._imports.absolute(place, text, Level.SAFE)
        if _HOOKS in source.code:
            # An import hook gives a package's modules other names, which only its callers know.
            yield from self._below(place, self._finder.absolute(place, text), recursive=True)

    def _package_argument(self, place: Place, source: Source, argument: str) -> Iterator[Use]:
        """`import_submodules(package)`, `walk_packages(package.__path__)`: what is handed on is imported elsewhere."""
        name = re.sub(r"\.__(?:path|name|file)__$", "", argument)
        for statement in source.imports:
            if name in statement.names:
                full = f"{statement.module}.{name}".strip(".")
                if statement.dots:
                    yield from self._below(place, [self._finder.relative(place, statement.dots, full)], recursive=True)
                else:
                    yield from self._below(place, self._finder.absolute(place, full), recursive=True)
            elif not statement.names and statement.module == name:
                yield from self._below(place, self._finder.absolute(place, name), recursive=True)

    def _below(self, place: Place, found: Iterable[Resolution], *, recursive: bool = False) -> Iterator[Use]:
        for each in found:
            if each.module is not None and each.module.directory:
                yield from self._imports.submodules(place, each.module.directory, recursive=recursive)

    def run_module(self, place: Place, name: str, level: Level) -> Iterator[Use]:
        """`python -m name`: a module, or a package's `__main__`."""
        if _ANY_NAME.fullmatch(name) and not name.startswith("."):
            yield from self._imports.absolute(place, name, level)
            yield from self._imports.absolute(place, f"{name}.__main__", level)

    def _code(self, place: Place, strings: Mapping[str, None]) -> Iterator[Use]:
        """Texts that are programs themselves: `python -c`, exec, templates that become modules."""
        for text in strings:
            if "import " in text:
                statements = find_imports(text.replace("\\n", "\n"))
                yield from self._imports.uses(place, filter(self._is_certain(place), statements), deferred=True)
            command = _COMMAND_TEXT.match(text)
            if command:
                yield from self.run_module(place, command[1], Level.SAFE)

    def _is_certain(self, place: Place) -> Callable[[Import], bool]:
        """Prose has sentences such as "from the import list"; a program names modules that exist, whole."""

        def certain(statement: Import) -> bool:
            length = statement.module.count(".") + 1
            return not statement.dots and any(
                each.length == length for each in self._finder.absolute(place, statement.module)
            )

        return certain

    def _plugins(self, place: Place, source: Source, strings: list[str]) -> Iterator[Use]:
        asks = "entry_points" in source.code
        for root in dict.fromkeys(root for each in place.environments for root in each.roots):
            groups = self._groups(root)
            for text in strings if groups else ():
                for point in groups.get(text, ()) if asks or "." in text else ():
                    yield Use(point.path, Level.SAFE, Reason.NAMED, place.path)
                    yield from self._imports.absolute(place, point.module, Level.SAFE)

    def _files(self, place: Place, strings: list[str]) -> Iterator[Use]:
        """Programs, libraries, sources and scripts of the file's own package, by their names."""
        package = place.directory if self._modules.is_package(place.directory) else self._finder.package_above(place)
        named = self._data.of_package(package).named_only if package else {}
        for text in strings:
            name = text.rpartition("/")[2]
            # Parts that are filled in later may be anything: f"lib{name}.so", "lib%s.so", glob("lib*.so").
            pattern = re.sub(r"\{[^{}]*\}|%[sd]", "*", name) if ".so" in name else name
            matches = fnmatch.filter(named, pattern) if "*" in pattern else [name]
            for path in (path for match in matches for path in named.get(match, ())):
                yield Use(path, Level.SAFE, Reason.NAMED, place.path)
            if name.endswith(".py"):
                yield Use(f"{place.directory}/{name}", Level.SAFE, Reason.NAMED, place.path)

    def _libraries(self, place: Place, source: Source, strings: list[str]) -> Iterator[Use]:
        if not _has(source, _LOADS):
            return
        wanted = [text for text in strings if ".so" in text]
        wanted += [f"{text}.so" for text in strings if _LIBRARY_STEM.fullmatch(text)]
        wanted += [f"lib{source.strings[int(number)]}.so" for number in _FIND_LIBRARY.findall(source.code)]
        for text in wanted:
            for path in self._names.libraries(text.partition("*")[0].rstrip(".")):
                yield Use(path, Level.SAFE, Reason.MAY_LOAD, place.path)

    def _programs(self, place: Place, source: Source) -> Iterator[Use]:
        if not _has(source, _RUNS):
            return
        numbers = dict.fromkeys([*_CALLED.findall(source.code), *_LIST_HEAD.findall(source.code)])
        for number in numbers:
            first = source.strings[int(number)].split(None, 1)
            program = self._names.program(first[0]) if first else None
            if program is not None:
                yield Use(program, Level.SAFE, Reason.MAY_RUN, place.path)


def _is_lazy(source: Source) -> bool:
    """Tell whether a source looks like one that imports later, by names in its strings."""
    return _has(source, _LAZY)


def _has(source: Source, words: Iterable[str]) -> bool:
    return any(word in source.code for word in words)


def _is_computed(source: Source, call: re.Match[str]) -> bool:
    """Tell whether nothing at the start of a call's first argument is fixed."""
    if source.code.endswith("def ", 0, call.start()):
        return False
    return call[2] is None or ("f" in call[1].lower() and source.strings[int(call[2])].startswith("{"))
