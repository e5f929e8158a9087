"""What one run named, in the order of first use, and where its phases begin."""

import os

from mlbloat.model.use import Access, Action, Phase
from mlbloat.usage.trace.outside import Attempts

MAX_ACCESSES = 1_000_000
"""Distinct paths that are kept of one run; a flag says when there were more. Made-up names must not fill our memory."""
_MAX_BYTES = 256 << 20
"""Of them all: names may be long."""


class Notes:
    """Each path once per action. Shared by the threads that record one run."""

    def __init__(self) -> None:
        self._accesses: list[tuple[bytes, Action]] = []
        self.seen: dict[Action, set[bytes]] = {action: set() for action in Action}
        self._phases: dict[Phase, int] = {Phase.START: 0}
        self._bytes = 0
        self.full = False
        self.outside = Attempts()

    @property
    def any(self) -> bool:
        return bool(self._accesses)

    def add(self, path: bytes, action: Action) -> None:
        seen = self.seen[action]
        if path in seen:
            return
        self._bytes += len(path)
        if len(self._accesses) >= MAX_ACCESSES or self._bytes > _MAX_BYTES:
            self.full = True
            return
        seen.add(path)
        self._accesses.append((path, action))

    def enter(self, phase: Phase) -> None:
        self._phases[phase] = len(self._accesses)

    def accesses(self) -> tuple[Access, ...]:
        return tuple(Access(os.fsdecode(path), action) for path, action in self._accesses)

    def phases(self) -> tuple[tuple[Phase, int], ...]:
        """Return each phase with the number of the first access that is new in it."""
        return tuple(self._phases.items())

    def flags(self) -> tuple[str, ...]:
        if not self.full:
            return ()
        return (f"it named more than {MAX_ACCESSES} distinct paths; the rest was not recorded",)


class Noting:
    """What every recorder hands on from its notes."""

    def __init__(self, notes: Notes | None = None) -> None:
        self._notes = notes or Notes()

    @property
    def outside(self) -> Attempts:
        return self._notes.outside

    def accesses(self) -> tuple[Access, ...]:
        """Return what was named; complete when serving ended."""
        return self._notes.accesses()

    def phases(self) -> tuple[tuple[Phase, int], ...]:
        return self._notes.phases()

    def enter(self, phase: Phase) -> None:
        """Note where a phase begins."""
        self._notes.enter(phase)
