"""Trees as a build leaves them: it sets the times of directories, and makes the root itself."""

from msgspec import structs

from mlbloat.model.filetree import Entry, FileTree, Kind


def timeless(tree: FileTree) -> FileTree:
    """Return a tree without times, without its root, and with one mode for all links."""
    return FileTree({path: _timeless(entry) for path, entry in tree.items() if path != "/"}, tree.contents)


def _timeless(entry: Entry) -> Entry:
    mode = 0o777 if entry.kind is Kind.SYMLINK else entry.mode
    return structs.replace(entry, mtime=0.0, mode=mode)
