"""Files that programs open by custom and no content names: data with its sources, and one reader over it.

The trigger is the base name of a file that is reached, so a library that a wheel or a conda package brings has the
same conventions as the distribution's. `{lib}` is the directory of that file.
"""

import fnmatch
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from mlbloat.model.chain import CONFIGURATION
from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.image import ImageConfig
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.belongings import Belongings
from mlbloat.usage.candidates import libraries_in, paths_in
from mlbloat.usage.elf.facts import ELF
from mlbloat.usage.elf.head import HEAD
from mlbloat.usage.globs import expand, is_glob
from mlbloat.usage.ground import Ground
from mlbloat.usage.learning import Kind as FactKind
from mlbloat.usage.names import environment

_MAX_TEXT = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """What goes with a library or program."""

    source: str
    triggers: tuple[str, ...]
    """Shell patterns of base names."""
    linked: tuple[str, ...] = ()
    safe: tuple[str, ...] = ()


_LIBC = ("libc.so.6", "libc-2.*.so")
_CONVERTERS = ("/lib/*/gconv/*.so", "/lib*/gconv/*.so", "/usr/lib/*/gconv/*.so", "/usr/lib*/gconv/*.so")
_ENCODINGS = re.compile(
    r"(?:ISO8859-\d+|KOI8-[RU]|CP125\d|CP93[26]|IBM8(?:50|66|74)|IBM437|MACINTOSH|MAC-UK|GBK|GB18030|BIG5(?:HKSCS)?|EUC-(?:JP|KR|CN)"
    r"|ISO-2022-JP|SJIS|UHC|UTF-(?:7|16|32)|UNICODE)\.so"
)
"""https://encoding.spec.whatwg.org/#names-and-labels by glibc's names, the Unicode ones, and those of file names in zip
archives (APPNOTE.TXT, appendix D): what text of today is written in. Others are for mainframes and terminals."""
_RELAYS = ("libstdc++.so*",)
"""They call iconv(3) in templates that no symbol of theirs exports: a program that converts so calls it itself.

https://gcc.gnu.org/onlinedocs/libstdc++/manual/facets.html#std.localization.facet.codecvt
"""
_ACCOUNTS = ("/etc/passwd", "/etc/group", "/etc/hosts", "/etc/resolv.conf", "/etc/localtime", "/etc/services")
_AUTHORITIES = (
    "/etc/ssl/certs/**",
    "/etc/ssl/cert.pem",
    "/usr/share/ca-certificates/**",
    "/usr/lib/ssl/*",
    "/usr/local/share/ca-certificates/**",
    "/etc/pki/**",
    "/etc/ca-certificates/**",
    "{lib}/../ssl/cert.pem",
    "{lib}/../ssl/cacert.pem",
    "{lib}/../ssl/certs/**",
)

