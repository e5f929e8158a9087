"""Record what a container uses that runs already, from now on until its time is over."""

import contextlib
import math
import os
import select
import time
from collections.abc import Callable

from mlbloat.errors import EngineError
from mlbloat.model.use import Access, Action, Origin, RunRecord
from mlbloat.runtime import RunningContainer, find_running, loaded_by, mounted_over, watch_running
from mlbloat.usage.trace import fanotify

_LOOK_SECONDS = 0.5
Say = Callable[[str], None]


def attach(name: str, seconds: float | None, say: Say) -> RunRecord:
    """Watch a running container for some seconds, until it ends, or until an interrupt, which ends the recording alone.

    None: no limit of time. EngineError and ImageNotFoundError when it cannot be watched.
    """
    container = find_running(name)
    problem = fanotify.problem() if os.geteuid() == 0 else ""
    if problem:
        raise EngineError(f"cannot attach to {name}: {problem.removesuffix('; take seccomp')}")
    descriptor, ended = watch_running(container)
    recorder = fanotify.Recorder()
    with contextlib.ExitStack() as opened:
        opened.callback(os.close, ended)
        covered = mounted_over(container)
        begun = time.monotonic()
        with recorder.serve("events", descriptor):
            programs, files = loaded_by(container)
            until = "until Ctrl-C or its end" if seconds is None else f"for {seconds:g} s; Ctrl-C ends it sooner"
            watching = f"watching {container.engine}:{container.name} (image {container.image}) {until}"
            why = _wait(ended, seconds, lambda: say(watching))
        passed = time.monotonic() - begun
    before = [Access(path, Action.EXECUTED) for path in programs] + [Access(path, Action.OPENED) for path in files]
    accesses = _of_the_image((*before, *recorder.accesses()), covered)
    say(f"{why} after {passed:.0f} s: {len({access.path for access in accesses})} files and directories recorded")
    return RunRecord(
        name=f"attached to {container.name}",
        engine=container.engine,
        tracer=fanotify.name,
        seconds=passed,
        exit=0,
        stdout=b"",
        stderr=b"",
        accesses=accesses,
        origin=_origin(container),
        flags=(_incomplete(container, passed), *recorder.flags()),
    )


def _wait(ended: int, seconds: float | None, begin: Callable[[], None]) -> str:
    """Begin and wait; say what for. An interrupt of either is one of the wait."""
    try:
        begin()
        until = math.inf if seconds is None else time.monotonic() + seconds
        # Not all at once: an interrupt that comes just before a wait does not end it.
        while (left := until - time.monotonic()) > 0:
            if select.select([ended], [], [], min(left, _LOOK_SECONDS))[0]:
                return "the container ended"
    except KeyboardInterrupt:
        return "interrupted"
    return "done"


def _of_the_image(accesses: tuple[Access, ...], covered: tuple[str, ...]) -> tuple[Access, ...]:
    """Leave out what the container had from elsewhere."""
    places = tuple(f"{path.rstrip('/')}/" for path in covered)
    met = (each for each in accesses if each.path not in covered and not f"{each.path}/".startswith(places))
    return tuple(dict.fromkeys(met))


def _origin(container: RunningContainer) -> Origin | None:
    return Origin(id=container.image_id, diff_ids=container.diff_ids) if container.image_id else None


def _incomplete(container: RunningContainer, seconds: float) -> str:
    return (
        f"stat-incomplete: {container.name} was watched for {seconds:.0f} s while it ran; of what it did before, only "
        "the programs and files that it still had open count, and what it does at its start and end may be missing: "
        "slim with --keep safe, and with another profile of its start (mlbloat trace IMAGE -w FILE)"
    )
