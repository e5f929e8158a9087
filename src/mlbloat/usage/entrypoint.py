"""Where static reach begins: the command lines of a workload, and the application's own files."""

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from mlbloat import runtime
from mlbloat.model.filetree import Entry, FileTree, Kind
from mlbloat.model.image import ImageConfig
from mlbloat.model.package import Inventory, Manager, Package
from mlbloat.model.use import Level, Reason, Use
from mlbloat.model.workload import Workload
from mlbloat.usage.names import Names, environment, is_shared_directory
from mlbloat.usage.shell import commands as shell_commands

_CACHES = re.compile(
    r"/(?:\.cache/(?:pip|uv|yarn|pypoetry|conda|go-build)|\.npm/_cacache|\.conda/pkgs|\.cargo/registry)(?:/|$)"
)
_INSTALLED = re.compile(r"/(?:site|dist)-packages/|/lib\w*/python\d[\d.]*/")
"""Where an interpreter's own modules and installed ones are, whoever put them there."""
_SEPARATORS = re.compile(r"[-_.]+")
_WORD = re.compile(r"[^\s'\"\\;|&()<>`=$]+")
Commands = tuple[tuple[str, ...], ...]
_VALUE = re.compile(r"--?[\w-]+=(.+)", re.DOTALL)


def commands_of(config: ImageConfig, workload: Workload) -> tuple[tuple[str, ...], ...]:
    """The command lines of the profile, or the image's own; an image without one has no roots but its application."""
    if workload.profile:
        executed = (command.run for run in workload.profile if run.service for command in run.service.exec)
        return (*(runtime.command_line(config, run) for run in workload.profile), *executed)
    return tuple(words for words in (config.entrypoint + config.command,) if words)


def entrypoint_seeds(tree: FileTree, config: ImageConfig, commands: tuple[tuple[str, ...], ...]) -> tuple[Use, ...]:
    """Find the programs and files that the command lines name."""
    names = Names(tree, config)
    found: dict[tuple[str, str], Use] = {}
    for argv in commands:
        by = shlex.join(argv)
        for path in _named_by(tree, names, config, argv):
            found.setdefault((path, by), Use(path, Level.LINKED, Reason.ENTRYPOINT, by))
    return tuple(found.values())


def own_command_seeds(tree: FileTree, config: ImageConfig) -> tuple[Use, ...]:
    """What the image's own command needs, at SAFE: a slim image must still start when no run of the profile did that.

    A command that names a file by its absolute path, which the image does not have, cannot start and is no root.
    """
    argv = config.entrypoint + config.command
    if any(argument.startswith("/") and tree.find(argument).entry is None for argument in argv):
        return ()
    return tuple(replace(use, level=Level.SAFE) for use in entrypoint_seeds(tree, config, (argv,)))


def health_check_seeds(tree: FileTree, config: ImageConfig) -> tuple[Use, ...]:
    """What the image's health check needs, at SAFE: a container whose check cannot run counts as ill.

    It may name files that the image does not have: the container that it runs in makes them.
    """
    found = entrypoint_seeds(tree, config, (config.health_check,))
    return tuple(replace(use, level=Level.SAFE, reason=Reason.HEALTH_CHECK) for use in found)


def _named_by(tree: FileTree, names: Names, config: ImageConfig, argv: tuple[str, ...]) -> Iterator[str]:
    if not argv:
        return
    place = config.working_directory or "/"
    program = names.program(argv[0]) or (posixpath.join(place, argv[0]) if "/" in argv[0] else None)
    if program is not None:
        yield program
    for number, argument in enumerate(argv[1:], start=1):
        value = _VALUE.fullmatch(argument)
        path = posixpath.join(place, value[1] if value else argument)
        if (entry := tree.find(path).entry) is not None and entry.kind is Kind.FILE:
            yield path
        elif _is_script(argv[number - 1], argument):
            yield from (found for word, _ in shell_commands(argument) if (found := names.program(word)) is not None)
            yield from _files_in(tree, place, argument)
        elif (wrapped := names.program(argument)) is not None and not argument.startswith("-"):
            # The command of a wrapper, as in `tini -- server`; a mere word costs one existing program.
            yield wrapped


