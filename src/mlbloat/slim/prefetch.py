"""The files that a workload touches, in order of first use, for lazy-pulling snapshotters: a gain without deleting.

eStargz (`ctr-remote image optimize --prefetch-list`) and nydus (`nydusify optimize --prefetch-files`) read one path a
line, SOCI (`soci create --prefetch-files-json`) an array of paths.
https://github.com/containerd/stargz-snapshotter/blob/main/docs/ctr-remote.md
https://github.com/awslabs/soci-snapshotter/blob/main/docs/prefetch.md
"""

import json
from collections.abc import Iterable

from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.use import RunRecord


def prefetch_paths(records: Iterable[RunRecord], tree: FileTree) -> tuple[str, ...]:
    """Return the regular files that runs named, in order of first use, under their canonical paths."""
    found: dict[str, None] = {}
    for record in records:
        for access in record.accesses:
            entry = tree.find(access.path).entry if access.path.startswith("/") else None
            if entry is not None and entry.kind is Kind.FILE:
                found[entry.path] = None
    return tuple(found)


def prefetch_list(paths: Iterable[str], *, as_json: bool) -> str:
    """Write the list; a path with a line end cannot stand on a line and is left out there."""
    if as_json:
        return json.dumps([path.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for path in paths]) + "\n"
    return "".join(f"{path}\n" for path in paths if "\n" not in path and "\r" not in path)