CONVENTIONS = (
    Convention(
        source="glibc manual: Name Service Switch, Locales, TZ Variable; gai.conf(5), host.conf(5), locale(7)",
        triggers=_LIBC,
        linked=(
            *_ACCOUNTS,
            "/etc/nsswitch.conf",
            "/etc/host.conf",
            "/etc/gai.conf",
            "/etc/protocols",
            "/etc/networks",
            "/usr/lib/locale/C.utf8/**",
            "/usr/lib/locale/C.UTF-8/**",
            "/usr/lib/locale/locale-archive",
            "{lib}/gconv/gconv-modules",
            "{lib}/gconv/gconv-modules.cache",
            "{lib}/gconv/gconv-modules.d/*",
        ),
        safe=("/usr/share/zoneinfo/**", "/etc/timezone", "/etc/locale.alias", "/etc/default/locale"),
    ),
    Convention(
        source="ld.so(8), ldconfig(8)",
        triggers=("ld-linux*.so.*", "ld64.so.*", "ld-2.*.so", "ld.so.1"),
        linked=("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d/*", "/etc/ld.so.preload"),
    ),
    Convention(
        source="https://wiki.musl-libc.org/functional-differences-from-glibc.html; ldso/dynlink.c",
        triggers=("ld-musl-*.so.*", "libc.musl-*.so.*"),
        linked=(*_ACCOUNTS, "/etc/ld-musl-*.path"),
        safe=("/usr/share/zoneinfo/**", "/etc/timezone"),
    ),
    Convention(
        source="openssl config(5), provider(7), engine(3); SSL_CTX_set_default_verify_paths(3)",
        triggers=("libcrypto.so*", "libcrypto-*.so*", "libssl.so*", "libssl-*.so*", "_ssl.*so", "_ssl.so"),
        linked=(
            "/etc/ssl/openssl.cnf",
            "/usr/lib/ssl/openssl.cnf",
            "/etc/pki/tls/openssl.cnf",
            "{lib}/../ssl/openssl.cnf",
        ),
        safe=("{lib}/ossl-modules/*", "{lib}/engines-*/*", *_AUTHORITIES),
    ),
    Convention(
        source="gnutls_x509_trust_list_add_system_trust(3); curl's --capath; NSS shared trust (p11-kit)",
        triggers=("libgnutls*.so*", "libcurl*.so*", "libnss3.so", "libmbedx509.so*", "libwolfssl.so*"),
        safe=(*_AUTHORITIES, "/etc/gnutls/*", "{lib}/pkcs11/*", "{lib}/libnssckbi.so", "{lib}/nss/*"),
    ),
    Convention(
        source="pam(8), pam.conf(5)",
        triggers=("libpam.so.*",),
        linked=("/etc/pam.conf", "/etc/pam.d/**", "/etc/security/**", "/etc/login.defs", "/etc/environment"),
    ),
    Convention(
        source="JEP 220 and System.loadLibrary of java.base: libraries by names in `modules`; Java 8: `jre/lib`",
        triggers=("libjvm.so",),
        safe=(
            *(f"{{lib}}/../{name}" for name in ("*.so", "jspawnhelper", "*.dat", "*.cfg", "*.properties*", "jfr/*")),
            *(f"{{lib}}/../{name}" for name in ("security/*", "management/*", "../conf/**")),
            *(f"{{lib}}/../../{name}" for name in ("*.jar", "ext/*", "*.dat", "*.properties", "security/**", "jfr/*")),
        ),
    ),
    Convention(
        source="terminfo(5): the entries that a terminal of today asks for",
        triggers=("libtinfo*.so*", "libncurses*.so*"),
        safe=tuple(
            f"{base}/{name}"
            for base in ("/lib/terminfo", "/usr/share/terminfo", "/etc/terminfo", "{lib}/../share/terminfo")
            for name in (
                "d/dumb",
                "l/linux",
                "v/vt100",
                "v/vt102",
                "v/vt220",
                "a/ansi",
                "x/xterm*",
                "s/screen*",
                "t/tmux*",
            )
        ),
    ),
)

_TRIGGERS = re.compile(
    "|".join(fnmatch.translate(trigger) for convention in CONVENTIONS for trigger in convention.triggers)
)
_COMMENT = re.compile(rb"(?m)^[ \t]*[#;].*$")
_ADMINISTRATION = re.compile(
    r"/etc/(?:init\.d|rc\w\.d|init|cron\.[^/]+|logrotate\.d|systemd|update-motd\.d|apt|kernel|pam\.d|security)/"
    r"|/etc/(?:passwd-?|shells|crontab)$"
)
"""What an init system, cron or a login starts and no program by itself: kept, but where it leads is not followed."""
_LANGUAGE = re.compile(r"\b[a-z]{2,3}(?:_[A-Z]{2})?(?=[.@:]|$)")
_PAM_MODULE = re.compile(r"\bpam_\w+\.so\b")
_SERVICE_LINE = re.compile(r"^\s*\w+:(.*)$", re.MULTILINE)

IDENTITY = (
    "/etc/os-release",
    "/usr/lib/os-release",
    "/etc/debian_version",
    "/etc/lsb-release",
    "/etc/alpine-release",
    "/etc/redhat-release",
    "/etc/centos-release",
    "/etc/fedora-release",
    "/etc/system-release",
    "/etc/SuSE-release",
)
"""What scanners tell the distribution by; without them no vulnerability is matched."""
DATABASES = (
    "/var/lib/dpkg/status", "/var/lib/dpkg/status.d/*", "/var/lib/dpkg/info/*.list", "/var/lib/dpkg/info/*.md5sums",
    "/lib/apk/db/installed", "/usr/lib/apk/db/installed", "/var/lib/rpm/**", "/usr/lib/sysimage/rpm/**",
    "/var/lib/rpmmanifest/*", "/opt/bitnami/*/.spdx-*.spdx", "/var/lib/db/sbom/*.json",
)  # fmt: skip
_EMBEDDED = re.compile(r"/conda-meta/[^/]+\.json$|\.dist-info/sboms/[^/]+$")
_SHARED_DATA = re.compile(r"/(?:share/(?!man/|doc/|info/|licenses/)|etc/)")
"""https://packaging.python.org/en/latest/specifications/binary-distribution-format/#the-data-directory"""
_PYTHON = (Manager.PIP, Manager.CONDA)
_LICENCE = re.compile(r"/(?:licen[cs]es?/.*|(?:licen[cs]e|copying|notice|authors)[^/]*)$", re.IGNORECASE)


class SettingsFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    paths: tuple[str, ...] = ()
    """Runs of characters with an absolute path in them."""
    libraries: tuple[str, ...] = ()
    """What may be names of shared libraries."""


def _learn(tree: FileTree, entry: Entry) -> SettingsFacts:
    raw = tree.read(entry, _MAX_TEXT + 1)
    if len(raw) > _MAX_TEXT or b"\0" in raw:
        return SettingsFacts()
    text = _COMMENT.sub(b"", raw)
    return SettingsFacts(
        paths=tuple(dict.fromkeys(path.decode("ascii") for path, _ in paths_in(text))),
        libraries=tuple(dict.fromkeys(name.decode("ascii") for name in libraries_in(text))),
    )


SETTINGS = FactKind("settings/1", SettingsFacts, _learn)


class ConventionReader:
    """Reads any reached file by its name and owner, and configuration below `/etc` by its text."""

    def __init__(self, ground: Ground, inventory: Inventory, belongings: Belongings) -> None:
        self._tree = tree = ground.tree
        self._learning = ground.learning
        self._inventory = inventory
        self._names = ground.names
        self._belongings = belongings
        found = (tree.find(path).path for pattern in _CONVERTERS for path in expand(tree, pattern))
        self._converters = tuple(dict.fromkeys(found))
        self._catalogues = _catalogues(ground.config)
        self._companions = {package.key: tuple(self._with(package)) for package in inventory.packages}
        self._node = {
            path: package
            for package in inventory.packages
            for path in package.database
            if package.manager is Manager.NPM
        }
        """Packages of Node by their package.json."""

    def prepare(self, entries: Sequence[Entry]) -> None:
        """Nothing is learnt here that other readers do not learn."""

    def read(self, entry: Entry) -> Iterator[Use]:
        yield from self._customs(entry)
        if self._converters and (entry.mode & 0o111 or ".so" in entry.name):
            yield from self._conversion(entry)
        if entry.path.startswith("/etc/"):
            # Configuration is no evidence that its package is used.
            if not _ADMINISTRATION.match(entry.path):
                yield from self._configuration(entry)
            return
        for owner in self._inventory.owners.get(entry.path, ()):
            if entry.path not in owner.metadata:
                for path, level, reason in self._companions[owner.key]:
                    if path != entry.path:
                        yield Use(path, level, reason, entry.path)
        if entry.path in self._node:
            yield from self._directory(self._node[entry.path])

    def _with(self, package: Package) -> Iterator[tuple[str, Level, Reason]]:
        """Yield what goes with any payload file of a package."""
        yield from _companions(package)
        if self._catalogues is not None:
            found = filter(self._catalogues.fullmatch, package.files)
            yield from ((path, Level.SAFE, Reason.CONVENTION) for path in found)

    @staticmethod
    def _directory(package: Package) -> Iterator[Use]:
        """Yield all of a Node package that is used, with what it has below it: nothing here reads JavaScript."""
        by = package.database[0]
        for path in package.files:
            if path != by:
                yield Use(path, Level.SAFE, Reason.SAME_PACKAGE, by)

    def _customs(self, entry: Entry) -> Iterator[Use]:
        directory = posixpath.dirname(entry.path)
        if not _TRIGGERS.match(entry.name):
            return
        for convention in CONVENTIONS:
            if not _triggered(entry.name, convention.triggers):
                continue
            for level, patterns in ((Level.LINKED, convention.linked), (Level.SAFE, convention.safe)):
                for pattern in patterns:
                    for path in expand(self._tree, pattern.replace("{lib}", directory)):
                        yield Use(path, level, Reason.CONVENTION, entry.path)
        if _triggered(entry.name, _LIBC):
            yield from self._services(entry.path, directory)
        elif _triggered(entry.name, ("libpam.so.*",)):
            yield from self._modules(entry.path, directory)

    def _services(self, by: str, directory: str) -> Iterator[Use]:
        """Find the libraries of nsswitch.conf(5); `files` and `dns` are what an absent file stands for."""
        text = self._text("/etc/nsswitch.conf")
        words = {word for line in _SERVICE_LINE.findall(text) for word in line.split("#")[0].split()}
        for service in sorted(words | {"files", "dns"}):
            for library in self._names.libraries(f"libnss_{service}.so.2") if service.isidentifier() else ():
                yield Use(library, Level.LINKED, Reason.CONVENTION, by)

    def _modules(self, by: str, directory: str) -> Iterator[Use]:
        for path in (*expand(self._tree, "/etc/pam.d/*"), "/etc/pam.conf"):
            for module in sorted(set(_PAM_MODULE.findall(self._text(path)))):
                for library in expand(self._tree, posixpath.join(directory, "security", module)):
                    yield Use(library, Level.LINKED, Reason.CONVENTION, by)

    def _conversion(self, entry: Entry) -> Iterator[Use]:
        if _triggered(entry.name, (*_LIBC, *_RELAYS)) or not self._learning.of(HEAD, entry).is_elf:
            return
        facts = self._learning.of(ELF, entry)
        for path in self._converters if facts.converts or facts.converts_any else ():
            if facts.converts_any or _ENCODINGS.fullmatch(posixpath.basename(path)):
                yield Use(path, Level.SAFE, Reason.CONVENTION, entry.path)

    def _configuration(self, entry: Entry) -> Iterator[Use]:
        """Follow paths and library names in a text file of `/etc`."""
        facts = self._learning.of(SETTINGS, entry)
        yield from self._names.path_uses(facts.paths, entry.path)
        yield from self._belongings.uses((path for path in facts.paths if not is_glob(path)), entry.path)
        yield from self._names.library_uses(facts.libraries, entry.path)

    def _text(self, path: str) -> str:
        entry = self._tree.find(path).entry
        if entry is None or entry.kind is not Kind.FILE:
            return ""
        return self._learning.text(entry, _MAX_TEXT).decode("utf-8", "surrogateescape")


