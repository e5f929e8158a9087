"""Where following begins (what was touched, or the command when nothing ran) and who follows."""

from collections.abc import Sequence

from mlbloat.cache import Cache
from mlbloat.model.filetree import FileTree
from mlbloat.model.image import ImageConfig
from mlbloat.model.package import Inventory
from mlbloat.model.use import Use
from mlbloat.usage.conventions import ConventionReader, configuration, pins
from mlbloat.usage.elf.reader import ElfReader
from mlbloat.usage.entrypoint import application_seeds, entrypoint_seeds, own_command_seeds
from mlbloat.usage.ground import Ground
from mlbloat.usage.python.reader import PythonReader
from mlbloat.usage.reach import reach
from mlbloat.usage.shell import ScriptReader

Commands = tuple[tuple[str, ...], ...]


def follow(
    tree: FileTree,
    inventory: Inventory,
    config: ImageConfig,
    touched: Sequence[Use],
    commands: Commands,
    cache: Cache | None = None,
) -> tuple[Use, ...]:
    """Return every use of the tree: what was touched and all that it leads to.

    Without anything touched the command lines themselves are the roots: static evidence. With it, the image's own
    command is one more, as far as `safe` goes. Package databases and
    configuration are kept, but nothing is followed from them: they name everything that is installed.

    What files say is kept in the cache, by their content.
    """
    with Ground(tree, config, cache) as ground:
        readers = (
            ElfReader(ground),
            PythonReader(ground, inventory),
            ScriptReader(ground),
            ConventionReader(ground, inventory),
        )
        roots = (*touched, *own_command_seeds(tree, config)) if touched else entrypoint_seeds(tree, config, commands)
        application = application_seeds(tree, inventory, config, commands)
        reached = reach(tree, readers, (*roots, *application))
        ground.learning.save()
    return (*reached, *pins(tree, inventory), *configuration(tree))
