"""Under which conditions a container runs: what it may reach, and how much of this machine it may take."""

from dataclasses import dataclass
from typing import Literal

SHARED_MEMORY_BYTES = 1 << 30
"""Of /dev/shm. Docker's 64 MiB starve the data loaders of machine-learning frameworks; users raise it there too."""
PROCESSES = 16384
"""Threads count. Far above what real workloads start, and far below what hurts the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A directory or file of this machine that the container sees in place of what its image has there."""

    source: str
    """Absolute."""
    target: str
    """Absolute inside the container."""
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tmpfs:
    """An empty directory in memory, in place of what the image has there."""

    target: str
    size_bytes: int | None = None
    """None: half of the machine's memory, the kernel's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """getrlimit(2)."""

    name: str
    """In lower case, without RLIMIT_."""
    soft: int
    hard: int
    """-1: unlimited, as `soft`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    gpus: tuple[str, ...] = ()
    """Names of devices as the machine's CDI files have them: `all`, numbers, UUIDs."""
    network: Literal["none", "host", "bridge"] = "none"
    """`bridge`: of the engine's making, through which it reaches the outside; engines with a daemon have one."""
    mounts: tuple[Mount, ...] = ()
    tmpfs: tuple[Tmpfs, ...] = ()
    memory_bytes: int | None = None
    """None: nine tenths of the machine's."""
    processes: int | None = None
    """Threads count; None: PROCESSES."""
    shared_memory_bytes: int = SHARED_MEMORY_BYTES
    limits: tuple[Limit, ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    """Name and address, for /etc/hosts."""
