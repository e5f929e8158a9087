"""Content that a later layer deletes or overwrites: it is still in the image, and is pulled with it."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mlbloat.findings.scene import MAX_PATHS, Rule, Scene
from mlbloat.model.filetree import Entry, Kind
from mlbloat.model.image import Image
from mlbloat.model.report import Finding

MAX_STEP = 60
"""Characters shown of a layer's history line in a title."""


def _shadowed(rule: Rule, scene: Scene) -> Iterator[Finding]:
    pairs: dict[tuple[int, int], list[Entry]] = {}
    layers = scene.image.layers
    cover = [_Cover.of(layer.entries) for layer in layers]
    for number, layer in enumerate(layers):
        for entry in layer.entries:
            if entry.kind is Kind.FILE and entry.size_bytes and (number, entry.member) not in scene.names:
                above = (upper for upper in range(number + 1, len(layers)) if cover[upper].hides(entry.path))
                pairs.setdefault((number, next(above, number)), []).append(entry)
    for (lower, upper), entries in sorted(pairs.items()):
        largest = sorted(entries, key=lambda entry: (-entry.size_bytes, entry.path))
        yield Finding(
            rule=rule.name,
            severity=rule.severity,
            title=f"Content of {_layer(scene.image, lower)} that {_layer(scene.image, upper)} deletes or overwrites",
            bytes=sum(entry.size_bytes for entry in entries),
            paths=tuple(dict.fromkeys(entry.path for entry in largest))[:MAX_PATHS],
            advice=_joined(layers[lower].created_by, layers[upper].created_by),
        )


def _layer(image: Image, number: int) -> str:
    """Name a layer as the report counts them, with the step that made it where the history says so."""
    step = _step(image.layers[number].created_by)
    return f"layer {number} ({step[:MAX_STEP]}{'…' if len(step) > MAX_STEP else ''})" if step else f"layer {number}"


@dataclass(frozen=True, slots=True)
class _Cover:
    """What a layer hides of the layers below it.

    https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md#applying-changesets
    """

    exact: frozenset[str]
    below: frozenset[str]
    """Everything under these paths is hidden: deleted, opaque, or no directory any more."""

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "_Cover":
        entries = tuple(entries)
        return cls(
            frozenset(entry.path for entry in entries if entry.kind is not Kind.OPAQUE),
            frozenset(entry.path for entry in entries if entry.kind is not Kind.DIRECTORY),
        )

    def hides(self, path: str) -> bool:
        return path in self.exact or any(above in self.below for above in _above(path))


def _above(path: str) -> Iterator[str]:
    while path != "/":
        path = posixpath.dirname(path)
        yield path


_SHELL = re.compile(r"^(?:RUN )?(?:\|\d+ .*?)?/bin/(?:ba)?sh (?:-o [a-z]+ |-[a-z]+ )*?-[a-z]*c ")
_COPY = re.compile(r"(?:COPY|ADD) .*?(\S+)")
_ATTRIBUTES = re.compile(r"\b(?:chown|chmod|chgrp)\b")


def _joined(lower: str, upper: str) -> str:
    """Return a step that leaves the bytes out of every layer."""
    first, second = _step(lower), _step(upper)
    copied = _COPY.fullmatch(first)
    if copied and _ATTRIBUTES.search(second):
        return f"COPY --chown=OWNER --chmod=MODE SOURCE {copied[1]}"
    if copied:
        return f"RUN --mount=type=bind,source=SOURCE,target={copied[1]} INSTALL"
    if first and second and not _COPY.fullmatch(second):
        return f"RUN {first}" if first == second else f"RUN {first} && {second}"
    return "COPY --from=FULL_IMAGE / /"


def _step(created_by: str) -> str:
    """Return the instruction or command of a history line, without what the builder wrote around it."""
    text = " ".join(created_by.split()).removesuffix(" # buildkit")
    text = _SHELL.sub("", text, count=1).removeprefix("#(nop) ").removeprefix("RUN ").strip()
    return text if text.isprintable() else ""


RULES = (
    Rule(
        name="shadowed-bytes",
        severity="warning",
        finds="content of a lower layer that a later layer deletes or overwrites; one finding for each pair of layers",
        example="COPY wheels /tmp/wheels, and later RUN rm -rf /tmp/wheels",
        remedy="RUN --mount=type=bind,source=SOURCE,target=/tmp/wheels INSTALL",
        find=_shadowed,
    ),
)
