"""Who satisfies what: the capabilities by which packages of one manager find each other."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Providers:
    """Keys of the packages that provide a name; a package provides its own name."""

    by_name: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, provided: Iterable[tuple[str, Iterable[str]]]) -> "Providers":
        """From (key, names that it provides), the package's own name first."""
        found: dict[str, list[str]] = {}
        for key, names in provided:
            for name in dict.fromkeys(names):
                found.setdefault(name, []).append(key)
        return cls({name: tuple(keys) for name, keys in found.items()})

    def satisfying(self, key: str, names: Iterable[str]) -> tuple[str, ...]:
        """Return who satisfies these names, sorted; of several providers every one, since any may be the one."""
        keys = {provider for name in names for provider in self.by_name.get(name, ())}
        return tuple(sorted(keys - {key}))
