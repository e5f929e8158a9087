"""Write a Dockerfile that builds the slim root file system from the original image.

https://docs.docker.com/reference/dockerfile/

It works with the classic builder and with BuildKit, and is meant to be reviewed: what is removed stands in a list
beside it, one path a line. The image's own `rm` does the work where it can, a static busybox where it cannot.
"""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from msgspec import structs

from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.image import Image
from mlbloat.model.plain import plain
from mlbloat.model.plan import Plan
from mlbloat.slim.instructions import HADOLINT, base_name, exec_form, instructions, sayable, shell_word
from mlbloat.tarstream import encode, end_of_archive, padding

LIST_NAME = "removed.txt"
TOOL_IMAGE = "busybox:1.37.0-musl"
"""Static, so it removes anything anywhere; used where the image has no tools, or its own would not do."""

_LIST = "/mlbloat-removed.txt"
"""Where the list is while the first stage runs."""
_MOUNTED = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/", "/proc/", "/sys/")
"""Paths that an engine mounts over while a RUN instruction runs: nothing can be removed there."""
_ODD = re.compile(r"([^A-Za-z0-9_./+,:@%=~^-])")


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerfileResult:
    text: str
    files: Mapping[str, str]
    """Files to write beside it, name to text. Names that are not UTF-8 carry surrogate escapes: write with
    `errors="surrogateescape"`."""
    flags: tuple[str, ...] = ()
    """What the format cannot say, as sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tools:
    """The image's own programs that remove files, and what they load."""

    shell: str
    rm: str
    xargs: str
    files: frozenset[str]


def slimmed_dockerfile(
    image: Image,
    tree: FileTree,
    plan: Plan,
    *,
    base: str,
    list_name: str = LIST_NAME,
    tool_image: str = TOOL_IMAGE,
) -> DockerfileResult:
    """Build the Dockerfile and its list; `base` is the original as FROM takes it, best with its digest."""
    document = json.loads(image.config.document)
    config: Mapping[str, Any] = document.get("config") or {}
    tools = None if _own_tools_fail(config, tree, plan) else _find_tools(tree)
    late = tuple(path for path in plan.removed if tools is not None and path in tools.files)
    listed = (*(path for path in plan.removed if path not in late), *plan.removed_directories)
    carried = tuple(instructions(config))
    flags = [f"the Dockerfile cannot say {plain(line[:80])!r}" for line in carried if not sayable(line)]
    directory = str(config.get("WorkingDir") or "/")
    if tree.find(directory).entry is None:
        flags.append(f"the Dockerfile makes {plain(directory)}, which the original leaves to the engine to make")
    if base_name(base) != base:
        base = base_name(base)
        flags.append(f"the original has no name to build from: load it, and tag it {base}")
    head = (
        f"# The slim image of {base}: the original without {len(plan.removed)} of its files, which nothing reaches.",
        f"# {list_name} names them and has to be in the build context. Written by mlbloat, --keep {plan.keep.label}.",
        HADOLINT,
    )
    rm = "rm -rf" if plan.removed_directories else "rm -f"
    databases = f"{list_name.removesuffix('.removed')}.databases.tar" if plan.cut else ""
    if tools:
        stages = _own_stages(base, list_name, tools, rm, late, databases, config)
    else:
        stages = _tool_stages(base, list_name, tool_image, rm, databases)
    text = "\n".join((*head, *stages, *filter(sayable, carried))) + "\n"
    files = {list_name: removed_list(listed, prefix="" if tools else ".")}
    if databases:
        files[databases] = b"".join(_databases(tree, plan)).decode("utf-8", "surrogateescape")
    return DockerfileResult(text=text, files=MappingProxyType(files), flags=tuple(flags))


def _databases(tree: FileTree, plan: Plan) -> Iterator[bytes]:
    """Yield a tar of the package databases that are cut: as such their modes, owners and times survive."""
    for path in plan.cut:
        content = plan.rewritten[tree[path].inode]
        yield encode(structs.replace(tree[path], size_bytes=len(content)))
        yield content
        yield padding(len(content))
    yield from end_of_archive(0)


def removed_list(paths: tuple[str, ...], *, prefix: str = "") -> str:
    """One path a line, as xargs reads it: characters that mean something to xargs carry a backslash.

    https://pubs.opengroup.org/onlinepubs/9799919799/utilities/xargs.html
    """
    return "".join(prefix + _ODD.sub(_escaped, path) + "\n" for path in paths)


