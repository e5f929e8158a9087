"""What one command works in."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlbloat import __version__, runtime
from mlbloat.cache import Cache, open_store
from mlbloat.errors import UsageError
from mlbloat.request import Request


@contextmanager
def workspace(request: Request) -> Iterator[tuple[Path, Cache]]:
    """A directory for one command, gone afterwards, whatever happened; and the cache, which stays."""
    _require_scratch()
    with open_store(request.cache, __version__) as cache:
        space = Path(tempfile.mkdtemp(prefix="mlbloat-"))
        try:
            yield space, cache
        finally:
            runtime.remove_tree(space)


def _require_scratch() -> None:
    """Refuse a TMPDIR that cannot be used: Python would take another directory, with less space, without a word."""
    named = os.environ.get("TMPDIR", "")
    if named and not os.access(named, os.W_OK | os.X_OK):
        why = "it cannot be written" if os.path.isdir(named) else "there is no such directory"  # noqa: PTH112
        raise UsageError(f"cannot use TMPDIR={named}: {why}; make it, or name another one with enough space")
