"""Where Python looks for modules in an image, from the tree alone.

https://docs.python.org/3/library/sys_path_init.html, https://docs.python.org/3/library/site.html, PEP 405 (pyvenv.cfg)

An environment is the search path of one interpreter or virtual environment. Several may hold the same directory: the
standard library belongs to its interpreter and to each virtual environment made from it.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.image import ImageConfig
from mlbloat.runtime.defaults import PATH
from mlbloat.usage.ground import Ground
from mlbloat.usage.names import environment

PYTHON = re.compile(r"(?:python|pypy)(\d+(?:\.\d+)?)?[a-z]?")
_LIBRARY = re.compile(r"libpython(\d+\.\d+)[a-z]?\.so(?:\..*)?")
_VERSIONED = re.compile(r"(.*)/lib(?:32|64)?/(?:python|pypy)(\d+(?:\.\d+)?)[a-z]?(?:/.*)?")
_SITE = frozenset({"site-packages", "dist-packages"})
_LIMIT = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    prefix: str
    version: str
    """`3.12`; empty when the layout does not say."""
    roots: tuple[str, ...]
    """Directories in the order of sys.path, canonical."""
    standard_library: str
    """Empty when the tree has none."""
    config: str = ""
    """Path of pyvenv.cfg; empty for an interpreter's own environment."""


@dataclass(frozen=True, slots=True)
class _Site:
    path: str
    prefix: str
    version: str

    def fits(self, version: str) -> bool:
        return self.version in {"", version, version.partition(".")[0]}


class Layout:
    """The environments of one tree."""

    def __init__(self, ground: Ground) -> None:
        self._tree = tree = ground.tree
        self._learning = ground.learning
        config = ground.config
        self.path_files: dict[str, tuple[str, ...]] = {}
        """Directory of modules to the `.pth` files in it."""
        libraries, sites, venvs = _landmarks(tree)
        variable = environment(config, "PYTHONPATH").split(":")
        self.extra = tuple(self._directories(part for part in variable if part.startswith("/")))
        self.environments = tuple(self._environments(libraries, sites, venvs))
        self._by_root: dict[str, tuple[Environment, ...]] = {}
        for each in self.environments:
            for root in each.roots:
                self._by_root[root] = (*self._by_root.get(root, ()), each)
        self.default = self._default(config)

    def root_of(self, directory: str) -> str | None:
        """Return the directory of modules that holds a directory, or is it."""
        here = directory
        while here not in self._by_root:
            if here == "/":
                return None
            here = posixpath.dirname(here)
        return here

    def of_root(self, root: str) -> tuple[Environment, ...]:
        return self._by_root[root]

    def near(self, directory: str) -> tuple[Environment, ...]:
        """Return the environments that files outside all of them probably run in: one beside them, else the image's."""
        above = set(_ancestors(directory))
        beside = tuple(each for each in self.environments if each.config and posixpath.dirname(each.prefix) in above)
        return beside or self.default

    def of_program(self, path: str) -> tuple[Environment, ...]:
        """Return the environments of an interpreter or its library, named as a command would name it."""
        prefix = posixpath.dirname(posixpath.dirname(path))
        venv = tuple(each for each in self.environments if each.config and each.prefix == prefix)
        if venv:
            return venv
        real = self._tree.find(path).path
        name = posixpath.basename(real)
        match = PYTHON.fullmatch(name) or _LIBRARY.fullmatch(name)
        own = [each for each in self.environments if not each.config and each.standard_library]
        version = match[1] if match and match[1] else ""
        fitting = [each for each in own if not version or each.version in {version, ""} or version in each.version[:1]]
        real_prefix = posixpath.dirname(posixpath.dirname(real))
        return tuple(each for each in fitting if each.prefix == real_prefix) or tuple(fitting or own)

    def _default(self, config: ImageConfig) -> tuple[Environment, ...]:
        found: dict[Environment, None] = {}
        directories = environment(config, "PATH", PATH).split(":")
        for name in (*config.entrypoint, *config.command, "python3", "python"):
            if PYTHON.fullmatch(posixpath.basename(name)):
                candidates = [name] if "/" in name else [posixpath.join(part, name) for part in directories]
                there = next((path for path in candidates if self._tree.find(path).entry is not None), None)
                found.update(dict.fromkeys(self.of_program(there) if there else ()))
        return tuple(found) or self.environments

    def _environments(self, libraries: list[str], sites: list[str], venvs: list[str]) -> Iterator[Environment]:
        known = [_Site(path, *_prefix_and_version(path)) for path in sites]
        bases = [(path, *_prefix_and_version(path)) for path in libraries]
        shared = [site for site in known if site.prefix not in venvs]
        taken: set[str] = set()
        for library, prefix, version in bases:
            own = _sites_of(prefix, version, shared, bases)
            taken.update(own)
            roots = self._roots((library, f"{library}/lib-dynload", *own))
            yield Environment(prefix=prefix, version=version, roots=roots, standard_library=library)
        for prefix in venvs:
            yield self._venv(prefix, known, bases, shared)
        for site in shared:
            if site.path not in taken:
                roots = self._roots([site.path])
                yield Environment(prefix=site.prefix, version=site.version, roots=roots, standard_library="")

    def _venv(
        self, prefix: str, known: list[_Site], bases: list[tuple[str, str, str]], shared: list[_Site]
    ) -> Environment:
        settings = self._settings(f"{prefix}/pyvenv.cfg")
        own = [site for site in known if site.prefix == prefix]
        version = next((site.version for site in own if site.version), "")
        version = version or ".".join(settings.get("version", settings.get("version_info", "")).split(".")[:2])
        home = posixpath.dirname(self._tree.find(settings.get("home", "/usr/bin")).path)
        fitting = [base for base in bases if base[2] == version] or bases
        library, base_prefix, base_version = next((b for b in fitting if b[1] == home), [*fitting, ("", "", "")][0])
        roots = [library, f"{library}/lib-dynload"] if library else []
        roots += [site.path for site in own]
        if settings.get("include-system-site-packages", "").lower() == "true":
            roots += _sites_of(base_prefix, base_version, shared, bases)
        return Environment(
            prefix=prefix,
            version=version or base_version,
            roots=self._roots(roots),
            standard_library=library,
            config=f"{prefix}/pyvenv.cfg",
        )

    def _settings(self, path: str) -> dict[str, str]:
        lines = self._text(path).splitlines()
        pairs = (line.partition("=") for line in lines if "=" in line)
        return {key.strip().lower(): value.strip() for key, _, value in pairs}

    def _roots(self, directories: Iterable[str]) -> tuple[str, ...]:
        roots = dict.fromkeys([*self.extra, *self._directories(directories)])
        for directory in tuple(roots):
            for name in self._path_files(directory):
                lines = self._text(name).splitlines()
                named = (line.strip() for line in lines if not line.startswith(("import ", "import\t", "#")))
                roots.update(
                    dict.fromkeys(self._directories(posixpath.join(directory, line) for line in named if line))
                )
        return tuple(roots)

    def _path_files(self, directory: str) -> tuple[str, ...]:
        if directory not in self.path_files:
            found = tuple(path for path in self._tree.children(directory) if path.endswith(".pth"))
            self.path_files[directory] = found if posixpath.basename(directory) in _SITE else ()
        return self.path_files[directory]

    def _directories(self, paths: Iterable[str]) -> Iterator[str]:
        for path in paths:
            there = self._tree.find(path)
            if there.entry is not None and there.entry.kind is Kind.DIRECTORY and there.path != "/":
                yield there.path

    def _text(self, path: str) -> str:
        entry = self._tree.find(path).entry
        if entry is None or entry.kind is not Kind.FILE:
            return ""
        return self._learning.text(entry, _LIMIT).decode("utf-8-sig", "replace")


