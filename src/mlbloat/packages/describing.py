"""Files that describe a package: documentation, licences, databases. Reading one is no use of the package."""

import posixpath
import re
from collections.abc import Iterable

_DIRECTORY = re.compile(
    r"/share/(?:doc|man|info|licenses|doc-base|gtk-doc|lintian|bug|reportbug)/"
    r"|/man/man[0-9a-z]+/"
    r"|/[^/]+\.(?:dist|egg)-info(?:/|$)"
    r"|/conda-meta/"
    r"|^/var/lib/dpkg/"
)
_LICENCE = re.compile(
    r"(?:LICEN[CS]ES?|COPYING|COPYRIGHT|NOTICES?|AUTHORS)(?:[-_.].*)?"
    r"|(?:[Ll]icen[cs]e|[Cc]opying|[Cc]opyright)(?:\.(?:txt|md|rst|html))?",
    re.DOTALL,
)
_CODE = (".py", ".pyc", ".pyi", ".so")


def describing(paths: Iterable[str]) -> frozenset[str]:
    """Return those of the paths that describe a package."""
    return frozenset(path for path in paths if _describes(path))


def _describes(path: str) -> bool:
    if _DIRECTORY.search(path):
        return True
    name = posixpath.basename(path)
    return _LICENCE.fullmatch(name) is not None and not name.endswith(_CODE)