def _catalogues(config: ImageConfig) -> re.Pattern[str] | None:
    """Return what the message catalogues of the image's languages are called; None when it speaks its programs' own.

    https://www.gnu.org/software/gettext/manual/html_node/Locating-Catalogs.html
    """
    values = (environment(config, name) for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"))
    languages = {match[0] for value in values for match in _LANGUAGE.finditer(value)}
    names = "|".join(sorted(re.escape(name) for each in languages for name in {each, each.partition("_")[0]}))
    return re.compile(rf".*/locale/(?:{names})(?:[.@][^/]*)?/LC_MESSAGES/[^/]+\.mo") if names else None


def _triggered(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _companions(package: Package) -> Iterator[tuple[str, Level, Reason]]:
    """Yield what goes with any payload file of a package: what it says of itself, and its configuration."""
    for path in package.files:
        if path.startswith("/etc/") and not _ADMINISTRATION.match(path):
            yield path, Level.SAFE, Reason.CONVENTION
        elif package.manager is Manager.PIP and _is_shared_data(path, package.location):
            yield path, Level.SAFE, Reason.DATA
        elif package.manager in _PYTHON and path not in package.database and _is_metadata(path, package):
            yield path, Level.LINKED, Reason.METADATA
    if package.manager is Manager.NPM:
        yield from ((path, Level.SAFE, Reason.METADATA) for path in package.database[:1])


def _is_shared_data(path: str, location: str) -> bool:
    """Tell a file that a wheel put below the prefix of the environment (`*.data/data`), and not into the library."""
    return not path.startswith(f"{location}/") and _SHARED_DATA.search(path) is not None


def _is_metadata(path: str, package: Package) -> bool:
    return path in package.metadata and (".dist-info/" in path or ".egg-info" in path) and not _LICENCE.search(path)


def pins(tree: FileTree, inventory: Inventory) -> tuple[Use, ...]:
    """Find what scanners read to know the distribution and its packages; kept whole at every level.

    For marking only: these are no roots of reach.
    """
    found: dict[str, Use] = {}
    for pattern, by in (
        *((path, "the distribution") for path in IDENTITY),
        *((path, "the packages") for path in DATABASES),
    ):
        for path in expand(tree, pattern):
            _pin(tree, found, path, by)
    for package in inventory.packages:
        for path in package.database:
            _pin(tree, found, path, package.key)
    for entry in tree.files():
        if _EMBEDDED.search(entry.path):
            _pin(tree, found, entry.path, "the packages")
    return tuple(found[path] for path in sorted(found))


def _pin(tree: FileTree, found: dict[str, Use], path: str, by: str) -> None:
    there = tree.find(path)
    if there.entry is not None and there.entry.kind is Kind.FILE:
        found.setdefault(there.path, Use(there.path, Level.LINKED, Reason.METADATA, by, pinned=True))


def configuration(tree: FileTree) -> tuple[Use, ...]:
    """Keep every regular file of `/etc` at `safe`: small, often read, edited by whoever builds on the image.

    For marking only: the configuration of a program that nothing runs leads nowhere.
    """
    return tuple(
        Use(entry.path, Level.SAFE, Reason.CONVENTION, CONFIGURATION)
        for entry in tree.below("/etc")
        if entry.kind is Kind.FILE
    )
