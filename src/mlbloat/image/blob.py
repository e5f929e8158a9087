"""A layer as a blob, opened when a content is asked for.

A layer that the cache knows is indexed without a look at its blob. The first that asks for a content has the blob
checked against its digests and, where it is compressed, unpacked into the workspace; everyone after that finds it
there, in other threads and processes, too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from mlbloat.image.alone import alone
from mlbloat.image.meter import Meter
from mlbloat.image.ondemand import RemoteBlob
from mlbloat.image.unpack import decoder_of, unpack
from mlbloat.model.digest import Digest
from mlbloat.model.filetree import Entry
from mlbloat.tarstream import Limits, TarBytes, TarLayer, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobLayer:
    """The LayerSource over a stored layer; holds no open file, so it can be sent to another process."""

    blob: TarBytes
    digest: Digest | None
    """Of the blob as stored; None where the source has none."""
    diff_id: Digest
    trusted: bool
    """Its digests are known to be right, or not to be compared."""
    name: str
    """What errors call it."""
    directory: Path
    limits: Limits
    meter: Meter
    opened: list[TarLayer] = field(default_factory=list, repr=False, compare=False)
    """What `unpacked` found, once it did."""

    def open(self, entry: Entry) -> BinaryIO:
        """Open a regular file's content. The caller closes it."""
        return self.unpacked().open(entry)

    def members(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        """Yield the entries as they stand in the tar."""
        yield from self.unpacked().members(entries)

    def compressed(self) -> bool:
        return not self.trusted and decoder_of(self.blob) is not None

    def waits(self) -> bool:
        """Tell whether the first that asks for a content will have to wait, and not for a download."""
        return not isinstance(self.blob, RemoteBlob) and self._checked() is None

    def unpacked(self) -> TarLayer:
        """Return the uncompressed tar; its digests were compared, now or by whom asked first."""
        if not self.opened:  # asked for each of ten thousand files
            tar = self._checked()
            if tar is None:
                with alone(self.directory / f"{self.diff_id.hex}.lock"):
                    tar = self._checked() or self._check()
            self.opened.append(TarLayer(tar=tar, name=self.name, limits=self.limits))
        return self.opened[0]

    def _checked(self) -> TarBytes | None:
        if self.trusted:
            return self.blob
        if self._tar.exists():
            return Window.whole(self._tar)
        return self.blob if self._mark.exists() else None

    def _check(self) -> TarBytes:
        unpacked = unpack(
            self.blob,
            name=self.name,
            digest=self.digest,
            diff_id=self.diff_id,
            directory=self.directory,
            limits=self.limits,
            meter=self.meter,
        )
        if not unpacked.compressed:
            self._mark.touch()
        return unpacked.tar

    @property
    def _tar(self) -> Path:
        return self.directory / f"{self.diff_id.hex}.tar"

    @property
    def _mark(self) -> Path:
        """Exists once this uncompressed blob was found to have its digest."""
        place = Digest.of(self.blob.place.encode("utf-8", "surrogateescape"))
        return self.directory / f"{self.diff_id.hex}-{place.hex[:16]}.checked"