def _landmarks(tree: FileTree) -> tuple[list[str], list[str], list[str]]:
    """Find standard libraries (os.py and encodings, as Modules/getpath.py does), package directories and venvs."""
    libraries, sites, venvs = [], [], []
    for path in tree:
        directory, _, name = path.rpartition("/")
        if name == "os.py" and f"{directory}/encodings" in tree:
            libraries.append(directory)
        elif name == "pyvenv.cfg" and directory:
            venvs.append(directory)
        elif name in _SITE and tree[path].kind is Kind.DIRECTORY:
            sites.append(path)
    return libraries, sites, venvs


def _prefix_and_version(path: str) -> tuple[str, str]:
    match = _VERSIONED.fullmatch(path)
    return (match[1], match[2]) if match else (posixpath.dirname(path), "")


def _sites_of(prefix: str, version: str, sites: list[_Site], bases: list[tuple[str, str, str]]) -> list[str]:
    """Return the package directories of an interpreter, those of its own prefix after those that shadow them.

    A directory of another prefix (/usr/local beside /usr, ~/.local) belongs to every interpreter of its version, unless
    one has that prefix.
    """
    claimed = {(base, site.path) for _, base, number in bases for site in sites if site.fits(number)}
    mine = [site.path for site in sites if site.prefix == prefix and site.fits(version)]
    foreign = [
        site.path
        for site in sites
        if site.prefix != prefix and site.fits(version) and (site.prefix, site.path) not in claimed
    ]
    return [*foreign, *mine]


def _ancestors(directory: str) -> Iterator[str]:
    here = directory
    while here != "/":
        yield here
        here = posixpath.dirname(here)
