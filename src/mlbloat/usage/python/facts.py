"""What a Python source text says that can matter in some image: names, and how the code around them uses them.

A pure function of the text, so that it is kept between runs. Whether a name means anything is decided later, by what
exists in an image (`literals`); nothing is left out here that could mean something in another one.
"""

import re
from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from mlbloat.model.filetree import Entry, FileTree
from mlbloat.usage.candidates import paths_in
from mlbloat.usage.learning import Kind
from mlbloat.usage.python.source import Import, Source, When, decode, find_imports, scan
from mlbloat.usage.python.whereabouts import says_where

_NAME = r"[^\W\d]\w*"
ANY_NAME = re.compile(rf"\.*{_NAME}(?:\.{_NAME})*")
_DOTTED = re.compile(rf"({_NAME}(?:\.{_NAME})+)(?::[\w.]*)?")
_PREFIX = re.compile(rf"(\.*(?:{_NAME}\.)*)(?:[{{%].*)?")
_COMPUTED = tuple(
    re.compile(rf"{word}\(\s*(?:([a-zA-Z]{{0,2}})\"(\d+)\"\s*[,)])?") for word in ("import_module", "__import__")
)
_IMPORTERS = tuple(
    (fixed, re.compile(rf"{rest}\(([^()]*(?:\(\)[^()]*)*)"))
    for fixed, rest in (
        ("__import__", ""),
        ("import", r"\w{0,64}"),
        ("Import", r"\w{0,64}"),
        ("azy", r"\w{0,64}"),
        ("lugin", r"\w{0,64}"),
        ("load_module", ""),
        ("run_module", ""),
        ("iter_modules", ""),
        ("walk_packages", ""),
    )
)
"""Calls whose name says that they import: what it begins with, and what follows."""
_RUN_PROGRAMS = ("subprocess", "popen", "Popen", "which(", "_exec(", "_shell(", "posix_spawn")
_LOAD_LIBRARIES = ("ctypes", "CDLL", "LoadLibrary", "dlopen", "load_library", "find_library")
_NAMES_MODULES = ("__all__", "exec(", "eval(", "__path__", "sys.modules", "runpy", "globals()")
_USES_IMPORTLIB = re.compile(
    r"(?<!\w)(?<!\bimport )(?<!\bas )_*importlib"
    r"(?!_?(?:metadata|resources)\b|\.(?:metadata|resources|util\.find_spec)\b"
    r"|[ \t]+import[ \t(]+(?:metadata|resources)\b)"
    r"|\bimport importlib(?!\.(?:metadata|resources))[\w.]*[ \t]+as[ \t]+(?!_*importlib)"
)
"""More than to import it, to ask whether a module is there, and for what distributions have: any of it may import."""
_MOST_NAMES = 64
"""In one call that imports; a longer list is data."""
_HINTS = tuple(
    dict.fromkeys(
        (
            *(begin for begin, _ in _IMPORTERS),
            *_RUN_PROGRAMS,
            *("import_module", "__getattr__", "_import_structure", "pkg_resources", "entry_points"),
            *("ctypes", "CDLL", "dlopen", "ibrary", "os.", "sys.modules[", "attach_stub("),
            *("importlib", *_NAMES_MODULES),
        )
    )
)
"""Words that say what a text may do, each searched for once."""
_WHOLE_NAME = rf"[ \t]*(?:[bBrRuU]{{0,2}}\"\d+\"|{_NAME})[ \t]*"
_ASKS = (
    r"def[ \t]+(?:_?(?:is|has|have|can)_\w+|\w*(?:available|installed|importable)\w*)\([^()\n]*\)[^\n:]*:[ \t]*\n"
    r"(?:[ \t]+\"\d+\"[ \t]*\n)?[ \t]+"
)
_PROBES = tuple(
    re.compile(
        rf"(?P<head>{head})try:[ \t]*\n"
        rf"[ \t]+(?:\w+[ \t]*=[ \t]*)?(?:\w+\.)*(?:import_module|__import__)\({name}\)[ \t]*\n"
        r"(?P<yes>[ \t]+return True[ \t]*\n)?\s*except\b[^\n]*:[ \t]*\n[ \t]+return False[ \t]*\n"
        r"(?(yes)|\s*(?:else:[ \t]*\n[ \t]+)?return True\b)"
    )
    for head, name in (("", _WHOLE_NAME), (_ASKS, r"[^()\n]*"))
)
"""Functions that import only to say whether that works: what then uses the module imports it, and counts.

They are given the whole name, or have a name that says so, such as `is_available`. Another one that puts something
before the name knows a place for plug-ins, which register as they load.
"""
_REPLACES_ITSELF = re.compile(r"sys\.modules\[__name__\]\s*=")
_CALLED = re.compile(
    r"(?:run|call|check_output|open|system|which|exec|exec[lv]p?e?|spawn\w*|output|command|shell)"
    r"\(\s*\[?\s*[a-zA-Z]?\"(\d+)\""
)
_LIST_HEAD = re.compile(r"\[\s*[a-zA-Z]?\"(\d+)\"\s*,")
_MODULE_SWITCH = re.compile(r"\"(\d+)\"\s*,\s*[a-zA-Z]?\"(\d+)\"")
_COMMAND_TEXT = re.compile(rf"[\w./+-]*python[\d.]*\s+(?:-\w+\s+)*-m\s+({_NAME}(?:\.{_NAME})*)")
_ARGUMENT = re.compile(rf"(?<![\w.\"]){_NAME}(?:\.{_NAME})*")
_OWN_ATTRIBUTE = re.compile(r"\.__(?:path|name|file)__$")
_FIND_LIBRARY = re.compile(r"find_library\(\s*[a-zA-Z]?\"(\d+)\"")
_LIBRARY_STEM = re.compile(r"lib[\w+-]{2,}")
_JOINED = re.compile(r"\"(\d+)\"\s*\+")
_JOINED_BY_DOTS = re.compile(r"\"(\d+)\"\.join\(\s*\[\s*[a-zA-Z]?\"(\d+)\"\s*\]\s*\+")
"""`".".join(["package"] + parts)`: the name of some package below one."""
_NUMBER = re.compile(r"\"(\d+)\"")
_INFIX = re.compile(rf"(?:%s|\{{[^{{}}]*\}})\.((?:{_NAME}\.)+{_NAME})(?:\.(?:%s|\{{[^{{}}]*\}}))?")
_FILLED_IN = re.compile(r"\{[^{}]*\}|%[sd]")
_SUFFIX = re.compile(r"\.(?:so|dylib|dll|pyd|py)(?=[.*]|$)")
_GROUP = re.compile(r"[\w.:+-]+")
_FILE_NAME = re.compile(r"\S+|.*\.\w+")
_LONGEST_NAME = 256
_MOST_READ = 1 << 24
Value = TypeVar("Value")


class SourceFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Tuples hold each value once, in the order of the text."""

    imports: tuple[Import, ...] = ()
    dotted: tuple[str, ...] = ()
    """Literals such as `package.module`, `package.module.object` and `package.module:object`, up to the colon."""
    names: tuple[str, ...] = ()
    """Literals that are a name, with or without dots: a module's where the code looks like it, or a file's."""
    files: tuple[str, ...] = ()
    """What other literals name as the last part of a path."""
    patterns: tuple[str, ...] = ()
    """The same with wildcards: parts that are filled in later may be anything."""
    groups: tuple[str, ...] = ()
    """Literals that could be a group of entry points."""
    paths: tuple[str, ...] = ()
    """Runs of characters with an absolute path in them."""
    called: tuple[str, ...] = ()
    """Names handed to calls that import."""
    handed: tuple[tuple[int, str], ...] = ()
    """Packages handed to calls that import: leading dots, name."""
    started: tuple[str, ...] = ()
    """Modules run as `python -m`."""
    code: tuple[Import, ...] = ()
    """Imports of texts that look like programs."""
    prefixes: tuple[str, ...] = ()
    """Beginnings of names that are put together and imported, such as `package.`."""
    infixes: tuple[str, ...] = ()
    """Middles of such names, of two words or more, where any package may be before: `management.commands`."""
    libraries: tuple[str, ...] = ()
    """Names for dlopen(3)."""
    programs: tuple[str, ...] = ()
    """First words of command lines."""
    lazy: bool = False
    """It looks like one that imports later, by names in its strings."""
    names_modules: bool = False
    """At the start of a package, strings may be names of its modules.

    It has an `__all__`, runs text, uses the import system itself, or says where it is to something that may do so.
    """
    computed: bool = False
    """It imports a module of which nothing at the start of the name is fixed."""
    replaces_itself: bool = False
    lists_modules: bool = False
    walks_packages: bool = False
    reads_stub: bool = False
    asks_metadata: bool = False
    """It asks for what distributions say of themselves."""
    hooks: bool = False
    """It hooks into the import system."""


def learn(text: str) -> SourceFacts:
    source = _without_probes(scan(text))
    code = source.code
    strings = [literal for literal in dict.fromkeys(source.strings) if literal]
    short = [literal for literal in strings if len(literal) <= _LONGEST_NAME]
    hints = frozenset([hint for hint in _HINTS if hint in code])
    by_name = "import_module" in hints or "__import__" in hints
    lists, walks = "iter_modules" in hints, "walk_packages" in hints
    names, others = _names(short)
    called, handed = _importer_calls(source, hints)
    below = ((0, name) for name in _joined_by_dots(source)) if by_name or "resources" in code else ()
    return SourceFacts(
        imports=source.imports,
        dotted=_dotted(short),
        names=names,
        files=_once(name for name in others if "*" not in name),
        patterns=_once(name for name in others if "*" in name and _says_something(name)),
        groups=_groups(short, hints),
        paths=_paths(strings),
        called=called,
        handed=_once((*handed, *below)),
        started=_once(_started(source, strings)),
        code=_once(_code(strings)),
        prefixes=_once(_prefixes(source)) if by_name else (),
        infixes=_once(match[1] for match in map(_INFIX.fullmatch, short) if match) if by_name else (),
        libraries=_once(_libraries(source, short, hints)),
        programs=_once(_programs(source, hints)),
        lazy=by_name or lists or walks or not hints.isdisjoint(("__getattr__", "_import_structure", "azy")),
        names_modules=_names_modules(source, hints),
        computed=by_name and any(_is_computed(source, match) for call in _COMPUTED for match in call.finditer(code)),
        replaces_itself="sys.modules[" in hints and _REPLACES_ITSELF.search(code) is not None,
        lists_modules=lists,
        walks_packages=walks,
        reads_stub="attach_stub(" in hints,
        asks_metadata="pkg_resources" in hints or ("importlib" in hints and "metadata" in code),
        hooks=bool(called) and "meta_path" in code,
    )


def _without_probes(source: Source) -> Source:
    code = source.code
    likely = "return False" in code and ("import_module" in code or "__import__" in code)
    strings = list(source.strings)
    for kind in _PROBES if likely else ():
        for number in (int(number) for probe in kind.finditer(code) for number in _NUMBER.findall(probe[0])):
            strings[number] = ""
        code = kind.sub(r"\g<head>pass", code)
    return source if code == source.code else Source(code, tuple(strings), source.imports)


def _names_modules(source: Source, hints: frozenset[str]) -> bool:
    if not hints.isdisjoint(_NAMES_MODULES) or says_where(source):
        return True
    return "importlib" in hints and _USES_IMPORTLIB.search(source.code) is not None


def _learn_file(tree: FileTree, entry: Entry) -> SourceFacts:
    return learn(decode(tree.read(entry, _MOST_READ)))


SOURCE = Kind("python/12", SourceFacts, _learn_file)


def _names(short: Iterable[str]) -> tuple[tuple[str, ...], list[str]]:
    """Sort literals into those that are names, and the file names that the others end with."""
    names, others = [], []
    for literal in short:
        if literal.isidentifier() or (literal[0] not in " /-" and ANY_NAME.fullmatch(literal)):
            names.append(literal)
            continue
        name = literal.rpartition("/")[2]
        name = _FILLED_IN.sub("*", name) if ".so" in name else name
        if name and _FILE_NAME.fullmatch(name):
            others.append(name)
    return tuple(names), others


def _says_something(pattern: str) -> bool:
    """Tell a name with wildcards from a search for any file of a kind, such as `*.so.*`."""
    return _SUFFIX.sub("", pattern).strip("*?.[]0123456789-_") != ""


def _dotted(short: Iterable[str]) -> tuple[str, ...]:
    matches = (_DOTTED.fullmatch(literal) for literal in short if "." in literal)
    return _once(match[1] for match in matches if match)


def _groups(short: Iterable[str], hints: frozenset[str]) -> tuple[str, ...]:
    asks = "entry_points" in hints
    return tuple(literal for literal in short if (asks or "." in literal) and _GROUP.fullmatch(literal))


def _paths(strings: Iterable[str]) -> tuple[str, ...]:
    candidates = "\n".join(literal for literal in strings if literal.count("/") > 1)
    found = paths_in(candidates.encode("utf-8", "surrogateescape")) if candidates else ()
    return _once(path.decode("ascii") for path, _ in found)


def _importer_calls(source: Source, hints: frozenset[str]) -> tuple[tuple[str, ...], tuple[tuple[int, str], ...]]:
    """`import_module("x")`, `import_optional("x")`, `LazyLoader("x", globals(), "y.x")`, `iter_modules(x.__path__)`."""
    called: list[str] = []
    arguments: list[str] = []
    for fixed, importer in _IMPORTERS:
        for call in _calls(source.code, fixed, importer) if fixed in hints else ():
            called += (source.strings[int(number)] for number in _NUMBER.findall(call[1])[:_MOST_NAMES])
            arguments += _ARGUMENT.findall(call[1])
    return _once(name for name in called if ANY_NAME.fullmatch(name)), _once(_packages(source, arguments))


def _calls(code: str, fixed: str, rest: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """Find calls by how their names begin; a plain search is several times as fast as an expression."""
    at = code.find(fixed)
    while at >= 0:
        call = rest.match(code, at + len(fixed))
        if call is not None:
            yield call
        at = code.find(fixed, at + 1 if call is None else call.end())


def _packages(source: Source, arguments: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Find the packages among arguments, by the imports; what is handed on is imported elsewhere."""
    wanted = {_OWN_ATTRIBUTE.sub("", argument) for argument in arguments}
    for statement in source.imports if wanted else ():
        for name in statement.names:
            if name in wanted:
                yield statement.dots, f"{statement.module}.{name}".strip(".")
        if not statement.names and statement.module in wanted:
            yield 0, statement.module


