"""Containers of podman, for what it gives and runc alone does not, such as its networks.

Its containers start as programs of its own, so no system call of them can be stopped: their file system is watched.
"""

from pathlib import Path

from mlbloat.model.container import Container, Devices, Outcome
from mlbloat.runtime import foreign, program
from mlbloat.runtime.listener import Listener

name: str = "podman"
watched_only: bool = True


def problem(*, tracing: bool) -> str:
    """Say why it cannot be used here; tracing needs nothing more."""
    if not foreign.is_root():
        return foreign.NOT_ROOT
    return "" if program.find("podman") else "it is not installed; install it (apt-get install podman)"


def devices(gpus: tuple[str, ...]) -> Devices | None:
    """Leave it to podman, which reads the machine's container device interface files itself."""
    return None


def exposure() -> str:
    return ""


def run(container: Container, rootfs: Path, scratch: Path, listener: Listener | None = None) -> Outcome:
    """Run a container over an overlay of ours, in a mount namespace of its own."""
    path = program.find("podman") or "podman"
    return foreign.run("podman", container, rootfs, scratch, listener, program=path)