def _escaped(match: re.Match[str]) -> str:
    character = match[1]
    # Letters of any script need no escape and read better without.
    return character if character.isprintable() and character.isalnum() else "\\" + character


def _own_stages(
    base: str,
    list_name: str,
    tools: _Tools,
    rm: str,
    late: tuple[str, ...],
    databases: str,
    config: Mapping[str, Any],
) -> tuple[str, ...]:
    """Remove in the original image itself; what the removing programs load goes last, by one process."""
    last = " ".join(shell_word(path) for path in (_LIST, *late))
    flag = rm.removeprefix("rm ")
    script = f"{tools.xargs} {tools.rm} {flag} -- < {_LIST} && {tools.rm} -f -- {last}"
    user = ("USER 0:0",) if config.get("User") else ()
    return (
        f"FROM {base} AS full",
        *user,
        f'COPY ["{list_name}", "{_LIST}"]',
        f"RUN {exec_form([tools.shell, '-c', script])}",
        *((f'ADD ["{databases}", "/"]',) if databases else ()),
        "",
        "FROM scratch",
        "COPY --from=full / /",
    )


def _tool_stages(base: str, list_name: str, tool_image: str, rm: str, databases: str) -> tuple[str, ...]:
    """Remove from a copy of the original, with programs that do not come from it.

    `COPY --from=` an image does not run its ONBUILD triggers, as FROM would.
    """
    return (
        f"FROM {tool_image} AS full",
        f"COPY --from={base} / /image/",
        f'COPY ["{list_name}", "{_LIST}"]',
        "WORKDIR /image",
        f"RUN xargs {rm} -- < {_LIST}",
        *((f'ADD ["{databases}", "/image/"]',) if databases else ()),
        "",
        "FROM scratch",
        "COPY --from=full /image/ /",
    )


def _own_tools_fail(config: Mapping[str, Any], tree: FileTree, plan: Plan) -> bool:
    """Tell whether a RUN in the original would not remove what the plan removes, and only that."""
    volumes = tuple(posixpath.normpath("/" + path.lstrip("/")) for path in config.get("Volumes") or {})
    if config.get("OnBuild") or any(tree.find(volume).entry is None for volume in volumes):
        return True  # triggers would run; volumes that are not there would be made
    # The classic builder throws away what a RUN changes in a volume.
    untouched = (*_MOUNTED, *(volume + "/" for volume in volumes))
    return any(path.startswith(untouched) for path in plan.removed)


def _find_tools(tree: FileTree) -> _Tools | None:
    shell, rm, xargs = (_find_program(tree, name) for name in ("sh", "rm", "xargs"))
    if shell is None or rm is None or xargs is None:
        return None
    return _Tools(shell=shell, rm=rm, xargs=xargs, files=_loaded(tree, (shell, rm, xargs)))


def _find_program(tree: FileTree, name: str) -> str | None:
    for directory in ("/bin", "/usr/bin"):
        entry = tree.find(f"{directory}/{name}").entry
        if entry is not None and entry.kind is Kind.FILE and entry.mode & 0o111:
            return f"{directory}/{name}"
    return None


def _loaded(tree: FileTree, programs: tuple[str, ...]) -> frozenset[str]:
    """Return the programs and everything in the tree that has the name of a library they ask for.

    By name alone, so rather too much: it only decides what is removed in the last step.
    """
    by_name: dict[str, list[str]] = {}
    for path, entry in tree.items():
        by_name.setdefault(entry.name, []).append(path)
    seen: set[str] = set()
    waiting = list(programs)
    while waiting:
        found = tree.find(waiting.pop()).entry
        if found is None or found.kind is not Kind.FILE or found.path in seen:
            continue
        seen.add(found.path)
        for needed in _needed(tree, found):
            waiting.extend([needed] if needed.startswith("/") else by_name.get(needed, []))
    return frozenset(seen)


def _needed(tree: FileTree, entry: Entry) -> tuple[str, ...]:
    """Names of the interpreter and the libraries that an ELF file asks for; none for what is not one."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    with tree.open(entry) as stream:
        if stream.read(4) != b"\x7fELF":
            return ()
        try:
            return tuple(_names_asked_for(ELFFile(stream)))
        except (ELFError, ValueError, OverflowError):
            return ()


def _names_asked_for(elf: Any) -> Iterator[str]:
    for segment in elf.iter_segments():
        if segment["p_type"] == "PT_INTERP":
            yield segment.get_interp_name()
        elif segment["p_type"] == "PT_DYNAMIC":
            for tag in segment.iter_tags("DT_NEEDED"):
                yield tag.needed
