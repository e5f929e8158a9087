"""References to what is said to be, and what a path that exists turns out to be."""

import re
from pathlib import Path

from mlbloat.errors import ImageNotFoundError, UsageError

_SCHEME = re.compile(r"([a-z][a-z0-9-]*):(?://)?(.*)", re.DOTALL)
_FILE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".json")
"""Of archives, and of saved reports, which some commands take as well."""


def split_scheme(reference: str, schemes: tuple[str, ...]) -> tuple[str, str]:
    """Return the scheme and what follows; the scheme is empty when the reference has none."""
    match = _SCHEME.fullmatch(reference)
    scheme, rest = match.groups() if match else ("", reference)
    if scheme not in schemes:
        scheme, rest = "", reference
    if not rest:
        raise UsageError(f"cannot read {reference!r}: it names no image; write scheme:name, such as docker:python:3.12")
    return scheme, rest


def existing(rest: str, reference: str) -> tuple[Path, str]:
    """Split `path[:tag]` or `path[@digest]` at the longest path that exists."""
    if Path(rest).exists():
        return Path(rest), ""
    for match in reversed(list(re.finditer("[:@]", rest))):
        path, choice = rest[: match.start()], rest[match.end() :]
        if path and choice and Path(path).exists():
            return Path(path), choice
    raise ImageNotFoundError(f"cannot read {reference}: no such file or directory; check the path")


def is_path(reference: str) -> bool:
    """Tell whether a reference without a scheme names a file, there or not, rather than an image of an engine."""
    if Path(reference).exists() or reference.startswith(("/", "./", "../")) or reference in (".", ".."):
        return True
    path, _, _ = reference.partition(":")
    return path.endswith(_FILE_SUFFIXES)
