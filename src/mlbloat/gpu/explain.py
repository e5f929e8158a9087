"""What code for GPUs a file has, as sentences."""

from mlbloat.cache import Cache
from mlbloat.gpu.census import code_of
from mlbloat.model.devicecode import by_name, sentence
from mlbloat.model.filetree import FileTree, Kind


def explain(path: str, tree: FileTree, cache: Cache) -> tuple[str, ...]:
    """One sentence for a file that has any."""
    entry = tree.find(path).entry
    if entry is None or entry.kind is not Kind.FILE:
        return ()
    code = code_of(tree, entry, cache)
    if not code.choices:
        return ()
    sums = {name: part.size_bytes for name, part in by_name([code]).items()}
    return (sentence(entry.size_bytes, code.size_bytes, sums),)
