"""Who owns a file that several packages claim, and content that has several names.

Order of authority, the first one's sums get the bytes:

1. conda, 2. apt, apk, rpm: their databases list what they unpacked, and they ship the dist-info of the Python packages
   in them. A prefix of conda and the files of the system do not overlap in practice; conda goes first because its
   prefix is explicit.
3. pip: where another manager ships the dist-info, RECORD is a file of that manager's package (Debian's python3-foo).
4. npm: the packages that others ship in a `node_modules` of theirs.

An exception follows from the reason: when nobody ships a distribution's record, pip wrote it last, over files that the
other manager unpacked earlier (`pip install --upgrade` in a conda environment), so the content is pip's. It holds
within the prefix that pip installs into; a RECORD that claims more is not believed.
"""

import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator

from mlbloat.model.filetree import FileTree
from mlbloat.model.package import Manager, Package

_AUTHORITY = {
    Manager.CONDA: 1,
    Manager.APT: 2,
    Manager.APK: 2,
    Manager.RPM: 2,
    Manager.PIP: 3,
    Manager.NPM: 4,
}
_OVERWROTE = 0
_SITES = ("site-packages", "dist-packages")


Claims = tuple[tuple[Package, tuple[str, ...]], ...]
"""Who claims which paths, highest authority first."""


def claims(packages: Iterable[Package]) -> Claims:
    """Put in order what packages claim; ties are broken by manager, name and location."""
    packages = tuple(packages)
    shipped = {path for package in packages if package.manager is not Manager.PIP for path in package.files}
    ranked = [(rank, package, paths) for package in packages for rank, paths in _claims(package, shipped)]
    ranked.sort(key=lambda claim: (claim[0], claim[1].manager, claim[1].name, claim[1].location))
    return tuple((package, paths) for _, package, paths in ranked)


def owners(ranked: Claims) -> dict[str, tuple[Package, ...]]:
    """Return the owners of every owned path, highest authority first."""
    found: dict[str, tuple[Package, ...]] = {}
    for package, paths in ranked:
        alone = (package,)
        for path in paths:
            known = found.setdefault(path, alone)
            if known is not alone:
                found[path] = (*known, package)
    return dict(sorted(found.items()))


def counted_as(tree: FileTree, ranked: Claims) -> dict[tuple[int, int], str]:
    """Return, of each hard-linked content that has an owner, the name that the highest authority claims."""
    names = Counter(entry.inode for entry in tree.files())
    linked = {entry.path: entry.inode for entry in tree.files() if names[entry.inode] > 1}
    found: dict[tuple[int, int], str] = {}
    for _, paths in ranked if linked else ():
        for path in paths:
            if path in linked:
                found.setdefault(linked[path], path)
    return found


def _claims(package: Package, shipped: set[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    if package.manager is not Manager.PIP or shipped.intersection(package.database):
        yield _AUTHORITY[package.manager], package.files
        return
    inside = prefix(package.location).rstrip("/") + "/"
    yield _OVERWROTE, tuple(path for path in package.files if path.startswith(inside))
    yield _AUTHORITY[Manager.PIP], tuple(path for path in package.files if not path.startswith(inside))


def prefix(location: str) -> str:
    """Return what an installer of Python packages may write into: `/usr/local` for `/usr/local/lib/python3.11/…`."""
    if posixpath.basename(location) not in _SITES:
        return location
    return posixpath.dirname(posixpath.dirname(posixpath.dirname(location)))
