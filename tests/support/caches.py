"""A cache in memory, for tests of what keeps things in one."""

from collections.abc import Mapping


class MemoryCache:
    """Cache protocol over a dictionary that tests may look into and damage."""

    def __init__(self) -> None:
        self.parts: dict[tuple[str, str], dict[int, bytes]] = {}

    def load(self, kind: str, key: str) -> dict[int, bytes]:
        return dict(self.parts.get((kind, key), {}))

    def save(self, kind: str, key: str, parts: Mapping[int, bytes]) -> None:
        self.parts.setdefault((kind, key), {}).update(parts)

    def forget(self, start: str) -> None:
        """Drop the kinds whose names start so."""
        self.parts = {key: value for key, value in self.parts.items() if not key[0].startswith(start)}
