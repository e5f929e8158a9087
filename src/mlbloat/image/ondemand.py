"""A layer of a registry that is downloaded when a content of it is asked for.

So is a layer that the cache knows: a scan mostly asks for nothing of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mlbloat.errors import BadImageError, ImageNotFoundError
from mlbloat.image.alone import alone
from mlbloat.model.digest import Digest
from mlbloat.tarstream import Reader, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteBlob(Window):
    """A file that is there once it was opened; of several readers one downloads it, and the others wait."""

    reference: str
    """Of the image, without a scheme."""
    name: str
    """What errors call the image."""
    digest: Digest
    start: bytes
    """The first bytes, enough to recognise a compression."""

    def first(self, count: int) -> bytes:
        return self.start[:count]

    def reader(self) -> Reader:
        if not self.path.exists():
            self._download()
        return Window.reader(self)

    def _download(self) -> None:
        from mlbloat.registry import download, open_registry, parse_reference

        with alone(self.path.with_name(f".{self.path.name}.lock")):
            if self.path.exists():
                return
            with told(self.name), open_registry(parse_reference(self.reference)) as registry:
                download(registry, self.digest, self.size_bytes, self.path, lambda _: None)


@contextmanager
def told(name: str) -> Iterator[None]:
    """Say what could not be read because of a registry."""
    from mlbloat.registry import AbsentError, BadContentError, RegistryError

    try:
        yield
    except BadContentError as error:
        raise BadImageError(f"cannot read {name}: {error}") from error
    except AbsentError as error:
        raise ImageNotFoundError(f"cannot find {name}: {error}") from error
    except RegistryError as error:
        raise ImageNotFoundError(f"cannot read {name}: {error}") from error
