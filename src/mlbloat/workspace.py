"""What one command works in."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlbloat import __version__, runtime
from mlbloat.cache import Cache, open_store
from mlbloat.request import Request


@contextmanager
def workspace(request: Request) -> Iterator[tuple[Path, Cache]]:
    """A directory for one command, gone afterwards, whatever happened; and the cache, which stays."""
    with open_store(request.cache, __version__) as cache:
        space = Path(tempfile.mkdtemp(prefix="mlbloat-"))
        try:
            yield space, cache
        finally:
            runtime.remove_tree(space)
