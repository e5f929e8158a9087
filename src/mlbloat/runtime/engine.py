"""What every engine does. Adding one is a module with these names, and its place in ENGINES."""

from pathlib import Path
from typing import Protocol

from mlbloat.model.container import Container, Devices, Outcome
from mlbloat.runtime.listener import Listener


class Engine(Protocol):
    """A way to run a container from a directory that holds its root file system."""

    @property
    def name(self) -> str:
        """As `--engine` takes it."""

    @property
    def watched_only(self) -> bool:
        """Whether somebody else starts its containers: a tracer can watch them, and stop none of their calls."""

    def devices(self, gpus: tuple[str, ...]) -> Devices | None:
        """Return what GPUs take of this machine; None for none, or where the engine finds out itself.

        EngineError when this machine or the engine cannot give them.
        """

    def problem(self, *, tracing: bool) -> str:
        """Say why it does not work on this machine and what would help; empty when it does."""

    def exposure(self) -> str:
        """Say what an image could do to this machine that it should not: `auto` then passes the engine over."""

    def run(self, container: Container, rootfs: Path, scratch: Path, listener: Listener | None = None) -> Outcome:
        """Run a container to its end over `rootfs`, which stays as it is and may be shared by runs.

        What the run writes goes to a directory of its own under `scratch`, which is removed. RunError when the command
        cannot be started, EngineError when the container cannot.
        """
