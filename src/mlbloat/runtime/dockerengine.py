"""Containers of the docker engine, for what it alone gives, such as its networks.

It starts its containers itself, so no system call of them can be stopped: their file system is watched instead.
"""

import contextlib
import os
from pathlib import Path

from mlbloat.model.container import Container, Devices, Outcome
from mlbloat.runtime import dockerclient, foreign
from mlbloat.runtime.listener import Listener

name: str = "docker"
watched_only: bool = True


def problem(*, tracing: bool) -> str:
    """Say why it cannot be used here; tracing needs nothing more."""
    if not foreign.is_root():
        return foreign.NOT_ROOT
    try:
        host = _host()
    except dockerclient.ContextError as error:
        return str(error)
    if not host.startswith("unix://"):
        return f"the engine is at {host}; only one on this machine can be watched"
    try:
        dockerclient.version_at(host.removeprefix("unix://"))
    except (OSError, ValueError) as error:
        return f"no daemon answers at {host} ({getattr(error, 'strerror', None) or error}); start the docker service"
    return ""


def devices(gpus: tuple[str, ...]) -> Devices | None:
    """Leave it to the engine, which has the driver's files put in."""
    return None


def exposure() -> str:
    return ""


def run(container: Container, rootfs: Path, scratch: Path, listener: Listener | None = None) -> Outcome:
    """Run a container of an image that the engine has, or of one made of these files, which is removed again."""
    host = _host()
    disk = ""
    with contextlib.suppress(OSError, ValueError, KeyError):  # then its disk is not watched
        disk = dockerclient.storage_at(host.removeprefix("unix://"))
    return foreign.run("docker", container, rootfs, scratch, listener, host=host, disk=disk)


def _host() -> str:
    return dockerclient.environment(os.environ)["DOCKER_HOST"]
