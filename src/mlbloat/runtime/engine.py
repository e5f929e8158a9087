"""What every engine does. Adding one is a module with these names, and its place in ENGINES."""

from pathlib import Path
from typing import Protocol

from mlbloat.model.container import Container, Outcome
from mlbloat.runtime.listener import Listener


class Engine(Protocol):
    """A way to run a container from a directory that holds its root file system."""

    @property
    def name(self) -> str:
        """As `--engine` takes it."""

    def problem(self, *, tracing: bool) -> str:
        """Say why it does not work on this machine and what would help; empty when it does."""

    def run(self, container: Container, rootfs: Path, scratch: Path, listener: Listener | None = None) -> Outcome:
        """Run a container to its end over `rootfs`, which stays as it is and may be shared by runs.

        What the run writes goes to a directory of its own under `scratch`, which is removed. RunError when the command
        cannot be started, EngineError when the container cannot.
        """
