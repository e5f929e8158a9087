"""apk: `installed` loses the packages that are gone, and the files of those that stay.

https://wiki.alpinelinux.org/wiki/Apk_spec#Installed_Database_V2: a paragraph is a package, `F:` begins a directory,
`R:` a file in it, and the lines after that (`a:`, `Z:`) describe the file.
"""

import posixpath
import re

from mlbloat.model.filetree import Kind
from mlbloat.slim.databases.left import Cut, Left, coded

_DATABASES = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")
_DOCUMENTS = re.compile(r"/usr/share/(?:doc|man|licenses)/|/etc/")


def cut(left: Left) -> Cut:
    """Cut the database of apk, which the inventory does not need to know."""
    places = {left.tree.find(path).path for path in _DATABASES}
    return Cut(rewritten={path: _installed(left.read(path), left) for path in sorted(places) if left.free(path)})


def _installed(text: str, left: Left) -> bytes:
    return coded("".join(_package(paragraph, left) for paragraph in re.split(r"(?<=\n\n)", text)))


def _package(paragraph: str, left: Left) -> str:
    lines = paragraph.splitlines(keepends=True)
    directory, lost, payload_lost, payload_left = "", False, 0, 0
    kept = []
    for line in lines:
        field, value = line[:2], line[2:].rstrip("\n")
        if field == "F:":
            directory, lost = value, False
        elif field == "R:":
            path = posixpath.join("/", directory, value)
            lost = left.lost(path)
            if _is_payload(path, left):
                payload_lost, payload_left = payload_lost + lost, payload_left + (not lost)
            payload_left += left.configures(path)
        elif field not in ("a:", "Z:"):
            lost = False
        if not lost:
            kept.append(line)
    return "" if payload_lost and not payload_left else "".join(kept)


def _is_payload(path: str, left: Left) -> bool:
    entry = left.tree.get(path) or left.tree.find(path, follow=False).entry
    return entry is not None and entry.kind is Kind.FILE and not _DOCUMENTS.match(path)
