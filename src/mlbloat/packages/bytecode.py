"""Byte code belongs to the package of its module, whether or not a database lists it.

dpkg and most wheels do not list `.pyc` files: they are compiled after unpacking (https://peps.python.org/pep-3147/).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from mlbloat.model.bytecode import source_of
from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.package import Package


def adopt(tree: FileTree, packages: Iterable[Package]) -> Iterator[Package]:
    """Yield the packages with the byte code of their modules among their files."""
    compiled = _compiled(tree)
    for package in packages:
        extra = [path for source in package.files if source in compiled for path in compiled[source]]
        yield replace(package, files=tuple(sorted({*package.files, *extra}))) if extra else package


def _compiled(tree: FileTree) -> dict[str, list[str]]:
    """Return the byte-code files of each module, by the module's path."""
    compiled: dict[str, list[str]] = {}
    for entry in tree.files():
        if entry.path.endswith(".pyc"):
            source = source_of(entry.path)
            # Where the module is a symbolic link, the byte code is beside the link, and its owner has the target.
            module = tree.entries.get(source)
            canonical = source if module is not None and module.kind is Kind.FILE else tree.find(source).path
            compiled.setdefault(canonical, []).append(entry.path)
    return compiled
