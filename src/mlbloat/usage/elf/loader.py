"""Where the dynamic loader finds a library inside the image.

ld.so(8), https://sourceware.org/glibc/manual/latest/html_node/Dynamic-Linker.html; musl: https://wiki.musl-libc.org

Rules that need the running process are widened, never narrowed: every hardware variant counts, and a name that the
rules do not find is looked for everywhere in the tree, because a program may have loaded that library before.
"""

import posixpath
import re
import struct
from collections.abc import Iterator
from functools import cached_property

from mlbloat.model.filetree import Entry, Kind
from mlbloat.usage.elf.binary import Binary
from mlbloat.usage.elf.head import HEAD
from mlbloat.usage.globs import expand
from mlbloat.usage.ground import Ground
from mlbloat.usage.names import environment, is_library_name

_MACHINES = {
    3: "i386",
    20: "powerpc",
    21: "powerpc64le",
    22: "s390x",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv64",
    258: "loongarch64",
}
_DEFAULTS = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/lib32", "/usr/lib32", "/libx32", "/usr/libx32")
_MUSL_DEFAULTS = ("/lib", "/usr/local/lib", "/usr/lib")
_OLD_VARIANTS = ("tls", "haswell", "xeon_phi", "avx512_1", "x86_64", "i686", "sse2", "atomics", "power9", "z13", "z14")
"""Subdirectories that glibc before 2.37 searched by the processor's abilities."""
_NOT_ELF = (".py", ".pyc", ".pyi", ".h", ".txt", ".json", ".html", ".md")
_CACHE_MAGIC = b"glibc-ld.so.cache1.1"
_MAX_CACHE = 1 << 23
_MAX_INCLUDES = 64
_MAX_CONFIGURATION = 1 << 16


