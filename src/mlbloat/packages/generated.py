"""Files that programs of packages write while packages are installed belong to the package of the program.

No database lists them, because maintainer scripts make them (https://www.debian.org/doc/debian-policy/ch-maintainerscripts).
A rule is sound when one program alone writes the file and can write it again from what is installed. Accounts
(`/etc/passwd`), downloads and caches of downloads are left without an owner. What is adopted is no evidence that its
owner is used: every process of the image reads ld.so.cache.
"""

import fnmatch
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.package import Manager, Package
from mlbloat.packages.database import DatabaseReader, text_of

_ALTERNATIVES = "/var/lib/dpkg/alternatives"
_UNPACKING = (Manager.APT, Manager.RPM, Manager.APK)


@dataclass(frozen=True, slots=True)
class _Rule:
    written: tuple[str, ...]
    """Patterns of whole paths: `*` within one component, `**` at the end for everything below."""
    by: tuple[str, ...]
    """Where the program is that writes them; the first one that some package owns counts."""


_RULES = (
    _Rule(("/etc/ld.so.cache", "/var/cache/ldconfig/aux-cache"), ("/sbin/ldconfig", "/usr/sbin/ldconfig")),
    _Rule(("/var/lib/dpkg/*", "/var/lib/dpkg/triggers/*", "/var/lib/dpkg/info/format", "/var/log/dpkg.log"),
          ("/usr/bin/dpkg",)),
    _Rule(("/var/log/alternatives.log",), ("/usr/bin/update-alternatives",)),
    _Rule(("/var/lib/apt/extended_states", "/var/log/apt/*"), ("/usr/bin/apt-get",)),
    _Rule(("/var/cache/debconf/*",), ("/usr/sbin/dpkg-preconfigure",)),
    _Rule(("/etc/pam.d/common-*", "/var/lib/pam/*"), ("/usr/sbin/pam-auth-update",)),
    _Rule(("/etc/shells", "/var/lib/shells.state"), ("/usr/sbin/update-shells", "/usr/sbin/add-shell")),
    _Rule(("/etc/ssl/certs/ca-certificates.crt", "/etc/ca-certificates.conf"), ("/usr/sbin/update-ca-certificates",)),
    _Rule(("/usr/share/info/dir", "/usr/share/info/dir.old"), ("/usr/sbin/install-info", "/usr/bin/install-info",
          "/usr/sbin/update-info-dir")),
    _Rule(("/usr/lib/locale/locale-archive",), ("/usr/bin/localedef",)),
    _Rule(("/usr/lib/*/gconv/gconv-modules.cache", "/usr/lib*/gconv/gconv-modules.cache"), ("/usr/sbin/iconvconfig",)),
    _Rule(("/usr/share/glib-2.0/schemas/gschemas.compiled",),
          ("/usr/bin/glib-compile-schemas", "/usr/lib/*/glib-2.0/glib-compile-schemas")),
    _Rule(("/usr/lib*/gio/modules/giomodule.cache", "/usr/lib/*/gio/modules/giomodule.cache"),
          ("/usr/bin/gio-querymodules*", "/usr/lib/*/glib-2.0/gio-querymodules")),
    _Rule(("/usr/lib*/gdk-pixbuf-2.0/*/loaders.cache", "/usr/lib/*/gdk-pixbuf-2.0/*/loaders.cache"),
          ("/usr/bin/gdk-pixbuf-query-loaders*", "/usr/lib/*/gdk-pixbuf-2.0/gdk-pixbuf-query-loaders")),
    _Rule(("/usr/share/mime/**",), ("/usr/bin/update-mime-database",)),
    _Rule(("/usr/share/applications/mimeinfo.cache",), ("/usr/bin/update-desktop-database",)),
    _Rule(("/usr/share/icons/*/icon-theme.cache",), ("/usr/bin/gtk-update-icon-cache", "/usr/sbin/update-icon-caches")),
    _Rule(("/var/cache/fontconfig/*",), ("/usr/bin/fc-cache",)),
    _Rule(("/var/cache/man/**",), ("/usr/bin/mandb",)),
    _Rule(("/var/lib/systemd/deb-systemd-*-enabled/**", "/var/lib/systemd/deb-systemd-*-masked/**"),
          ("/usr/bin/deb-systemd-helper",)),
    _Rule(("/var/lib/systemd/catalog/database",), ("/usr/bin/journalctl",)),
    _Rule(("/usr/lib/udev/hwdb.bin", "/lib/udev/hwdb.bin", "/etc/udev/hwdb.bin"),
          ("/usr/bin/systemd-hwdb", "/bin/systemd-hwdb")),
    _Rule(("/lib/apk/db/*", "/usr/lib/apk/db/*"), ("/sbin/apk", "/usr/sbin/apk", "/usr/bin/apk")),
    _Rule(("/var/lib/rpm/*", "/usr/lib/sysimage/rpm/*"), ("/usr/bin/rpm", "/usr/bin/rpmdb")),
    _Rule(("/var/lib/ucf/*",), ("/usr/bin/ucf",)),
    _Rule(("/var/lib/python/*",), ("/usr/bin/py3compile",)),
)  # fmt: skip


