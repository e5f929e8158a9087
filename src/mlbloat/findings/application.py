"""Large data among the application's own files: kept because nobody knows what the application opens."""

import posixpath
import shlex
from collections.abc import Iterable, Iterator

from mlbloat.findings.scene import Groups, Rule, Scene, largest
from mlbloat.model.filetree import Entry
from mlbloat.model.mark import Mark
from mlbloat.model.report import Finding
from mlbloat.model.use import Level, Reason

LARGE_BYTES = 10_000_000
"""Of one file or directory; sources, settings and small models stay below."""


def _data(rule: Rule, scene: Scene) -> Iterator[Finding]:
    """Group what only the application's directory keeps by its first part below there.

    Without a run nothing says what the application opens, so nothing is found.
    """
    if not any(mark.level is Level.TRACED for mark in scene.marks):
        return
    found: dict[str, Groups] = {}
    for mark in scene.marks:
        place = _only_place(mark)
        if place:
            below = mark.path[len(place.rstrip("/")) + 1 :]
            group = posixpath.join(place, below.partition("/")[0])
            found.setdefault(place, {}).setdefault(group, []).append(scene.tree[mark.path])
    for place, groups in sorted(found.items()):
        large = {path: entries for path, entries in groups.items() if _size(entries) >= LARGE_BYTES}
        if large:
            title = f"Large data of the application in {place} that no run touched and safe keeps"
            yield rule.finding(scene, title, large, _without(scene, place, large))


def _only_place(mark: Mark) -> str:
    """Return the directory of the application that a file is kept for; empty where there is another reason."""
    kept = [use for use in mark.uses if use.level <= Level.SAFE]
    if any(use.reason is not Reason.APPLICATION for use in kept):
        return ""
    # Another name of the same file may be of the application, and this one not.
    return min((use.by for use in kept if mark.path.startswith(f"{use.by.rstrip('/')}/")), default="")


def _size(entries: Iterable[Entry]) -> int:
    return sum({entry.inode: entry.size_bytes for entry in entries}.values())


def _without(scene: Scene, place: str, groups: Groups) -> str:
    names = (path[len(place.rstrip("/")) + 1 :] for path in largest(scene, groups) if path.isprintable())
    return " ".join(["COPY", *(shlex.quote(f"--exclude={name}") for name in names), "SOURCE", shlex.quote(place)])


RULES = (
    Rule(
        name="large-application-data",
        severity="note",
        finds="files and directories of at least 10 MB among the application's own that no run touched and nothing "
        "names: `safe` keeps them, a `drop` rule takes them out",
        example="COPY . /app",
        remedy="COPY --exclude=DATA SOURCE DESTINATION",
        find=_data,
    ),
)
