"""What to start in a root file system, and how it ended."""

from dataclasses import dataclass
from typing import Literal

from mlbloat.model.step import Step
from mlbloat.model.workload import Mount, Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One process to start, everything resolved: no image configuration is consulted any more."""

    argv: tuple[str, ...]
    """`argv[0]` is looked up in the container's PATH when it has no slash."""
    environment: tuple[tuple[str, str], ...]
    working_directory: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    hostname: str = "mlbloat"
    timeout_seconds: float = 300.0
    service: Service | None = None
    network: Literal["none", "host"] = "none"
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    exit: int
    """Exit status; 128 + signal number when a signal ended it."""
    stdout: bytes
    stderr: bytes
    seconds: float
    """From the start of the process to its end; set-up is not in it."""
    timed_out: bool = False
    steps: tuple[Step, ...] = ()
    """Of a service."""
    flags: tuple[str, ...] = ()
    """Plain sentences about what was different from the image's own engine, such as a missing namespace."""
