"""Images whose bytes nobody reads, for tests of measures."""

from collections.abc import Iterable, Iterator

from mlbloat.model.digest import Digest
from mlbloat.model.filetree import Entry
from mlbloat.model.image import Image, ImageConfig, Layer, Platform
from tests.support.trees import MemoryContents

DIGEST = Digest("sha256:" + "0" * 64)


def image_of(*layers: tuple[Entry, ...]) -> Image:
    return Image(
        reference="dir:/x",
        id=DIGEST,
        digest=None,
        platform=Platform(),
        config=ImageConfig(document=b'{"config": {"User": "app"}}'),
        layers=tuple(
            Layer(
                diff_id=DIGEST,
                created_by=f"RUN {number}",
                tar_bytes=0,
                compressed_bytes=None,
                entries=entries,
                source=_NoSource(),
            )
            for number, entries in enumerate(layers)
        ),
    )


class _NoSource(MemoryContents):
    """Measures never read bytes."""

    def __init__(self) -> None:
        super().__init__({})

    def members(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        raise AssertionError(entries)
