"""Hold two images against each other: nothing but planned deletions may differ."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from types import MappingProxyType
from typing import Any

from msgspec import structs

from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.label import LABELS, RESTORED
from mlbloat.model.plain import plain
from mlbloat.runtime.workers import Workers

MAX_DIFFERENCES = 50
"""More are counted, not listed."""

_CHUNK_BYTES = 1 << 18
_PART_BYTES = 16 << 20
"""Of contents that are compared as one question."""


def compare(
    original: FileTree,
    slim: FileTree,
    original_config: bytes,
    slim_config: bytes,
    plan_removed: Iterable[str],
    *,
    rewritten: Mapping[str, bytes] = MappingProxyType({}),
    labels: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Return a sentence for every difference that was not planned, at most MAX_DIFFERENCES of them.

    Planned are deletions, the new contents of `rewritten` and mlbloat's own labels, which must be these; without
    `labels` they may say anything. The layer that brings everything back has a history line of its own.
    """
    differences = [*_config_differences(original_config, slim_config, labels)]
    differences += _tree_differences(original, slim, frozenset(plan_removed), rewritten)
    return bounded(differences)


def _tree_differences(
    original: FileTree, slim: FileTree, removed: frozenset[str], rewritten: Mapping[str, bytes]
) -> Iterator[str]:
    for path in sorted(original.keys() | slim.keys()):
        before, after = original.get(path), slim.get(path)
        if before is None:
            yield f"{plain(path)} is not in the original"
        elif after is None:
            if path not in removed:
                yield f"{plain(path)} ({before.kind}) is missing"
        elif path in removed:
            yield f"{plain(path)} was to be removed and is still there"
        else:
            if path in rewritten:
                before = structs.replace(before, size_bytes=len(rewritten[path]))
            for what in _entry_differences(before, after):
                yield f"{plain(path)}: {what}"
    yield from _link_differences(original, slim)
    yield from _content_differences(original, slim, rewritten)


def _entry_differences(before: Entry, after: Entry) -> Iterator[str]:
    if before.kind is not after.kind:
        yield f"is a {after.kind}, was a {before.kind}"
        return
    pairs: tuple[tuple[str, object, object], ...] = (
        ("size in bytes", before.size_bytes, after.size_bytes),
        ("mode", f"{before.mode:04o}", f"{after.mode:04o}"),
        ("owner", f"{before.uid}:{before.gid}", f"{after.uid}:{after.gid}"),
        ("modification time", before.mtime, after.mtime),
        ("link target", plain(before.target), plain(after.target)),
        ("device number", before.device, after.device),
        ("extended attributes", before.xattrs, after.xattrs),
    )
    for name, was, now in pairs:
        if was != now:
            yield f"{name} is {now}, was {was}"


def _link_differences(original: FileTree, slim: FileTree) -> Iterator[str]:
    """Names of one file in the original must be names of one file in the slim image, or st_nlink is a lie."""
    before, after = _names(original), _names(slim)
    for path in (entry.path for entry in slim.files()):
        was = tuple(name for name in before.get(path, (path,)) if name in slim)
        if was != after[path] and path == after[path][0]:
            now = ", ".join(map(plain, after[path]))
            yield f"{plain(path)}: names of this file are {now}; were {', '.join(map(plain, was))}"


def _names(tree: FileTree) -> Mapping[str, tuple[str, ...]]:
    names: dict[tuple[int, int], list[str]] = defaultdict(list)
    for entry in tree.files():
        names[entry.inode].append(entry.path)
    return {path: tuple(group) for group in names.values() for path in group}


def _content_differences(original: FileTree, slim: FileTree, rewritten: Mapping[str, bytes]) -> Iterator[str]:
    """Compare the content of every file once, in the order in which the slim image's layers hold it."""
    seen: set[tuple[tuple[int, int], tuple[int, int]]] = set()
    pairs = []
    for after in sorted(slim.files(), key=lambda entry: (entry.inode, entry.path)):
        before = original.get(after.path)
        if after.path in rewritten:
            if after.size_bytes == len(rewritten[after.path]) and slim.read(after) != rewritten[after.path]:
                yield f"{plain(after.path)}: content is not what was planned"
            continue
        if before is None or before.kind is not Kind.FILE or before.size_bytes != after.size_bytes:
            continue  # said already
        if (before.inode, after.inode) in seen:
            continue
        seen.add((before.inode, after.inode))
        pairs.append((before, after))
    for path in _differing(original, slim, pairs):
        yield f"{plain(path)}: content differs"


