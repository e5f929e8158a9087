"""The whole answer to a question that was asked before: the same image, the same evidence.

A second scan of an image then follows nothing. The answer lies beside the facts of the image's last layer.
"""

import hashlib
import zlib
from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec

from mlbloat.cache import Cache
from mlbloat.model.filetree import FileTree
from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Level, Reason, Use

ANSWERS = "reach/17"
"""How the kinds of answers begin."""
_Row = tuple[int, int, int, int, bool]


class _Kept(msgspec.Struct, frozen=True, array_like=True, gc=False):
    words: bytes
    """Paths, reasons and what they are by, zero bytes between them."""
    rows: list[_Row]
    """Numbers of words, and levels, of uses."""


class Answer:
    """What is kept of one question."""

    def __init__(
        self,
        cache: Cache,
        tree: FileTree,
        config: ImageConfig,
        touched: Sequence[Use],
        commands: tuple[tuple[str, ...], ...],
    ) -> None:
        self._cache = cache
        self._layer = tree.layers[-1] if tree.layers else ""
        asked = repr((tree.layers, config, commands, len(touched)))
        uses = "\0".join(f"{use.path}\0{use.level}\0{use.reason}\0{use.by}\0{use.pinned}" for use in touched)
        digest = hashlib.sha256(f"{asked}\0{uses}".encode("utf-8", "surrogateescape")).hexdigest()
        self._kind = f"{ANSWERS}/{digest}"

    def get(self) -> tuple[Use, ...] | None:
        """Return the uses; None where they are not known, or what is kept is damaged."""
        value = self._cache.load(self._kind, self._layer).get(0) if self._layer else None
        if value is None:
            return None
        try:
            return _decode(value)
        except (zlib.error, msgspec.DecodeError, UnicodeDecodeError, ValueError, IndexError):
            return None

    def put(self, uses: Sequence[Use]) -> None:
        value = _encode(uses) if self._layer else None
        if value is not None:
            self._cache.save(self._kind, self._layer, {0: value})


def _encode(uses: Iterable[Use]) -> bytes | None:
    uses = tuple(uses)
    columns = ([use.path for use in uses], [use.reason for use in uses], [use.by for use in uses])
    numbers = {word: number for number, word in enumerate(dict.fromkeys(chain[str](*columns)))}
    paths, reasons, causes = (map(numbers.__getitem__, column) for column in columns)
    levels, pinned = (int(use.level) for use in uses), (use.pinned for use in uses)
    rows: list[_Row] = list(zip(paths, levels, reasons, causes, pinned, strict=True))
    words = "\0".join(numbers)
    if words.count("\0") != max(0, len(numbers) - 1):  # a command line can hold anything
        return None
    kept = _Kept(words.encode("utf-8", "surrogateescape"), rows)
    return zlib.compress(msgspec.msgpack.encode(kept), 1)


def _decode(value: bytes) -> tuple[Use, ...]:
    kept = msgspec.msgpack.decode(zlib.decompress(value), type=_Kept)
    words = kept.words.decode("utf-8", "surrogateescape").split("\0")
    levels = tuple(Level)
    reasons = {number: Reason(words[number]) for number in {row[2] for row in kept.rows}}
    return tuple(
        Use(words[path], levels[level], reasons[reason], words[by], pinned)
        for path, level, reason, by, pinned in kept.rows
    )
