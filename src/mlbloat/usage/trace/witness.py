"""A second pair of eyes: fanotify beside the default tracer, for files that one saw opened and the other did not.

That would be a hole: a call that reads a file and that no filter stops at. It costs next to nothing; root alone has it.
"""

from contextlib import AbstractContextManager

from mlbloat.model.filetree import FileTree, Kind
from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Access, Action, Phase, RunRecord
from mlbloat.runtime import Means
from mlbloat.usage.trace import fanotify, seccomp
from mlbloat.usage.trace.outside import Attempts
from mlbloat.usage.trace.touched import uses_of

_SHOWN = 3


class Recorder:
    """The default tracer with a witness: what it records is the tracer's."""

    def __init__(self) -> None:
        self._calls = seccomp.Recorder()
        self._events = fanotify.Recorder(witness=True)
        self.calls = self._calls.calls
        self.means = (*self._events.means, *self._calls.means)

    @property
    def outside(self) -> Attempts:
        return self._calls.outside

    def serve(self, means: Means, *descriptors: int) -> AbstractContextManager[None]:
        return (self._events if means == "witness" else self._calls).serve(means, *descriptors)

    def enter(self, phase: Phase) -> None:
        self._calls.enter(phase)

    def accesses(self) -> tuple[Access, ...]:
        return self._calls.accesses()

    def phases(self) -> tuple[tuple[Phase, int], ...]:
        return self._calls.phases()

    def flags(self) -> tuple[str, ...]:
        return self._calls.flags()

    def witnessed(self) -> tuple[Access, ...]:
        """Return what fanotify saw."""
        return self._events.accesses()


def holes(witnessed: tuple[Access, ...], record: RunRecord, tree: FileTree, config: ImageConfig) -> tuple[Access, ...]:
    """Return files of the image that were opened and are not in a record: not named, nor opened by the kernel for it.

    A directory is opened on the way to others by nobody but who lists it; what the run made is no file of the image.
    """
    named = {access.path for access in record.accesses}
    doubtful = []
    for access in witnessed:
        entry = tree.get(access.path)
        if access.path not in named and entry is not None and entry.kind is Kind.FILE:
            doubtful.append(Access(access.path, Action.OPENED))
    if not doubtful:
        return ()
    used = {use.path for use in uses_of((record,), tree, config)}
    return tuple(dict.fromkeys(access for access in doubtful if access.path not in used))


def flags(found: tuple[Access, ...]) -> tuple[str, ...]:
    """Say what the tracer has missed."""
    if not found:
        return ()
    shown = ", ".join(access.path for access in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return (
        f"it opened files in a way that the tracer did not see, {shown}{more}: they count as used, but "
        "look-ups made that way may be missing here; please report this, with the program that did it",
    )
