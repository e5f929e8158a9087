"""What a failed run lacks: removed files, and the sentences that name them, the likeliest cause first."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from mlbloat.model.bytecode import source_of
from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.plain import plain

_ASKED_SHOWN = 10
"""With a rule each: more is no list that anybody reads, and the report has them all."""
_SHOWN = 3
_OUTPUT_BYTES = 16384
"""Of the end of what a run wrote: there it says what it died of."""
_WORD = re.compile(r"[\w+-]+(?:\.[\w+-]+)*")
_PACKAGE = "__init__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """Removed files that a failed run may have failed for, the likeliest first."""

    asked: tuple[str, ...] = ()
    """It named them on the slim image."""
    used: tuple[str, ...] = ()
    """It touches them on the original; here it did not come so far, or found no such name in a directory."""
    listed: tuple[str, ...] = ()
    """On the original it lists the directories that they are in; only when there is nothing better."""

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.asked, *self.used, *self.listed)))

    def by(self, output: Iterable[bytes]) -> "Missed":
        """Put first what the run itself names in what it wrote, then what it also uses where nothing is missing.

        A program looks for many files that it can do without, such as messages in each language that it knows.
        """
        words = _words(output)
        used = frozenset(self.used)

        def unlikely(path: str) -> tuple[bool, bool, bool]:
            name, stem = _names(path)
            return (name not in words, stem not in words, path not in used)

        return replace(
            self,
            asked=tuple(sorted(self.asked, key=unlikely)),
            used=tuple(sorted(self.used, key=unlikely)),
            listed=tuple(sorted(self.listed, key=unlikely)),
        )

    def sentences(self) -> Iterator[str]:
        for path in self.asked[:_ASKED_SHOWN]:
            yield f"it looked for {plain(path)}, which was removed; keep: [{json.dumps(path)}]"
        more = len(self.asked) - _ASKED_SHOWN
        if more > 0:
            yield f"it looked for {more} more {_files(more)} removed; the report lists them, --repair 3 adds them"
        asked = frozenset(self.asked)
        yield from _sample("on the original it uses", tuple(path for path in self.used if path not in asked))
        yield from _sample("on the original it lists the directories of", self.listed)


def missing_files(paths: Iterable[str], original: FileTree, slim: FileTree) -> tuple[str, ...]:
    """Return regular files of the original that a run named and that the slim image has not, in order.

    Byte code whose source is there is none: Python looks for it first, and compiles the source.
    """
    missing: dict[str, None] = {}
    for path in paths:
        entry = original.find(path).entry if path.startswith("/") else None
        if entry is None or entry.kind is not Kind.FILE or entry.path in slim:
            continue
        if not (entry.path.endswith(".pyc") and source_of(entry.path) in slim):
            missing[entry.path] = None
    return tuple(missing)


def _sample(what: str, paths: tuple[str, ...]) -> Iterator[str]:
    if paths:
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        shown = ", ".join(plain(path) for path in paths[:_SHOWN])
        yield f"{what} {len(paths)} {_files(len(paths))} removed: {shown}{more}"


def _files(count: int) -> str:
    return "file that was" if count == 1 else "files that were"


def _words(output: Iterable[bytes]) -> frozenset[str]:
    """Return the names in what a run wrote, dotted ones (of modules) also part by part."""
    text = "\n".join(stream[-_OUTPUT_BYTES:].decode(errors="replace") for stream in output)
    dotted = frozenset(_WORD.findall(text))
    return dotted.union(*(word.split(".") for word in dotted))


def _names(path: str) -> tuple[str, str]:
    """Return what a message calls a file: its name, and what is before the first dot (a module, a library)."""
    name, parent = PurePosixPath(path).name, PurePosixPath(path).parent.name
    stem = name.partition(".")[0] or name
    return (name, parent if stem == _PACKAGE else stem)