def _started(source: Source, strings: Iterable[str]) -> Iterator[str]:
    for switch in _MODULE_SWITCH.finditer(source.code) if "-m" in source.strings else ():
        if source.strings[int(switch[1])] == "-m":
            name = source.strings[int(switch[2])]
            if ANY_NAME.fullmatch(name) and not name.startswith("."):
                yield name
    for literal in strings:
        command = _COMMAND_TEXT.match(literal) if "python" in literal else None
        if command:
            yield command[1]


def _code(strings: Iterable[str]) -> Iterator[Import]:
    """Texts that are programs themselves: `python -c`, exec, templates that become modules."""
    for literal in strings:
        if "import " in literal:
            found = find_imports(literal.replace("\\n", "\n"))
            yield from (each for each in found if not each.dots and each.when is not When.NEVER)


def _prefixes(source: Source) -> Iterator[str]:
    """Beginnings that something is put after: filled in, or joined with a plus; `startswith("x.")` joins nothing."""
    joined = {int(number) for number in _JOINED.findall(source.code)}
    for number, literal in enumerate(source.strings):
        match = _PREFIX.fullmatch(literal) if "." in literal and len(literal) <= _LONGEST_NAME else None
        if match and match[1] and literal[-1:] != "%" and (match[1] != literal or number in joined):
            yield match[1]