def _files_in(tree: FileTree, place: str, script: str) -> Iterator[str]:
    """Yield the files that a script of one line names, as in `python3 check.py || exit 1`."""
    for word in dict.fromkeys(_WORD.findall(script)):
        path = posixpath.join(place, word)
        if (entry := tree.find(path).entry) is not None and entry.kind is Kind.FILE:
            yield path


def _is_script(before: str, argument: str) -> bool:
    return bool(re.fullmatch(r"-\w*c", before)) and not argument.startswith("-")


def wanted(inventory: Inventory, workload: Workload) -> tuple[Use, ...]:
    """All files of the packages that `keep_packages` names, as roots: what they need stays with them."""
    return tuple(
        Use(path, Level.SAFE, Reason.KEEP_RULE, f"keep_packages: {name}", pinned=True)
        for name in workload.keep_packages
        for package in packages_named(inventory, name)
        for path in package.files
    )


def packages_named(inventory: Inventory, name: str) -> Iterator[Package]:
    """Yield the packages that `name` or `manager:name` means, however Python's names are written."""
    manager, colon, rest = name.partition(":")
    known = colon and manager in tuple(Manager)
    sought = rest if known else name
    for package in inventory.packages:
        if (not known or package.manager == manager) and package.name in {sought, _SEPARATORS.sub("-", sought).lower()}:
            yield package


def application_seeds(
    tree: FileTree, inventory: Inventory, config: ImageConfig, commands: Commands, touched: Iterable[Use] = ()
) -> tuple[Use, ...]:
    """Find files that no package owns in the directories of the application.

    They are the working directory, those of PYTHONPATH, those beside the scripts of the command lines, and those from
    which a run took modules that nothing installed.
    """
    names = Names(tree, config)
    variable = environment(config, "PYTHONPATH").split(":")
    searched = (tree.find(path).path for path in variable if path.startswith("/"))
    found: dict[str, Use] = {}
    for directory in dict.fromkeys(
        (
            tree.find(config.working_directory or "/").path,  # of the application wherever it is
            *(place for place in searched if not _INSTALLED.search(f"{place}/")),
            *_script_directories(tree, inventory, names, config, commands),
            *_module_directories(tree, inventory, touched),
        )
    ):
        for entry in _own_files(tree, inventory, directory):
            found.setdefault(entry.path, Use(entry.path, Level.SAFE, Reason.APPLICATION, directory))
    return tuple(found.values())


def _script_directories(
    tree: FileTree, inventory: Inventory, names: Names, config: ImageConfig, commands: tuple[tuple[str, ...], ...]
) -> Iterator[str]:
    for argv in commands:
        for path in _named_by(tree, names, config, argv):
            there = tree.find(path)
            if there.entry is not None and there.path not in inventory.owners:
                yield posixpath.dirname(there.path)


def _module_directories(tree: FileTree, inventory: Inventory, touched: Iterable[Use]) -> Iterator[str]:
    """Yield where the top-level packages are of modules that a run opened and that no package owns."""
    for use in touched:
        if use.reason is not Reason.OPENED or not use.path.endswith(".py") or use.path in inventory.owners:
            continue
        directory = posixpath.dirname(use.path)
        while f"{directory}/__init__.py" in tree:
            directory = posixpath.dirname(directory)
        if not _INSTALLED.search(f"{directory}/"):
            yield directory


def _own_files(tree: FileTree, inventory: Inventory, directory: str) -> Iterator[Entry]:
    """Walk a directory of the application; of a place that everybody shares only `/` counts, without what is below."""
    if directory != "/" and is_shared_directory(directory):
        return
    entries = tree.below(directory) if directory != "/" else (tree[path] for path in tree.children("/"))
    cached = tuple(f"{package.path}/" for package in inventory.cached)
    for entry in entries:
        if entry.kind is not Kind.FILE or entry.path in inventory.owners or entry.path.startswith(cached):
            continue
        if not _CACHES.search(entry.path):
            yield entry