class Loader:
    """Indexes of one tree; nothing in it depends on what was asked before."""

    def __init__(self, ground: Ground) -> None:
        self._tree = ground.tree
        self._learning = ground.learning
        config = ground.config
        self._binaries: dict[tuple[int, int], Binary | None] = {}
        self._variant_directories: dict[str, tuple[str, ...]] = {}
        self._library_path = _split(environment(config, "LD_LIBRARY_PATH"))
        self.preloaded = tuple(re.split(r"[:\s]+", environment(config, "LD_PRELOAD").strip()))

    def binary(self, entry: Entry) -> Binary | None:
        """Read a regular file as ELF; None when it is not one."""
        if entry.kind is not Kind.FILE or entry.path.endswith(_NOT_ELF):
            return None
        if entry.inode not in self._binaries:
            self._binaries[entry.inode] = self._learning.of(HEAD, entry).binary
        return self._binaries[entry.inode]

    def find(self, name: str, path: str, binary: Binary) -> tuple[str, ...]:
        """Find what a needed name of a binary may load; several paths when the image alone does not decide."""
        if "/" in name:
            return tuple(each for each in _expand_tokens(name, path, binary) if self._fits(each, binary))
        inherited = self._first(self._inherited(path, binary), name, binary)
        own = self._by_rules(name, path, binary)
        return tuple(dict.fromkeys(inherited + own)) or self._anywhere(name, binary)

    def _by_rules(self, name: str, path: str, binary: Binary) -> tuple[str, ...]:
        own = binary.runpath or binary.rpath
        expanded = tuple(each for part in own for each in _expand_tokens(part, path, binary))
        order = (*self._library_path, *expanded) if binary.runpath else (*expanded, *self._library_path)
        cached = tuple(each for each in self._cache.get(name, ()) if self._fits(each, binary))
        return self._first(order, name, binary) or cached or self._first(self._system(binary), name, binary)

    def _first(self, directories: tuple[str, ...], name: str, binary: Binary) -> tuple[str, ...]:
        for directory in directories:
            candidates = (posixpath.join(variant, name) for variant in self._variants(directory))
            found = tuple(each for each in candidates if self._fits(each, binary))
            if found:
                return found
        return ()

    def _variants(self, directory: str) -> tuple[str, ...]:
        """Return a directory and those below it that are searched first on some processors."""
        if directory not in self._variant_directories:
            below = self._tree.children(posixpath.join(self._tree.find(directory).path, "glibc-hwcaps"))
            old = (posixpath.join(directory, variant) for variant in _OLD_VARIANTS)
            exist = (each for each in old if self._tree.find(each).entry is not None)
            self._variant_directories[directory] = (directory, *below, *exist)
        return self._variant_directories[directory]

    def _fits(self, path: str, binary: Binary) -> bool:
        entry = self._tree.find(path).entry
        other = self.binary(entry) if entry is not None else None
        return other is not None and other.kind == binary.kind

    def _inherited(self, path: str, binary: Binary) -> tuple[str, ...]:
        """Directories from the RPATH of executables of the same prefix: a program's RPATH holds for its libraries."""
        if binary.runpath or binary.interpreter:
            return ()
        return tuple(
            each for each in self._program_rpaths if path.startswith(posixpath.dirname(each).rstrip("/") + "/")
        )

    @cached_property
    def _program_rpaths(self) -> tuple[str, ...]:
        found: set[str] = set()
        for entry in self._tree.files():
            if not entry.mode & 0o111 or is_library_name(entry.name) or entry.size_bytes < 1024:
                continue
            binary = self.binary(entry)
            if binary is None or not binary.interpreter or binary.runpath:
                continue
            for part in binary.rpath:
                found.update(self._tree.find(each).path for each in _expand_tokens(part, entry.path, binary))
        # /usr/lib is where everything looks anyway, and its parent holds every library there is.
        return tuple(sorted(each for each in found if posixpath.dirname(each) not in {"/", "/usr"}))

    def _anywhere(self, name: str, binary: Binary) -> tuple[str, ...]:
        named = tuple(path for path in self._libraries.get(name, ()) if self._fits(path, binary))
        return named or tuple(path for path in self._sonames.get(name, ()) if self._fits(path, binary))

    @cached_property
    def _libraries(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for entry in self._tree.values():
            if ".so" in entry.path and entry.kind in {Kind.FILE, Kind.SYMLINK} and is_library_name(entry.name):
                found.setdefault(entry.name, []).append(entry.path)
        return found

    @cached_property
    def _sonames(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for paths in self._libraries.values():
            for path in paths:
                binary = self.binary(self._tree[path])
                if binary is not None and binary.soname:
                    found.setdefault(binary.soname, []).append(path)
        return found

    def _system(self, binary: Binary) -> tuple[str, ...]:
        machine = _MACHINES.get(binary.kind[2], "")
        return (*self._configured, *self._multiarch(machine), *_DEFAULTS, *self._musl)

    def _multiarch(self, machine: str) -> tuple[str, ...]:
        """Debian's own directories, https://wiki.debian.org/Multiarch/Tuples; found by their shape."""
        prefix = {"i386": "i", "arm": "arm"}.get(machine, machine)
        return tuple(each for each in self._tuples if posixpath.basename(each).startswith(prefix)) if prefix else ()

    @cached_property
    def _tuples(self) -> tuple[str, ...]:
        return tuple(
            each
            for parent in ("/lib", "/usr/lib")
            for each in self._tree.children(self._tree.find(parent).path)
            if "-linux-" in posixpath.basename(each)
        )

    @cached_property
    def _configured(self) -> tuple[str, ...]:
        """Directories of ld.so.conf(5); kept beside the cache, which a GPU runtime writes anew at start."""
        directories: list[str] = []
        waiting, seen = ["/etc/ld.so.conf"], set[str]()
        while waiting and len(seen) < _MAX_INCLUDES:
            path = waiting.pop(0)
            if path in seen:
                continue
            seen.add(path)
            for line in self._lines(path):
                if line.startswith("include"):
                    pattern = posixpath.join("/etc", line.removeprefix("include").strip())
                    waiting += sorted(expand(self._tree, pattern))
                elif line.startswith("/"):
                    directories.append(line.split("=")[0].rstrip("/ "))
        return tuple(directories)

    @cached_property
    def _musl(self) -> tuple[str, ...]:
        loaders = list(expand(self._tree, "/lib/ld-musl-*.so.1"))
        configured = [
            part
            for path in expand(self._tree, "/etc/ld-musl-*.path")
            for line in self._lines(path)
            for part in _split(line)
        ]
        return (*configured, *_MUSL_DEFAULTS) if loaders else ()

    def _lines(self, path: str) -> list[str]:
        entry = self._tree.find(path).entry
        if entry is None or entry.kind is not Kind.FILE:
            return []
        text = self._learning.text(entry, _MAX_CONFIGURATION).decode("utf-8", "surrogateescape")
        return [line.partition("#")[0].strip() for line in text.splitlines()]

    @cached_property
    def _cache(self) -> dict[str, list[str]]:
        entry = self._tree.find("/etc/ld.so.cache").entry
        if entry is None or entry.kind is not Kind.FILE:
            return {}
        found: dict[str, list[str]] = {}
        for name, path in _cache_entries(self._learning.text(entry, _MAX_CACHE)):
            found.setdefault(name, []).append(path)
        return found


def _cache_entries(raw: bytes) -> Iterator[tuple[str, str]]:
    """Read the "new" format of ld.so.cache (sysdeps/generic/dl-cache.h); an older one may stand before it."""
    base = raw.find(_CACHE_MAGIC)
    if base < 0 or len(raw) < base + 48:
        return
    order = ">" if raw[base + 28] & 3 == 3 else "<"
    count = struct.unpack_from(order + "I", raw, base + 20)[0]
    rows = raw[base + 48 : base + 48 + 24 * min(count, len(raw) // 24)]
    for _, key, value, _, _ in struct.iter_unpack(order + "iIIIQ", rows[: len(rows) - len(rows) % 24]):
        name, path = (_text(raw, base + offset) for offset in (key, value))
        if name and path.startswith("/"):
            yield name, path


def _text(raw: bytes, offset: int) -> str:
    end = raw.find(b"\0", offset, offset + 4096)
    return raw[offset:end].decode("utf-8", "surrogateescape") if end >= 0 else ""


def _split(value: str) -> tuple[str, ...]:
    return tuple(part.rstrip("/") for part in re.split(r"[:;]", value) if part.startswith("/"))


def _expand_tokens(text: str, path: str, binary: Binary) -> tuple[str, ...]:
    """Replace $ORIGIN, $LIB and $PLATFORM, each value that the last two can have."""
    machine = _MACHINES.get(binary.kind[2], "")
    text = re.sub(r"\$(?:ORIGIN\b|\{ORIGIN\})", lambda _: posixpath.dirname(path), text)
    text = re.sub(r"\$(?:PLATFORM\b|\{PLATFORM\})", machine, text)
    libs = ("lib", "lib64", "lib32", f"lib/{machine}-linux-gnu")
    texts = [re.sub(r"\$(?:LIB\b|\{LIB\})", lib, text) for lib in libs] if "LIB" in text else [text]
    return tuple(posixpath.normpath(each) for each in dict.fromkeys(texts) if each.startswith("/"))
