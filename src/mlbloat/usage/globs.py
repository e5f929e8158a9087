"""Path patterns: those of `keep:` and `drop:` rules, and those of configuration files and conventions.

Rules read like gitignore(5): `*` and `?` stay inside one component, `**` crosses them, a rule that names a directory
holds what is below it, and a rule without a slash matches at any depth.
"""

import fnmatch
import posixpath
import re
from collections.abc import Iterator

from mlbloat.model.filetree import FileTree, Kind

_MAGIC = frozenset("*?[")


def is_glob(text: str) -> bool:
    return not _MAGIC.isdisjoint(text)


def compile_rule(tree: FileTree, rule: str) -> re.Pattern[str]:
    """Compile a rule to an expression for whole canonical paths.

    Symbolic links in the part before the first wildcard are resolved, so `/lib/*` means what the kernel would see.
    """
    pattern = rule.rstrip("/") or "/"
    if "/" not in pattern:
        pattern = f"/**/{pattern}"
    pattern = _canonical(tree, pattern if pattern.startswith("/") else f"/{pattern}")
    body = "".join(_component(part) for part in pattern.strip("/").split("/")) if pattern != "/" else ""
    return re.compile(rf"{body}(?:/.*)?", re.DOTALL)


def _canonical(tree: FileTree, pattern: str) -> str:
    parts = pattern.strip("/").split("/")
    fixed = next((number for number, part in enumerate(parts) if is_glob(part)), len(parts))
    return posixpath.join(tree.find("/" + "/".join(parts[:fixed])).path, *parts[fixed:])


def _component(part: str) -> str:
    if part == "**":
        return r"(?:/[^/]+)*"
    translated = ""
    for piece in re.findall(r"\[!?\]?[^\]]*\]|\*+|.", part, re.DOTALL):
        if piece[0] == "*":
            translated += "[^/]*"
        elif piece == "?":
            translated += "[^/]"
        elif len(piece) > 1:
            translated += _set(piece[1:-1])
        else:
            translated += re.escape(piece)
    return "/" + translated


def _set(members: str) -> str:
    negated = members.startswith("!")
    escaped = re.sub(r"([\\\[\]^&~|])", r"\\\1", members[1:] if negated else members)
    escaped = escaped.replace("--", r"-\-")  # two would announce a set difference, which re may get one day
    try:
        re.compile(f"[{escaped}]")
    except re.error:  # a reversed range, as [z-a]: nothing is in it
        return r"(?!)"
    return f"[^/{escaped}]" if negated else f"(?!/)[{escaped}]"


def expand(tree: FileTree, pattern: str) -> Iterator[str]:
    """Yield the paths of files and links that an absolute shell pattern names, in order; `**` means any depth below."""
    yield from _expand(tree, "/", [part for part in pattern.split("/") if part])


def _expand(tree: FileTree, base: str, parts: list[str]) -> Iterator[str]:
    if not parts:
        entry = tree.get(base)
        if entry is not None and entry.kind in {Kind.FILE, Kind.SYMLINK}:
            yield base
        return
    first, rest = parts[0], parts[1:]
    directory = tree.find(base).path
    if first == "**":
        yield from (entry.path for entry in tree.below(directory) if entry.kind in {Kind.FILE, Kind.SYMLINK})
    elif first in {".", ".."}:
        yield from _expand(tree, posixpath.normpath(posixpath.join(directory, first)), rest)
    elif not is_glob(first):
        yield from _expand(tree, posixpath.join(directory, first), rest)
    else:
        for child in tree.children(directory):
            if fnmatch.fnmatchcase(posixpath.basename(child), first):
                yield from _expand(tree, child, rest)
