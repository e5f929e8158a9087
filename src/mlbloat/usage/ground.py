"""What all readers of one tree stand on: the tree, its configuration, what is known of its files and names."""

from functools import cached_property

from mlbloat.cache import Cache, NoCache
from mlbloat.model.filetree import FileTree
from mlbloat.model.image import ImageConfig
from mlbloat.usage.learning import Learning
from mlbloat.usage.names import Names

_NO_CACHE = NoCache()


class Ground:
    """A context that ends the processes which learning started."""

    def __init__(
        self, tree: FileTree, config: ImageConfig, cache: Cache = _NO_CACHE, processes: int | None = None
    ) -> None:
        self.tree = tree
        self.config = config
        self.learning = Learning(tree, cache, processes)

    @cached_property
    def names(self) -> Names:
        return Names(self.tree, self.config)

    def __enter__(self) -> "Ground":
        return self

    def __exit__(self, *_: object) -> None:
        self.learning.close()
