"""Formats of dpkg's and APT's databases.

deb822(5), dpkg-query(1) and dpkg-divert(1); the layout of /var/lib/dpkg is described in
https://www.debian.org/doc/manuals/debian-faq/pkg-tools and lib/dpkg/{parse,filesdb,divertdb}.c of dpkg.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlbloat.packages.database import text_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*")
_RELATION = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9+.-]*)(?::([A-Za-z0-9-]+))?")
_PACKAGE = re.compile(rb"^Package:[ \t]*([^ \t\r\n]+)", re.MULTILINE)
_BLANK_LINES = re.compile(rb"\n(?:[ \t\r]*\n)+")
_WITHOUT_FILES = ("not-installed", "config-files")
"""States in which at most configuration is left; in all others dpkg has unpacked files (dpkg(1), package states)."""

Relation = tuple[str, str]
"""Name and architecture qualifier, which is empty when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stanza:
    """An installed package as `status` describes it."""

    name: str
    version: str
    architecture: str
    depends: tuple[tuple[Relation, ...], ...]
    """Depends and Pre-Depends; each is a tuple of alternatives."""
    recommends: tuple[tuple[Relation, ...], ...]
    provides: tuple[str, ...]
    conffiles: tuple[str, ...]
    essential: bool
    section: str


@dataclass(frozen=True, slots=True)
class Diversion:
    """dpkg-divert(1): the file of every package but `by` goes to `target`."""

    target: str
    by: str
    """":" for a diversion by the administrator, which holds for all packages."""


def paragraphs(content: bytes) -> Iterator[bytes]:
    """Yield the paragraphs of a deb822 file, one by one: a broken one does not hide those after it."""
    return (paragraph for paragraph in _BLANK_LINES.split(content) if paragraph.strip())


def fields(paragraph: bytes) -> Mapping[str, str]:
    """Parse one paragraph; lines that are no field are skipped. Raise ValueError when that does not help."""
    from debian.deb822 import Deb822

    # Lines, never text: given a text of one line, the parser would open the file of that name on this machine. Bytes
    # that are not UTF-8 would make it guess the encoding.
    lines = [line.encode() for line in paragraph.decode("utf-8", "replace").split("\n")]
    try:
        return dict(Deb822(lines))
    except EOFError as error:
        raise ValueError("a stanza is not complete") from error


def stanza(text: bytes) -> Stanza | None:
    """Return an installed package, None for one that is not; raise ValueError for what is neither."""
    paragraph = fields(text)
    name, version = paragraph.get("Package", ""), paragraph.get("Version", "")
    if not _NAME.fullmatch(name):
        raise ValueError(f"a stanza has no valid package name ({name[:80]!r})" if name else "a stanza names no package")
    state = paragraph.get("Status", "install ok installed").split()[-1:]
    if not state or state[0] in _WITHOUT_FILES:
        return None
    if not version.isprintable() or not version or " " in version:
        raise ValueError(f"the stanza of {name} has no version")
    needed = (paragraph.get("Pre-Depends", ""), paragraph.get("Depends", ""))
    return Stanza(
        name=name,
        version=version,
        architecture=paragraph.get("Architecture", ""),
        depends=tuple(group for field in needed for group in relations(field)),
        recommends=relations(paragraph.get("Recommends", "")),
        provides=tuple(name for group in relations(paragraph.get("Provides", "")) for name, _ in group),
        conffiles=tuple(line.split()[0] for line in paragraph.get("Conffiles", "").split("\n") if line.strip()),
        essential="yes" in map(paragraph.get, ("Essential", "Protected", "Important")),
        section=paragraph.get("Section", "").rpartition("/")[2],
    )


def relations(field: str) -> tuple[tuple[Relation, ...], ...]:
    """Parse a relationship field; versions are left out, because dpkg has checked them when it installed.

    https://www.debian.org/doc/debian-policy/ch-relationships.html
    """
    groups = []
    for group in field.split(","):
        matches = (_RELATION.match(alternative) for alternative in group.split("|"))
        names = tuple((match[1], match[2] or "") for match in matches if match)
        if names:
            groups.append(names)
    return tuple(groups)


def named(content: bytes) -> frozenset[str]:
    """Return the names of all stanzas, of those too that cannot be parsed or are not installed."""
    return frozenset(text_of(match) for match in _PACKAGE.findall(content))


def registered(content: bytes) -> dict[str, list[str]]:
    """Return the configuration files of each package in ucf's registry: `package path`, ucfr(1)."""
    found: dict[str, list[str]] = {}
    for line in text_of(content).split("\n"):
        name, _, path = line.strip().partition(" ")
        if path.strip().startswith("/"):
            found.setdefault(name, []).append(path.strip())
    return found


def listed(content: bytes) -> list[str]:
    """Return the paths of an `info/<package>.list`."""
    return [line for line in text_of(content).split("\n") if line.startswith("/")]


def summed(content: bytes) -> list[str]:
    """Return the absolute paths of a `.md5sums` file, whose lines are a digest, two spaces and a relative path."""
    lines = (line.split(None, 1) for line in text_of(content).split("\n"))
    return ["/" + parts[1].lstrip("/") for parts in lines if len(parts) == 2]


def diversions(content: bytes) -> dict[str, Diversion]:
    """Return the diversions by diverted path; raise ValueError when the file is cut off."""
    lines = text_of(content).removesuffix("\n").split("\n") if content else []
    if len(lines) % 3:
        raise ValueError("its lines do not come in threes")
    return {lines[at]: Diversion(lines[at + 1], lines[at + 2]) for at in range(0, len(lines), 3)}


def automatic(text: bytes) -> tuple[str, str] | None:
    """Return name and architecture of a package that `extended_states` says was pulled in (apt-mark(8)).

    None for another one; raise ValueError for what is neither.
    """
    paragraph = fields(text)
    pulled_in = paragraph.get("Auto-Installed", "").strip() == "1"
    return (paragraph.get("Package", ""), paragraph.get("Architecture", "")) if pulled_in else None
