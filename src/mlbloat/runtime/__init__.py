"""Run a container ourselves, without a daemon, and say what this machine can do: all code that starts processes."""

from mlbloat.errors import EngineError, UsageError
from mlbloat.runtime import embedded, runc
from mlbloat.runtime.container import command_line, container_of
from mlbloat.runtime.doctor import Check, doctor
from mlbloat.runtime.engine import Engine
from mlbloat.runtime.listener import Listener
from mlbloat.runtime.process import remove as remove_tree
from mlbloat.runtime.unpack import unpack

__all__ = [
    "ENGINES",
    "Check",
    "Engine",
    "Listener",
    "choose",
    "command_line",
    "container_of",
    "doctor",
    "remove_tree",
    "unpack",
]

ENGINES: tuple[Engine, ...] = (runc, embedded)
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
        problem = engine.problem(tracing=tracing)
        if not problem:
            return engine
        missing.append(f"{engine.name}: {problem}")
    raise EngineError(f"cannot run containers here: {'; '.join(missing)}")
