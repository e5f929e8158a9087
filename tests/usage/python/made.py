"""A made-up image with one Python, and what is kept of it."""

from collections.abc import Mapping

from mlbloat.model.image import ImageConfig
from mlbloat.model.package import Inventory
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.ground import Ground
from mlbloat.usage.python import PythonReader
from mlbloat.usage.reach import reach
from tests.support.trees import tree_of

Files = dict[str, bytes | str | None]

LIB = "/usr/lib/python3.11"
SITE = "/usr/local/lib/python3.11/dist-packages"
PYTHON: Files = {
    "/usr/bin/python3.11": "interpreter",
    f"{LIB}/os.py": "",
    f"{LIB}/encodings/__init__.py": "",
    f"{LIB}/encodings/utf_8.py": "",
    f"{LIB}/json/__init__.py": "from .decoder import JSONDecoder\n",
    f"{LIB}/json/decoder.py": "",
}
NOTHING = Inventory(packages=(), owners={})


def kept(
    files: Files,
    *seeds: str,
    config: ImageConfig | None = None,
    inventory: Inventory = NOTHING,
    python: Files = PYTHON,
) -> dict[str, Level]:
    """Return the level of each file that is reached from the seeds, which are linked."""
    tree = tree_of({**python, **files})
    reader = PythonReader(Ground(tree, config or ImageConfig(document=b"{}")), inventory)
    roots = [Use(path, Level.LINKED, Reason.ENTRYPOINT, "test") for path in seeds]
    levels: dict[str, Level] = {}
    for use in reach(tree, (reader,), roots, reader.group_of):
        levels[use.path] = min(use.level, levels.get(use.path, use.level))
    return levels


def packages(files: Mapping[str, bytes | str]) -> Files:
    """Place files in the directory of installed packages."""
    return {f"{SITE}/{path}": content for path, content in files.items()}


def from_app(text: str, files: Mapping[str, bytes | str]) -> dict[str, Level]:
    """Return the levels of installed files, by their path in the packages directory, that an application reaches."""
    levels = kept({"/app/main.py": text, **packages(files)}, "/app/main.py")
    return {path[len(SITE) + 1 :]: level for path, level in levels.items() if path.startswith(SITE)}