def adopt(tree: FileTree, packages: Iterable[Package]) -> tuple[Package, ...]:
    """Return the packages with what their programs wrote among their files, as metadata."""
    packages = tuple(packages)
    written = _written(tree)
    unlisted = set(written).difference(*(package.files for package in packages))
    alternatives = [path for path in tree.children(_ALTERNATIVES) if tree[path].kind is Kind.FILE]
    claimed = _targets(tree, alternatives)
    wanted = {program for path in unlisted for program in written[path]}.union(*claimed.values())
    owner = _owners(packages, wanted)
    found: dict[str, set[str]] = {}
    for path in sorted(unlisted):
        key = next((owner[program] for program in written[path] if program in owner), None)
        if key is not None:
            found.setdefault(key, set()).add(path)
    for path, programs in claimed.items():
        for program in programs & owner.keys():
            found.setdefault(owner[program], set()).add(path)
    return tuple(_with(package, found.get(package.key, set())) for package in packages)


def _with(package: Package, written: set[str]) -> Package:
    if not written:
        return package
    return replace(package, files=tuple(sorted({*package.files, *written})), metadata=package.metadata | written)


def _written(tree: FileTree) -> dict[str, tuple[str, ...]]:
    """Return the generated files of a tree and the programs that may have written each."""
    found: dict[str, tuple[str, ...]] = {}
    for rule in _RULES:
        programs = tuple(program for pattern in rule.by for program in _matching(tree, pattern))
        for pattern in rule.written if programs else ():
            for path in _matching(tree, pattern):
                found.setdefault(path, programs)
    return found


def _matching(tree: FileTree, pattern: str) -> list[str]:
    """Return the canonical paths of the regular files that a pattern matches, links in its directories followed."""
    places = ["/"]
    for part in pattern.strip("/").split("/"):
        if part == "**":
            places = [entry.path for place in places for entry in tree.below(place)]
        elif "*" in part:
            children = (child for place in places for child in tree.children(place))
            places = [child for child in children if fnmatch.fnmatchcase(posixpath.basename(child), part)]
        else:
            found = (tree.find(posixpath.join(place, part)) for place in places)
            places = [there.path for there in found if there.entry is not None]
    return [path for path in places if tree[path].kind is Kind.FILE]


def _targets(tree: FileTree, alternatives: Iterable[str]) -> Mapping[str, set[str]]:
    """Return the files among which each link group of update-alternatives(1) chooses."""
    reader = DatabaseReader(tree)
    found = {}
    for path in alternatives:
        lines = text_of(reader.read(path) or b"").split("\n")
        targets = (tree.find(line) for line in lines if line.startswith("/"))
        found[path] = {there.path for there in targets if there.entry is not None and there.entry.kind is Kind.FILE}
    return found


def _owners(packages: Iterable[Package], wanted: set[str]) -> dict[str, str]:
    """Return the key of the package that unpacked each of the wanted files."""
    owner: dict[str, str] = {}
    for package in packages:
        if package.manager in _UNPACKING:
            for path in wanted.intersection(package.files):
                owner.setdefault(path, package.key)
    return owner
