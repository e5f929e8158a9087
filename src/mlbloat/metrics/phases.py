"""When a service first touched its files: what it needs to start, and what only answering took."""

from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.use import RunRecord


def files_by_phase(record: RunRecord, tree: FileTree) -> dict[str, int]:
    """Return how many regular files a run named first in each phase; nothing for a run of one phase."""
    if len(record.phases) < 2:
        return {}
    ends = [first for _, first in record.phases[1:]] + [len(record.accesses)]
    seen: set[tuple[int, int]] = set()
    counted = {}
    for (phase, first), end in zip(record.phases, ends, strict=True):
        before = len(seen)
        for access in record.accesses[first:end]:
            entry = tree.find(access.path).entry
            if entry is not None and entry.kind is Kind.FILE:
                seen.add(entry.inode)
        counted[phase.value] = len(seen) - before
    return counted