def _joined_by_dots(source: Source) -> Iterator[str]:
    """Packages of which one below is imported, or asked for its data, by parts of its name."""
    for dot, name in _JOINED_BY_DOTS.findall(source.code):
        if source.strings[int(dot)] == ".":
            yield source.strings[int(name)]


def _libraries(source: Source, short: Iterable[str], hints: frozenset[str]) -> Iterator[str]:
    loads = not hints.isdisjoint(_LOAD_LIBRARIES)
    if not loads and not ("ibrary" in hints and _has(source.code, _LOAD_LIBRARIES)):
        return
    wanted = [literal for literal in short if ".so" in literal]
    wanted += [f"{literal}.so" for literal in short if _LIBRARY_STEM.fullmatch(literal)]
    wanted += [f"lib{source.strings[int(number)]}.so" for number in _FIND_LIBRARY.findall(source.code)]
    yield from (name.partition("*")[0].rstrip(".") for name in wanted)


def _programs(source: Source, hints: frozenset[str]) -> Iterator[str]:
    code = source.code
    if hints.isdisjoint(_RUN_PROGRAMS) and not ("os." in hints and _has(code, ("os.system", "os.exec", "os.spawn"))):
        return
    for number in dict.fromkeys([*_CALLED.findall(code), *_LIST_HEAD.findall(code)]):
        words = source.strings[int(number)].split(None, 1)
        if words:
            yield words[0]


def _has(code: str, words: Iterable[str]) -> bool:
    return any(word in code for word in words)


def _is_computed(source: Source, call: re.Match[str]) -> bool:
    """Tell whether nothing at the start of a call's first argument is fixed."""
    if source.code.endswith("def ", 0, call.start()):
        return False
    return call[2] is None or ("f" in call[1].lower() and source.strings[int(call[2])].startswith("{"))


def _once(values: Iterable[Value]) -> tuple[Value, ...]:
    return tuple(dict.fromkeys(values))
