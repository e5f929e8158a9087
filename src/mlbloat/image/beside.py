"""Compare layers with their digests while something else is done.

A layer that the cache knows is checked when the first content of it is asked for (`blob.py`), and who asks waits. Who
will ask for contents of most layers has them checked before, in copies of this process: what a copy found right it
marks in the workspace, and what it did not get to, or found wrong, is checked again by who asks, who then says why.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from mlbloat.image.blob import BlobLayer
from mlbloat.model.image import Image
from mlbloat.runtime.workers import Workers


@contextmanager
def checked_beside(image: Image) -> Iterator[None]:
    """Check the layers of an image beside what the block does, the largest first; afterwards no copy is left.

    What would have to be downloaded is left to who asks, as nobody may.
    """
    sources = [layer.source for layer in sorted(image.layers, key=lambda layer: -layer.tar_bytes)]
    here = [source for source in sources if isinstance(source, BlobLayer) and source.waits()]

    def check(number: int) -> None:
        here[number].unpacked()

    workers: Workers[int, None] = Workers(check)
    try:
        workers.ask((number, source.blob.size_bytes) for number, source in enumerate(here))
        yield
    finally:
        workers.close()
