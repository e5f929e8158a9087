"""The ways to record a run, one of which `--tracer` names."""

from types import ModuleType
from typing import Protocol

from mlbloat.errors import EngineError, UsageError
from mlbloat.model.use import Access, Phase
from mlbloat.runtime import Listener
from mlbloat.usage.trace import fanotify, fuse, seccomp, strace, witness
from mlbloat.usage.trace.outside import Attempts

TRACERS: tuple[ModuleType, ...] = (seccomp, fuse, fanotify, strace)
"""In the order of preference. Adding one is a module with `name`, `BLIND`, `problem` and `Recorder`."""


class Tracing(Listener, Protocol):
    """One recording: the listener that an engine serves, and what came of it."""

    @property
    def outside(self) -> Attempts:
        """Where the run tried to connect to, as far as this tracer sees it."""

    def accesses(self) -> tuple[Access, ...]:
        """What the run named, in the order of first use."""

    def phases(self) -> tuple[tuple[Phase, int], ...]:
        """Each phase that the run entered, with the number of the first access that is new in it."""

    def flags(self) -> tuple[str, ...]:
        """What this recording may have missed or changed."""


def choose(name: str, *, watched_only: bool = False) -> ModuleType:
    """Return the tracer of that name, or with `auto` the first that works here, and with the engine."""
    known = ", ".join(tracer.name for tracer in TRACERS)
    tracers = [tracer for tracer in TRACERS if name in ("auto", tracer.name)]
    if not tracers:
        raise UsageError(f"cannot trace with {name!r}: there is no tracer of that name; take auto, {known}")
    if watched_only:
        tracers = [tracer for tracer in tracers if "events" in tracer.Recorder.means]
    if not tracers:
        raise UsageError(
            f"cannot trace with {name} what another engine starts, only watch its file system; take --tracer auto, or "
            "--engine runc"
        )
    missing = []
    for tracer in tracers:
        problem = tracer.problem()
        if not problem:
            return tracer
        missing.append(f"{tracer.name}: {problem}")
    raise EngineError(f"cannot trace here: {'; '.join(missing)}")


def recorder(tracer: ModuleType) -> Tracing:
    """Return the listener for one run, with a witness beside it where it may have one."""
    watched = tracer is seccomp and not fanotify.problem()
    started: Tracing = witness.Recorder() if watched else tracer.Recorder()
    return started
