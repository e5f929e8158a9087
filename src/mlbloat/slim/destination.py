"""Where a slim image goes: `SCHEME:NAME`, checked before any work is done."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mlbloat.errors import PublishError, UsageError
from mlbloat.slim import engine, podman, registry
from mlbloat.slim.compress import GZIP, Method

SCHEMES = ("docker", "podman", "registry", "docker-archive", "oci-archive", "oci-dir")
_LATER = ("containerd", "dir", "oci")
_PLACES = ("", "docker", "podman", "registry")
"""Where an image has a name, not a file; the empty one is not known yet."""
_ENGINES = ("docker", "podman", "containerd")
_SOURCES = ("registry", "docker-archive", "oci-archive", "oci-dir", "dir")
_WORKS = (
    "use docker:NAME:TAG, podman:NAME:TAG, registry:HOST/NAME:TAG, docker-archive:FILE[:NAME:TAG], "
    "oci-archive:FILE[:TAG] or oci-dir:DIRECTORY"
)

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:(?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+(?::[0-9]+)?/)?"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_NAME = re.compile(rf"(?P<name>{_HOST}{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>{_TAG}))?")
"""https://github.com/distribution/reference/blob/v0.6.0/reference.go, without digests: a tag is what can be set."""
_OCI_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@+-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    scheme: str
    path: Path | None
    """The file or directory; None for an engine or a registry."""
    tag: str
    """NAME:TAG for engines, registries, docker-archive; the reference name in an OCI layout; may be empty for files."""

    def __str__(self) -> str:
        place = "" if self.path is None else str(self.path)
        return self.scheme + ":" + ":".join(part for part in (place, self.tag) if part)


def parse_destination(text: str, *, source: str = "") -> Destination:
    """Read a destination; a bare tag means the engine that `source`, the original's reference, came from.

    When that is a bare name too, the scheme stays empty: read the destination again when it is known who has the image.
    Raise UsageError for what is not one, or not possible yet. Writes nothing.
    """
    scheme, colon, rest = text.partition(":")
    if not colon or scheme not in (*SCHEMES, *_LATER):
        scheme, rest = _bare(text, source), text
    if scheme in _LATER:
        raise UsageError(f"cannot write to {text!r}: {scheme}: is not possible yet; {_WORKS}")
    rest = rest.removeprefix("//")
    if scheme in _PLACES:
        return Destination(scheme=scheme, path=None, tag=_image_name(rest, text))
    file, _, tag = (rest, "", "") if scheme == "oci-dir" else rest.partition(":")
    if not file or "\0" in file:
        raise UsageError(f"cannot write to {text!r}: no file is named; write {scheme}:PATH")
    if scheme == "docker-archive" and tag:
        tag = _image_name(tag, text)
    elif tag and not _OCI_REFERENCE.fullmatch(tag):
        raise UsageError(f"cannot write to {text!r}: {tag!r} is not a tag; use letters, digits, dots and dashes")
    return Destination(scheme=scheme, path=Path(file), tag=tag)


def check_destination(destination: Destination, *, source: str = "") -> None:
    """Raise PublishError when it is plain already that nothing can be written there.

    `source` is the original's reference: a slim image never replaces the file that it was made from.
    """
    if destination.scheme == "registry":
        registry.check(destination.tag)
    if destination.scheme in ("", "registry"):
        return
    if destination.path is None:
        (podman if destination.scheme == "podman" else engine).check(destination.tag)
        return
    path, parent = destination.path, destination.path.absolute().parent
    problem = ""
    if path.exists() and any(path.samefile(file) for file in _files_of(source)):
        problem = "it is the image that is being read; give the slim image another name"
    elif not parent.is_dir():
        problem = f"there is no directory {parent}; make it"
    elif not os.access(parent, os.W_OK | os.X_OK):
        problem = f"directory {parent} is not writable; choose another or change its permissions"
    elif destination.scheme == "oci-dir" and os.path.lexists(path) and not _is_empty(path):
        problem = "it exists already; remove it or choose another name"
    elif destination.scheme != "oci-dir" and path.is_dir():
        problem = "it is a directory; name a file in it"
    elif destination.scheme != "oci-dir" and path.exists() and not path.is_file():
        problem = "it is no regular file, and would be replaced by one; name a file"
    problem = problem or _refusal(path)
    if problem:
        raise PublishError(f"cannot write to {destination}: {problem}")


def _refusal(path: Path) -> str:
    """Try what writing begins with: the mode of a directory such as /proc promises more than it keeps."""
    probe = path.absolute().with_name(f".{path.name}.{os.getpid()}.part")
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        return f"{error.strerror}; choose another place"
    return ""


def check_destinations(destinations: Iterable[Destination], *, source: str) -> None:
    """Raise when nothing can be written to one of them, or one would replace another."""
    destinations = tuple(destinations)
    check_apart(destinations)
    for destination in destinations:
        check_destination(destination, source=source)


def check_apart(destinations: Iterable[Destination]) -> None:
    """Raise UsageError when two images would go to one place, where the second would replace the first."""
    taken: set[tuple[str, str]] = set()
    for destination in destinations:
        place = destination.tag if destination.path is None else os.path.realpath(destination.path)
        if (key := (destination.scheme if destination.path is None else "", place)) in taken:
            raise UsageError(f"cannot write to {destination}: this command writes another image there; name two places")
        taken.add(key)


def usual_method(destinations: Iterable[Destination]) -> Method | None:
    """Return how to compress when the user does not say: as layers were, but docker before 23 reads no zstd."""
    return GZIP if any(destination.scheme in ("docker", "docker-archive") for destination in destinations) else None


def settled(destination: Destination, source: str) -> Destination:
    """Return where a bare tag goes, now that `source` says which engine the original came from."""
    if destination.scheme:
        return destination
    place = parse_destination(destination.tag, source=source)
    check_destination(place)
    return place


def _files_of(reference: str) -> list[Path]:
    """Files that a reference may mean, with and without a scheme and a tag."""
    place = reference.partition(":")[2].removeprefix("//")
    return [file for file in map(Path, (reference, place, place.rpartition(":")[0])) if os.path.lexists(file)]


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and os.access(path, os.R_OK) and not any(path.iterdir())


def _bare(text: str, source: str) -> str:
    if text.startswith((".", "/", "~")) or text.endswith((".tar", ".oci")):
        raise UsageError(f"cannot write to {text!r}: the format is missing; write oci-archive:{text} for a file")
    if not _NAME.fullmatch(text):
        raise UsageError(f"cannot write to {text!r}: not a destination; {_WORKS}")
    scheme = _engine_of(source)
    if scheme is None:
        raise UsageError(f"cannot write to {text!r}: the image came from no engine that could hold a tag; {_WORKS}")
    return scheme


def _engine_of(source: str) -> str | None:
    """Return the engine that a reference is looked up in; empty for a bare name, which several may have."""
    scheme, colon, _ = source.partition(":")
    if colon and scheme in _ENGINES:
        return scheme
    is_file = (colon and scheme in _SOURCES) or os.path.lexists(source)
    return "" if _NAME.fullmatch(source) and not is_file else None


def _image_name(name: str, text: str) -> str:
    match = _NAME.fullmatch(name)
    if match is None:
        raise UsageError(f"cannot write to {text!r}: {name!r} is not an image name; write name:tag in lower case")
    return f"{match['name']}:{match['tag'] or 'latest'}"
