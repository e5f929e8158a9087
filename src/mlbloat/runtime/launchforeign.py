"""The launcher's part for containers that another engine starts: create, watch, start, wait, remove.

The process of such a container is not ours. What is ours is its name, so that it can be removed whatever happens.
"""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from socket import socket
from typing import Literal, Protocol

from mlbloat.runtime import controlgroup, kernel
from mlbloat.runtime.messages import Spec, send
from mlbloat.runtime.orders import Others, attend
from mlbloat.runtime.stopping import cleaned_up

_REMOVAL_SECONDS = 60
_RETRY_SECONDS = 0.5
_LATE = (
    "its first file accesses may be missing, because its file system could only be watched once it ran; take --engine "
    "runc for a complete record"
)


class RefusedError(Exception):
    """The engine does not start the container: its words, and whether the command is to blame."""

    def __init__(self, text: str, what: Literal["engine", "command"] = "engine") -> None:
        super().__init__(text)
        self.what = what


@dataclass(frozen=True)
class Ended:
    exit: int
    out_of_memory: bool
    flags: tuple[str, ...] = ()
    seconds: float | None = None
    """How long it ran, where the engine knows better than who waited for it."""


class Foreign(Protocol):
    """One container of another engine."""

    others: Others
    """What to watch while it runs: its output, where that does not come by itself."""
    held: bool
    """Whether it runs on what `create` returned; known once it is started."""

    def create(self) -> str:
        """Create it; nothing of it runs. Return a directory of its file system; empty when there is none so early."""

    def start(self) -> int:
        """Start it; return the number of its first process, 0 when that has ended already."""

    def execute(self, argv: list[str], stdout: int, stderr: int) -> int:
        """Start one more command in it, and return the number of a child that ends as it ends."""

    def finish(self) -> Ended:
        """Wait for the end of its output, and say how it ended."""

    def remove(self) -> None:
        """Remove it and all that was made for it, as far as that was made."""


def run(spec: Spec, control: socket, orders: socket, container: Foreign) -> None:
    with cleaned_up(container.remove):
        try:
            root = container.create()
            if "events" in spec["means"] and root:
                _watch(root, control)
            began = time.monotonic()
            first = container.start()
        except RefusedError as error:
            send(control, {"failed": error.what, "text": str(error)})
            return
        late = "events" in spec["means"] and not (root and container.held)
        if late and first:
            with contextlib.suppress(OSError):  # it has ended
                _watch(f"/proc/{first}/root", control)
        ended, groups = _descriptor(first), controlgroup.of_process(first)
        send(control, {"child": first}, ended)
        with contextlib.suppress(OSError):  # it has ended: then nothing can be asked there
            kernel.enter_network_namespace(first)
        send(control, {"started": began, "flags": [_LATE] if late else []})
        attend(ended, orders, container.execute, container.others)
        at = time.monotonic()
        # At once: the engine takes the control group away, and does not always note itself why something was killed.
        killed = controlgroup.memory_flags(groups, spec["memory_bytes"])
        result = container.finish()
        killed = killed or ([controlgroup.killed(spec["memory_bytes"])] if result.out_of_memory else [])
        flags = [*result.flags, *killed]
        at = at if result.seconds is None else began + result.seconds
        send(control, {"ended": result.exit, "at": at, "flags": flags})


def until_done(removal: Callable[[], object], refusal: type[Exception]) -> None:
    """Order a removal until the engine does it: a busy one refuses that for a container that has not ended yet."""
    end = time.monotonic() + _REMOVAL_SECONDS
    while True:
        try:
            removal()
        except refusal:
            if time.monotonic() > end:
                return
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _watch(root: str, control: socket) -> None:
    descriptor = kernel.watch_file_system(root)
    send(control, {"listener": "events"}, descriptor)
    os.close(descriptor)


def _descriptor(process: int) -> int:
    """Return a descriptor of a process; of one that ended when it has ended already."""
    if process:
        with contextlib.suppress(ProcessLookupError):
            return kernel.process_descriptor(process)
    child = os.fork()
    if child == 0:
        os._exit(0)
    descriptor = kernel.process_descriptor(child)
    os.waitpid(child, 0)
    return descriptor
