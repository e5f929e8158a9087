"""What the programs of an image say of its packages, for comparison with what is read from its files.

listed_by_dpkg(Container.of("corpus/nginx:1"))["bash"]
"""

import importlib.util
import json
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Protocol

from mlbloat.model.filetree import FileTree, Kind

INFO = "/var/lib/dpkg/info"
WRITTEN_AT_INSTALLATION = {
    "apt": ("/var/lib/apt/extended_states", "/var/log/apt/*"),
    "ca-certificates": ("/etc/ca-certificates.conf", "/etc/ssl/certs/ca-certificates.crt"),
    "debconf": ("/var/cache/debconf/*",),
    "debianutils": ("/etc/shells", "/var/lib/shells.state"),
    "dpkg": ("/var/lib/dpkg/*", "/var/lib/dpkg/info/format", "/var/lib/dpkg/triggers/*", "/var/log/dpkg.log",
             "/var/log/alternatives.log"),
    "init-system-helpers": ("/var/lib/systemd/deb-systemd-helper-enabled/*",
                            "/var/lib/systemd/deb-systemd-helper-enabled/*/*"),
    "libc-bin": ("/etc/ld.so.cache", "/var/cache/ldconfig/aux-cache"),
    "libpam-runtime": ("/etc/pam.d/common-*", "/var/lib/pam/*"),
    "python3-minimal": ("/var/lib/python/*",),
    "shared-mime-info": ("/usr/share/mime/*", "/usr/share/mime/*/*"),
}  # fmt: skip
"""What no list of dpkg has and a program of the package alone writes. Everything else without a list is nobody's."""


class Inside(Protocol):
    """Where programs of an image run."""

    def run(self, *command: str, **variables: str) -> str:
        """Run a program of the image in it; return what it writes."""


def regular(tree: FileTree, paths: Iterable[str]) -> set[str]:
    """The regular files that some paths name, wherever links in their directories lead."""
    found = (tree.find(path, follow=False) for path in paths)
    return {there.path for there in found if there.entry is not None and there.entry.kind is Kind.FILE}


def compiled(tree: FileTree) -> dict[str, set[str]]:
    """The byte code of each module, as Python itself names it."""
    found: dict[str, set[str]] = {}
    for entry in tree.files():
        if entry.path.endswith(".pyc"):
            cached = "/__pycache__/" in entry.path
            source = importlib.util.source_from_cache(entry.path) if cached else entry.path.removesuffix("c")
            found.setdefault(tree.find(source).path, set()).add(entry.path)
    return found


def of_dpkg(inside: Inside, tree: FileTree) -> dict[str, set[str]]:
    """The regular files of each package that dpkg has installed, by the name that its own architecture leaves out.

    They are what `dpkg --listfiles` says, where diverted files really are, the package's files of control, the byte
    code of its modules, the records of its alternatives, and what the table above says.
    """
    native = inside.run("dpkg", "--print-architecture").strip()
    byte_code = compiled(tree)
    chosen = {record: regular(tree, files) for record, files in _alternatives(inside).items()}
    listed = _listed(inside)
    everything = regular(tree, (path for paths in listed.values() for path in paths))
    found = {}
    for qualified, paths in listed.items():
        name = qualified.removesuffix(f":{native}")
        stems = (f"{INFO}/{name}", f"{INFO}/{qualified}", f"{INFO}/{name}:{native}")
        files = regular(tree, paths)
        control = {path for path in tree.children(INFO) if path.rpartition(".")[0] in stems}
        groups = {record for record, among in chosen.items() if not files.isdisjoint(among)}
        modules = (byte_code[path] for path in files if path in byte_code)
        found[name] = files.union(control, groups, _written(tree, name) - everything, *modules)
    return found


def _listed(inside: Inside) -> dict[str, list[str]]:
    names = inside.run("dpkg-query", "--show", "--showformat", "${db:Status-Abbrev} ${binary:Package}\n").splitlines()
    installed = [line.split()[1] for line in names if line.startswith("ii")]
    answers = inside.run("dpkg", "--listfiles", *installed).split("\n\n")
    listed: dict[str, list[str]] = {}
    for name, answer in zip(installed, answers, strict=True):
        paths = listed[name] = []
        for line in answer.splitlines():
            if line.startswith(("diverted by ", "locally diverted to: ")):
                paths[-1] = line.partition(" to: ")[2]
            elif line.startswith("/"):
                paths.append(line)
    return listed


def _alternatives(inside: Inside) -> dict[str, list[str]]:
    """Among which files each link group chooses, by the record of the group."""
    names = [line.split()[0] for line in inside.run("update-alternatives", "--get-selections").splitlines()]
    found = {}
    for name in names:
        lines = inside.run("update-alternatives", "--query", name).splitlines()
        paths = [line.split()[-1] for line in lines if line.startswith(("Alternative: ", " "))]
        found[f"/var/lib/dpkg/alternatives/{name}"] = [path for path in paths if path.startswith("/")]
    return found


def _written(tree: FileTree, name: str) -> set[str]:
    patterns = WRITTEN_AT_INSTALLATION.get(name, ())
    return {entry.path for entry in tree.files() if any(PurePosixPath(entry.path).match(each) for each in patterns)}


def by_pip(inside: Inside, command: tuple[str, ...], site: str, **variables: str) -> dict[str, dict[str, list[str]]]:
    """What `pip show --files` says of each distribution of a place: name to field to lines."""
    listed = json.loads(inside.run(*command, "list", "--format", "json", "--path", site, **variables))
    shown = inside.run(*command, "show", "--files", *(each["name"] for each in listed), **variables)
    found = {}
    for part in shown.split("\n---\n"):
        fields: dict[str, list[str]] = {}
        lines = fields.setdefault("", [])
        for line in part.splitlines():
            name, colon, value = line.partition(":")
            if colon and not line.startswith(" "):
                lines = fields[name] = [value.strip()] if value.strip() else []
            else:
                lines.append(line.strip())
        found[fields["Name"][0]] = fields
    return found


def bytes_of(printed: str) -> Mapping[str, int]:
    """Sizes by inode number, of what `find -printf '%i %s\\n'` prints."""
    return {inode: int(size) for inode, size in (line.split() for line in printed.splitlines())}
