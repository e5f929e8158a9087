"""What code for GPUs a file has, as sentences."""

from mlbloat.cache import Cache
from mlbloat.gpu.census import code_of
from mlbloat.model.devicecode import by_name
from mlbloat.model.filetree import FileTree, Kind

_SHOWN = 8


def explain(path: str, tree: FileTree, cache: Cache) -> tuple[str, ...]:
    """One sentence for a file that has any."""
    entry = tree.find(path).entry
    if entry is None or entry.kind is not Kind.FILE:
        return ()
    code = code_of(tree, entry, cache)
    if not code.choices:
        return ()
    parts = list(by_name([code]).values())
    shown = ", ".join(f"{part.name} {part.size_bytes}" for part in parts[:_SHOWN])
    more = f" and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
    return (f"{code.size_bytes} of its {entry.size_bytes} bytes are code for GPUs: {shown}{more}",)
