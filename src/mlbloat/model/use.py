"""Evidence that a file is needed, from a traced run or from static reach."""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from mlbloat.model.level import Level, LevelName
from mlbloat.model.step import Step

__all__ = ["Access", "Action", "Level", "LevelName", "Origin", "Reason", "RunRecord", "Use"]


class Action(StrEnum):
    """What a process did with a path."""

    EXECUTED = "executed"
    OPENED = "opened"
    LOOKED_UP = "looked up"
    """stat, access, readlink, chdir, extended attributes: existence or metadata."""
    LISTED = "listed"
    """Opened as a directory: the names in it may have been read."""
    CHANGED = "changed"
    """Renamed, linked, removed, its mode or owner changed."""


class Access(msgspec.Struct, frozen=True, gc=False):
    """One path that a process named, once per action, in order of first use."""

    path: str
    """Absolute inside the container, as named: not normalised, links not resolved."""
    action: Action


class Reason(StrEnum):
    """How evidence leads to a file; `Use.by` completes the sentence."""

    EXECUTED = "executed by"
    OPENED = "opened by"
    LOOKED_UP = "looked up by"
    CHANGED = "changed by"
    ENTRYPOINT = "command of"
    HEALTH_CHECK = "run by the health check"
    LINKED_TO = "pointed to by"
    INTERPRETER = "interpreter of"
    NEEDED = "needed by"
    IMPORTED = "imported by"
    MAY_IMPORT = "may be imported by"
    MAY_LOAD = "may be loaded by"
    MAY_RUN = "may be run by"
    NAMED = "named in"
    ASKED = "asked for by"
    SOURCE = "source of"
    BYTECODE = "bytecode of"
    DATA = "data of"
    LISTED = "in a directory listed by"
    METADATA = "metadata of"
    CONVENTION = "convention of"
    APPLICATION = "application file of"
    KEEP_RULE = "kept by rule"
    SAME_PACKAGE = "in the same package as"
    REQUIRED_PACKAGE = "in a package required by"
    REPAIRED = "missed on the slim image by"


class Use(msgspec.Struct, frozen=True, gc=False):
    """One reason to keep one path."""

    path: str
    """Canonical path of an entry of the tree."""
    level: Level
    """The lowest keep level that holds it for this reason."""
    reason: Reason
    by: str
    """The path, run, rule or convention that leads here; a path of the tree continues the chain."""
    pinned: bool = False
    """Kept at every level: a user's rule, a package database that scanners need, a name that a run listed."""


class Phase(StrEnum):
    """What a run was doing; those of a service follow each other in this order."""

    START = "start"
    """From its first instruction on. A command that is no service knows no other."""
    READY = "ready"
    """It said that it is ready, and was asked nothing yet."""
    REQUESTS = "requests"
    """It was asked: requests, and commands in its container."""
    STOP = "stop"
    """It was told to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The image that a run was recorded on."""

    id: str
    diff_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What one run of a workload did."""

    name: str
    engine: str
    tracer: str
    """Empty when the run was not traced."""
    seconds: float
    exit: int
    """Exit status; 128 + signal number when a signal ended it."""
    stdout: bytes
    stderr: bytes
    accesses: tuple[Access, ...] = ()
    phases: tuple[tuple[Phase, int], ...] = ()
    """Each phase that the run entered, and the number of the first access that was new in it. Empty: not known."""
    gpus: tuple[str, ...] = ()
    """Which it had."""
    steps: tuple[Step, ...] = ()
    """Of a service."""
    origin: Origin | None = None
    """None: not known."""
    flags: tuple[str, ...] = ()
    """Plain sentences about what this run could not see or did differently."""