def _differing(original: FileTree, slim: FileTree, pairs: Sequence[tuple[Entry, Entry]]) -> Iterator[str]:
    """Yield the paths of which the contents differ; copies of this process compare on the other cores."""

    def differing(part: slice) -> list[str]:
        return [after.path for before, after in pairs[part] if not _same_content(original, before, slim, after)]

    parts = _parts([after.size_bytes for _, after in pairs])
    workers: Workers[tuple[int, int], list[str]] = Workers(lambda part: differing(slice(*part)))
    try:
        workers.ask(parts)
        for part, _ in parts:
            paths = workers.take(part)
            yield from differing(slice(*part)) if paths is None else paths
    finally:
        workers.close()


def _parts(sizes: Sequence[int]) -> list[tuple[tuple[int, int], int]]:
    """Cut a list into parts that take about as long as each other; yield where each begins and ends, and its bytes."""
    parts, begin, weight = [], 0, 0
    for number, size_bytes in enumerate(sizes, start=1):
        weight += size_bytes
        if weight >= _PART_BYTES or number == len(sizes):
            parts.append(((begin, number), weight))
            begin, weight = number, 0
    return parts


def _same_content(original: FileTree, before: Entry, slim: FileTree, after: Entry) -> bool:
    # One byte more than there is: one look at a small file tells that it ends, too.
    count = min(_CHUNK_BYTES, before.size_bytes + 1)
    with original.open(before) as left, slim.open(after) as right:
        while True:
            was, now = left.read(count), right.read(count)
            if was != now:
                return False
            if len(was) < count:
                return True


def _config_differences(original: bytes, slim: bytes, labels: Mapping[str, str] | None) -> Iterator[str]:
    before, after = json.loads(original), json.loads(slim)
    yield from _label_differences(before, after, labels)
    for document in (before, after):
        _without_own_labels(document)
    yield from _history_differences(before, after)
    for document in (before, after):
        document.pop("history", None)
        document["rootfs"] = {**(document.get("rootfs") or {}), "diff_ids": None}
    yield from _field_differences("", before, after)


def _label_differences(
    before: Mapping[str, Any], after: Mapping[str, Any], labels: Mapping[str, str] | None
) -> Iterator[str]:
    if labels is None:
        return
    was, now = ((document.get("config") or {}).get("Labels") or {} for document in (before, after))
    planned = {**was, **labels}
    for name in LABELS:
        if now.get(name) != planned.get(name):
            yield f"label {name} is {now.get(name)!r}, planned was {planned.get(name)!r}"


def _without_own_labels(document: dict[str, Any]) -> None:
    """Take away the labels that a slim image has; where that leaves none, there were none."""
    config = dict(document.get("config") or {})
    labels = {name: value for name, value in (config.pop("Labels", None) or {}).items() if name not in LABELS}
    document["config"] = {**config, "Labels": labels} if labels else config


def _field_differences(prefix: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*before, *after)):
        field = f"{prefix}{name}"
        if name not in after:
            yield f"configuration field {plain(field)} is missing"
        elif name not in before:
            yield f"configuration field {plain(field)} is not in the original"
        elif isinstance(before[name], dict) and isinstance(after[name], dict):
            yield from _field_differences(f"{field}.", before[name], after[name])
        elif before[name] != after[name]:
            yield f"configuration field {plain(field)} is {after[name]!r}, was {before[name]!r}"


def _history_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """A history line may only become one without a layer, as many times as there are layers less.

    One line and one layer more may come last: those that bring everything back.
    """
    lines_before: list[dict[str, Any]] = before.get("history") or []
    lines_after: list[dict[str, Any]] = after.get("history") or []
    restored = len(lines_after) > len(lines_before) and lines_after[-1] == {"created_by": RESTORED}
    lines_after = lines_after[:-1] if restored else lines_after
    emptied = 0
    pairs: Iterable[tuple[dict[str, Any], dict[str, Any]]] = zip_longest(lines_before, lines_after, fillvalue={})
    for number, (was, now) in enumerate(pairs):
        rest_was = {name: value for name, value in was.items() if name != "empty_layer"}
        rest_now = {name: value for name, value in now.items() if name != "empty_layer"}
        if rest_was != rest_now or (was.get("empty_layer") and not now.get("empty_layer")):
            yield f"configuration field history[{number}] is {now!r}, was {was!r}"
        emptied += bool(now.get("empty_layer")) - bool(was.get("empty_layer"))
    layers, layers_left = (len((document.get("rootfs") or {}).get("diff_ids") or ()) for document in (before, after))
    layers_left -= restored
    told = layers == sum(not line.get("empty_layer") for line in lines_before)
    if told and layers - layers_left != emptied:
        yield f"history has {emptied} layers less, the image {layers - layers_left}"


def bounded(differences: Iterable[str]) -> tuple[str, ...]:
    listed = iter(differences)
    first = tuple(islice(listed, MAX_DIFFERENCES))
    more = sum(1 for _ in listed)
    return (*first, f"and {more} more") if more else first
