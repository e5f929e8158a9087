"""Facts about files: what a reader learnt of one content, so that no later run reads it again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from mlbloat.cache.store import Cache

Fact = TypeVar("Fact")


@dataclass(slots=True)
class Facts(Generic[Fact]):
    """One kind of fact by content key (`FileTree.content_key`): a layer's digest and an offset in it.

    What is kept of a layer is loaded when its first file is asked for; what is learnt is saved at the end.
    """

    cache: Cache
    kind: str
    """With the number of its format: a change of what is learnt is a new kind."""
    type: type[Fact]
    """What msgspec decodes to."""
    _kept: dict[str, dict[int, bytes]] = field(default_factory=dict)
    _new: dict[str, dict[int, bytes]] = field(default_factory=dict)
    _decode: Callable[[bytes], Fact] = field(init=False)
    _encode: Callable[[object], bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._decode = msgspec.msgpack.Decoder(self.type).decode
        self._encode = msgspec.msgpack.Encoder().encode

    def get(self, key: tuple[str, int] | None) -> Fact | None:
        """Return what is kept or was learnt of a content; None when that is nothing, or it has no key."""
        value = None if key is None else self._value(*key)
        try:
            return None if value is None else self._decode(value)
        except msgspec.DecodeError:  # a damaged value is as good as none
            return None

    def has(self, key: tuple[str, int] | None) -> bool:
        """Tell whether something is known of a content; a damaged value counts until it is asked for."""
        return key is not None and self._value(*key) is not None

    def put(self, key: tuple[str, int] | None, fact: Fact) -> None:
        if key is not None:
            self._new.setdefault(key[0], {})[key[1]] = self._encode(fact)

    def put_encoded(self, key: tuple[str, int] | None, value: bytes) -> Fact:
        """Put a fact that another process encoded with MessagePack; returns it."""
        fact = self._decode(value)
        if key is not None:
            self._new.setdefault(key[0], {})[key[1]] = value
        return fact

    def save(self) -> None:
        """Keep what was learnt; a layer's facts are kept together or not at all."""
        for layer, parts in self._new.items():
            self.cache.save(self.kind, layer, parts)
        self._new.clear()

    def _value(self, layer: str, offset: int) -> bytes | None:
        learnt = self._new.get(layer)
        value = learnt.get(offset) if learnt else None
        return self._of_layer(layer).get(offset) if value is None else value

    def _of_layer(self, layer: str) -> dict[int, bytes]:
        if layer not in self._kept:
            self._kept[layer] = self.cache.load(self.kind, layer)
        return self._kept[layer]
