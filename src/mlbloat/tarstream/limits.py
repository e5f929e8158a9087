"""What an image may ask of this machine, and what it has taken of that so far."""

import threading
from dataclasses import dataclass, fields

from mlbloat.tarstream.block import BrokenTarError

_POWERS = (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10))


class OverLimitError(BrokenTarError):
    """Which limit was met, and the flag that raises it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Each can be raised for an image that is trusted; the defaults keep a hostile one below some 4 GB of memory.

    A node of the tree costs about 1 kB in all stages together, a character of a name up to four bytes, several times.
    """

    entries: int = 2_000_000
    """Members of all layers, and the directories that no layer holds and a path needs."""
    metadata_bytes: int = 256 << 20
    """Names, link targets and extended attributes of all entries. What a look-up follows counts each time, so that
    this bounds its time, too."""
    header_bytes: int = 1 << 20
    """Extension headers of one member; the limit of Go's archive/tar, so of most engines."""
    path_components: int = 512
    image_bytes: int = 64 << 30
    """All layers of an image, uncompressed."""
    document_bytes: int = 8 << 20
    """One JSON document: an index, a manifest or a configuration."""
    ratio: int = 1000
    """Uncompressed by compressed bytes, checked above `ratio_from_bytes`."""
    ratio_from_bytes: int = 1 << 30

    def advice(self, name: str) -> str:
        """Say how to get past a limit that was met: the flag with twice its value, ready to copy."""
        return f"if you trust this image, raise the limit with --limit {name}={_shown(name, 2 * getattr(self, name))}"


DEFAULT_LIMITS = Limits()
LIMIT_NAMES = tuple(field.name for field in fields(Limits))


def _shown(name: str, value: int) -> str:
    if name.endswith("_bytes"):
        for unit, power in _POWERS:
            if value and value % (1 << power) == 0:
                return f"{value >> power}{unit}"
    return str(value)


class Budget:
    """Counts what all layers of one image take together; shared by the threads that read them."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._most_entries, self._most_bytes = self._limits.entries, self._limits.metadata_bytes
        self._lock = threading.Lock()
        self._entries = 0
        self._metadata_bytes = 0

    def take(self, entries: int, metadata_bytes: int) -> None:
        """Raise OverLimitError when there is no more."""
        with self._lock:
            self._entries += entries
            self._metadata_bytes += metadata_bytes
            too_many, too_large = self._entries > self._most_entries, self._metadata_bytes > self._most_bytes
        if too_many or too_large:
            name = "entries" if too_many else "metadata_bytes"
            what = "entries" if too_many else "bytes of names, links and attributes"
            limit = getattr(self._limits, name)
            raise OverLimitError(f"the image has more than {limit} {what}; {self._limits.advice(name)}")
