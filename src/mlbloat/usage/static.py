"""Where following begins (what was touched, or the command when nothing ran) and who follows."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from mlbloat.cache import Cache, NoCache
from mlbloat.model.filetree import FileTree
from mlbloat.model.image import ImageConfig
from mlbloat.model.package import Inventory
from mlbloat.model.use import Level, Reason, Use
from mlbloat.usage.answers import ANSWERS, Answer
from mlbloat.usage.belongings import Belongings
from mlbloat.usage.conventions import ConventionReader, configuration, pins
from mlbloat.usage.elf.reader import ElfReader
from mlbloat.usage.entrypoint import (
    Commands,
    application_seeds,
    entrypoint_seeds,
    health_check_seeds,
    own_command_seeds,
)
from mlbloat.usage.ground import Ground
from mlbloat.usage.jar import JarReader
from mlbloat.usage.languages import LanguageReader
from mlbloat.usage.python.reader import PythonReader
from mlbloat.usage.reach import reach
from mlbloat.usage.shell import ScriptReader

__all__ = ["ANSWERS", "Commands", "follow"]

_NO_CACHE = NoCache()


def follow(
    tree: FileTree,
    inventory: Inventory,
    config: ImageConfig,
    touched: Sequence[Use],
    commands: Commands,
    cache: Cache = _NO_CACHE,
    processes: int | None = None,
) -> tuple[Use, ...]:
    """Return every use of the tree: what was touched and all that it leads to.

    Without anything touched the command lines themselves are the roots: static evidence. With it, the image's own
    command is one more, as far as `safe` goes, and its health check is one in either case. Package databases and
    configuration are kept, but nothing is followed from them: they name everything that is installed.

    What files say is kept in the cache by their content, and so is the answer, for when the same is asked again.
    Files are read by `processes` at a time, by default as many as there are processors.
    """
    answer = Answer(cache, tree, config, touched, commands)
    with _without_collection():
        known = answer.get()
        if known is None:
            known = _follow(Ground(tree, config, cache, processes), inventory, touched, commands)
            answer.put(known)
    return known


def _follow(ground: Ground, inventory: Inventory, touched: Sequence[Use], commands: Commands) -> tuple[Use, ...]:
    tree, config = ground.tree, ground.config
    with ground:
        ran = any(use.reason is not Reason.KEEP_RULE for use in touched)
        started = own_command_seeds(tree, config) if ran else entrypoint_seeds(tree, config, commands)
        checked = health_check_seeds(tree, config)
        application = application_seeds(tree, inventory, config, commands, touched)
        seeds = (*touched, *started, *checked, *application)
        python, others = PythonReader(ground, inventory), LanguageReader(ground, inventory, seeds)
        belongings = Belongings(ground, inventory)
        readers = (
            ElfReader(ground, belongings),
            python,
            ScriptReader(ground),
            JarReader(ground),
            others,
            ConventionReader(ground, inventory, belongings),
        )
        standard = python.standard_library(seeds)
        reached = reach(
            tree, readers, (*seeds, *standard), lambda entry: python.group_of(entry) or others.group_of(entry)
        )
        ground.learning.save()
    kept = Level.TRACED if ran else Level.LINKED
    return (
        *(_without_spare(use, kept) if use.reason is Reason.BYTECODE else use for use in reached),
        *pins(tree, inventory),
        *configuration(tree),
    )


def _without_spare(use: Use, kept: Level) -> Use:
    """Bytecode says again what its source says: it is kept where a run used it, or nothing ran that would tell.

    Python compiles the source otherwise when it is imported; so little time for so many bytes is what nobody asked to
    keep. A source that a run opened and whose bytecode it left alone was read as text.
    """
    return replace(use, level=Level.PACKAGE) if use.level > kept else use


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep Python from looking for cycles: some hundred thousand values are made here, and none is part of one."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            # Into the oldest generation as they are: enabled with all of them in the youngest, it looks through them.
            gc.freeze()
            gc.unfreeze()
            gc.enable()
