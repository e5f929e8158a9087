"""dpkg: `status` loses the stanzas of packages that are gone, `info/*.list` and `*.md5sums` the files.

So does APT's `extended_states`, which says which packages were pulled in (apt-mark(8)).

deb822(5), dpkg-query(1); https://github.com/GoogleContainerTools/distroless/blob/main/PACKAGE_METADATA.md (status.d).
A stanza is removed, not marked as deinstalled: scanners count those that are.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping

from mlbloat.model.package import Manager, Package
from mlbloat.slim.databases.left import Cut, Left, coded

MANAGER = Manager.APT
_STATUS = "/var/lib/dpkg/status"
_EXTENDED_STATES = "/var/lib/apt/extended_states"
_OWN = ("/var/lib/dpkg/info", "/var/lib/dpkg/status.d")
_BLANK = re.compile(r"(\n(?:[ \t\r]*\n)+)")
_FIELD = re.compile(r"(?m)^(Package|Architecture): *(\S+)")
_CONFFILES = re.compile(r"(?m)^Conffiles:[^\n]*\n((?: [^\n]*(?:\n|\Z))*)")


def cut(packages: tuple[Package, ...], stay: frozenset[str], left: Left, changed: Mapping[str, bytes]) -> Cut:
    """Cut the databases of dpkg; `changed` are other databases' new contents, whose checksums change."""
    status = left.tree.find(_STATUS).path
    if status in left.tree and not left.free(status):
        return Cut()  # a run read it, or a rule keeps it: everything it names stays named
    gone = {package.name for package in packages if package.key not in stay}
    rewritten = {} if status not in left.tree else {status: _stanzas(left.read(status), packages, gone, left)}
    states = left.tree.find(_EXTENDED_STATES).path
    if left.free(states):
        rewritten[states] = _without(gone, left.read(states), packages)
    removed: set[str] = set()
    places = tuple(f"{left.tree.find(place).path}/" for place in _OWN)
    for package in packages:
        own = [path for path in package.files if path.startswith(places) and path in left.kept]
        if package.name in gone:
            removed.update(own)
            continue
        for path in (path for path in own if left.free(path)):
            if path.endswith(".list"):
                rewritten[path] = _list(left.read(path), left)
            elif path.endswith(".md5sums"):
                rewritten[path] = _sums(left.read(path), left, changed)
    return Cut(removed=frozenset(removed), rewritten=rewritten)


def _stanzas(text: str, packages: tuple[Package, ...], gone: set[str], left: Left) -> bytes:
    kept = _staying(text, packages, gone)
    return coded("".join(_without_lost_conffiles(stanza, left) + blank for stanza, blank in kept))


def _without(gone: set[str], text: str, packages: tuple[Package, ...]) -> bytes:
    return coded("".join(stanza + blank for stanza, blank in _staying(text, packages, gone)))


def _staying(text: str, packages: tuple[Package, ...], gone: set[str]) -> Iterator[tuple[str, str]]:
    """Yield stanzas of packages that are not gone, each with the blank lines after it."""
    names = {package.name for package in packages}
    parts = _BLANK.split(text)
    for number in range(0, len(parts), 2):
        stanza, blank = parts[number], "".join(parts[number + 1 : number + 2])
        if _name(stanza, names) not in gone:
            yield stanza, blank


def _name(stanza: str, names: set[str]) -> str:
    """Name a stanza's package as the inventory does: with its architecture where that is a foreign one."""
    fields = {match[1]: match[2] for match in reversed(list(_FIELD.finditer(stanza)))}
    name = fields.get("Package", "")
    foreign = f"{name}:{fields.get('Architecture', '')}"
    return foreign if foreign in names else name


def _without_lost_conffiles(stanza: str, left: Left) -> str:
    def shortened(match: re.Match[str]) -> str:
        lines = [line for line in match[1].splitlines(keepends=True) if not left.lost((line.split() or [""])[0])]
        return f"Conffiles:\n{''.join(lines)}" if lines else ""

    return _CONFFILES.sub(shortened, stanza)


def _list(text: str, left: Left) -> bytes:
    return coded("".join(line for line in _lines(text) if not left.lost(line.rstrip("\n"))))


def _sums(text: str, left: Left, changed: Mapping[str, bytes]) -> bytes:
    """Cut `DIGEST  relative/path` lines, with the right digest for what was rewritten."""
    lines = []
    for line in _lines(text):
        path = "/" + (line.rstrip("\n").split(None, 1) or [""])[-1]
        found = left.tree.find(path, follow=False).path
        if found in changed:
            lines.append(hashlib.md5(changed[found], usedforsecurity=False).hexdigest() + line[32:])
        elif not left.lost(path):
            lines.append(line)
    return coded("".join(lines))


def _lines(text: str) -> Iterator[str]:
    return iter(re.findall(r"[^\n]*\n|[^\n]+", text))
