"""Files that describe a package: documentation, licences, databases. Reading one is no use of the package."""

import re
from collections.abc import Iterable
from functools import lru_cache

_DIRECTORY = re.compile(
    r"/share/(?:doc|man|info|licenses|doc-base|gtk-doc|lintian|bug|reportbug)/"
    r"|/man/man[0-9a-z]+/"
    r"|/[^/]+\.(?:dist|egg)-info/|\.egg/EGG-INFO/"
    r"|/conda-meta/"
    r"|^/var/lib/dpkg/"
)
_RECORD = (".dist-info", ".egg-info")
_LICENCE = re.compile(
    r"(?:LICEN[CS]ES?|COPYING|COPYRIGHT|NOTICES?|AUTHORS)(?:[-_.].*)?"
    r"|(?:[Ll]icen[cs]e|[Cc]opying|[Cc]opyright)(?:\.(?:txt|md|rst|html))?",
    re.DOTALL,
)
_INITIALS = ("L", "C", "N", "A", "l", "c")
_CODE = (".py", ".pyc", ".pyi", ".so")


def describing(paths: Iterable[str]) -> frozenset[str]:
    """Return those of the paths that describe a package."""
    return frozenset(path for path in paths if _describes(path))


def _describes(path: str) -> bool:
    directory, _, name = path.rpartition("/")
    if _is_describing(directory) or name.endswith(_RECORD):
        return True
    return name.startswith(_INITIALS) and _LICENCE.fullmatch(name) is not None and not name.endswith(_CODE)


@lru_cache(maxsize=1 << 14)
def _is_describing(directory: str) -> bool:
    return _DIRECTORY.search(f"{directory}/") is not None
