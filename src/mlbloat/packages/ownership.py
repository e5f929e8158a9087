"""Who owns a file that several packages claim.

Order of authority, the first one's sums get the bytes:

1. conda, 2. apt: their databases list what they unpacked, and they ship the dist-info of the Python packages in them.
   A prefix of conda and the files of dpkg do not overlap in practice; conda goes first because its prefix is explicit.
3. pip: where another manager ships the dist-info, RECORD is a file of that manager's package (Debian's python3-foo).

An exception follows from the reason: when nobody ships a distribution's record, pip wrote it last, over files that the
other manager unpacked earlier (`pip install --upgrade` in a conda environment), so the content is pip's.
"""

from collections.abc import Iterable

from mlbloat.model.package import Manager, Package

_AUTHORITY = {Manager.CONDA: 1, Manager.APT: 2, Manager.PIP: 3}
_OVERWROTE = 0


def owners(packages: Iterable[Package]) -> dict[str, tuple[Package, ...]]:
    """Return the owners of every owned path, highest authority first; ties are broken by name and location."""
    packages = tuple(packages)
    shipped = {path for package in packages if package.manager is not Manager.PIP for path in package.files}
    ranked = sorted(packages, key=lambda package: (_rank(package, shipped), package.name, package.location))
    claims: dict[str, list[Package]] = {}
    for package in ranked:
        for path in package.files:
            claims.setdefault(path, []).append(package)
    return {path: tuple(claims[path]) for path in sorted(claims)}


def _rank(package: Package, shipped: set[str]) -> int:
    if package.manager is Manager.PIP and not shipped.intersection(package.database):
        return _OVERWROTE
    return _AUTHORITY[package.manager]
