"""What to start in a root file system, and how it ended."""

from dataclasses import dataclass, field

from mlbloat.model.conditions import Conditions, Mount
from mlbloat.model.step import Step
from mlbloat.model.workload import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device file of the container."""

    path: str
    kind: str
    """`c` or `b`."""
    major: int
    minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceHook:
    """A program of this machine that the runtime starts to finish the container, such as for links of the driver."""

    when: str
    """As the runtime calls it: `createContainer` and others."""
    path: str
    arguments: tuple[str, ...]
    environment: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """What GPUs take: of this machine, never of the image."""

    environment: tuple[str, ...]
    """`NAME=value`."""
    nodes: tuple[Device, ...]
    mounts: tuple[Mount, ...]
    hooks: tuple[DeviceHook, ...]


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
    conditions: Conditions = field(default_factory=Conditions)
    devices: Devices | None = None
    """None: no GPU, or the engine finds out itself what a GPU takes."""
    image: str = ""
    """Id of the image; an engine that holds it need not be given its files."""
    new_privileges: bool = False
    """Whether its set-uid programs may have the rights of their owners."""

    @property
    def covered(self) -> tuple[str, ...]:
        """Paths at which the container sees something else than its image."""
        mounts = (*self.conditions.mounts, *(self.devices.mounts if self.devices else ()))
        return tuple(mount.target for mount in mounts) + tuple(tmpfs.target for tmpfs in self.conditions.tmpfs)


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
