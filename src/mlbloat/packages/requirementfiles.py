"""Requirement files in the image: which distributions somebody asked for by name.

https://pip.pypa.io/en/stable/reference/requirements-file-format/. They count where no installer left a REQUESTED file.
"""

import itertools
import posixpath
import re
from collections.abc import Iterator

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from mlbloat.model.filetree import FileTree, Kind
from mlbloat.packages.database import joined, text_of

MAX_BYTES = 1 << 20
MAX_FILES = 200
_NAME = re.compile(r"(?:[\w.-]*[-_.])?requirements?(?:[-_.][\w.-]*)?\.(?:txt|in)", re.IGNORECASE)
_DIRECTORY = "requirements"
_ELSEWHERE = re.compile(r"/(?:site-packages|dist-packages|pkgs|tests?|examples?|share|node_modules)/")
"""Copies that describe something else than this image."""
_CONTINUED = re.compile(r"\\\r?\n")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_OPTIONS = re.compile(r"\s--?[a-z]")
_EGG = re.compile(r"egg=([A-Za-z0-9._-]+)")
"""Part of a URL's fragment, the name that an archive or a repository is known to have."""
_INCLUDED = re.compile(r"(?:-r|--requirement)[\s=]*(\S.*)")


def names(tree: FileTree) -> frozenset[str]:
    """Return the normalised names that the requirement files of a tree ask for, files that they include among them."""
    waiting = list(itertools.islice(_requirement_files(tree), MAX_FILES))
    seen: set[str] = set()
    found: set[str] = set()
    while waiting and len(seen) < MAX_FILES:
        there = tree.find(waiting.pop())
        if there.path in seen or there.entry is None or there.entry.kind is not Kind.FILE:
            continue
        seen.add(there.path)
        for line in _lines(text_of(tree.read(there.entry, MAX_BYTES))):
            included = _INCLUDED.fullmatch(line)
            if included:
                waiting.append(joined(posixpath.dirname(there.path), included[1].strip()))
            elif name := _name(line):
                found.add(name)
    return frozenset(found)


def _requirement_files(tree: FileTree) -> Iterator[str]:
    for directory in sorted(tree.directories()):
        if _ELSEWHERE.search(f"{directory}/"):
            continue
        anything = posixpath.basename(directory) == _DIRECTORY
        for path in tree.children(directory):
            if path.endswith((".txt", ".in")) and (anything or _NAME.fullmatch(posixpath.basename(path))):
                yield path


def _lines(text: str) -> Iterator[str]:
    for line in _CONTINUED.sub(" ", text).splitlines():
        content = _COMMENT.sub("", line).strip()
        if content:
            yield content


def _name(line: str) -> str | None:
    """Return whom a line asks for; None for an option, a path or URL without a name, and what is not valid."""
    address, _, fragment = line.partition("#")
    named = next(filter(None, map(_EGG.match, fragment.split("&"))), None)
    if named and "://" in address:
        return canonicalize_name(named[1])
    try:
        return canonicalize_name(Requirement(_OPTIONS.split(line, maxsplit=1)[0]).name)
    except (InvalidRequirement, RecursionError):
        return None
