"""Run a container ourselves, without a daemon, ask engines, and say what works here: all code that starts processes."""

from mlbloat.errors import EngineError, UsageError
from mlbloat.runtime import dockerengine, embedded, podmanengine, runc
from mlbloat.runtime.container import command_line, container_of
from mlbloat.runtime.dockerclient import ContextError
from mlbloat.runtime.dockerclient import connect as connect_docker
from mlbloat.runtime.dockerclient import trouble as docker_trouble
from mlbloat.runtime.doctor import Check, doctor
from mlbloat.runtime.engine import Engine
from mlbloat.runtime.kernel import kernel_version, open_below, open_inside, open_root
from mlbloat.runtime.listener import Listener
from mlbloat.runtime.messages import Means
from mlbloat.runtime.podman import NoSuchImageError, Podman
from mlbloat.runtime.podman import find as find_podman
from mlbloat.runtime.process import remove as remove_tree
from mlbloat.runtime.program import ProgramError, ask, printed
from mlbloat.runtime.program import find as find_program
from mlbloat.runtime.running import RunningContainer, find_running, loaded_by, mounted_over, watch_running
from mlbloat.runtime.strace import Attached
from mlbloat.runtime.strace import attach as attach_strace
from mlbloat.runtime.strace import problem as strace_problem
from mlbloat.runtime.unpack import unpack

__all__ = [
    "ENGINES",
    "Attached",
    "Check",
    "ContextError",
    "Engine",
    "Listener",
    "Means",
    "NoSuchImageError",
    "Podman",
    "ProgramError",
    "RunningContainer",
    "ask",
    "attach_strace",
    "choose",
    "command_line",
    "connect_docker",
    "container_of",
    "docker_trouble",
    "doctor",
    "find_podman",
    "find_program",
    "find_running",
    "kernel_version",
    "loaded_by",
    "mounted_over",
    "open_below",
    "open_inside",
    "open_root",
    "printed",
    "remove_tree",
    "strace_problem",
    "unpack",
    "watch_running",
]

ENGINES: tuple[Engine, ...] = (runc, embedded, dockerengine, podmanengine)
"""In the order of preference."""


def choose(name: str, *, tracing: bool) -> Engine:
    """Return the engine of that name, or with `auto` the first that works here; EngineError says what is missing.

    UsageError for a name that no engine has.
    """
    engines = [engine for engine in ENGINES if name in ("auto", engine.name)]
    if not engines:
        known = ", ".join(engine.name for engine in ENGINES)
        raise UsageError(f"cannot use engine {name!r}: there is none of that name; take auto, {known}")
    missing = []
    for engine in engines:
        problem = engine.problem(tracing=tracing) or (engine.exposure() if name == "auto" else "")
        if not problem:
            return engine
        missing.append(f"{engine.name}: {problem}")
    raise EngineError(f"cannot run containers here: {'; '.join(missing)}")
