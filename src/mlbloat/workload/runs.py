"""One run of a workload file: what it starts, under which conditions, and what must come of it."""

import posixpath
from pathlib import Path
from typing import Literal

from mlbloat.errors import UsageError
from mlbloat.model.workload import Mount, Run
from mlbloat.workload import document, expectations
from mlbloat.workload.services import service_of


def run_of(run: document.Run, default_name: str, problem: str, directory: Path) -> Run:
    """Check a run and turn it into a value; `problem` begins every error, mounts are relative to `directory`."""
    _check_command(run, problem)
    service = service_of(run, problem)
    return Run(
        name=run.name or default_name,
        run=None if run.run is None else tuple(run.run),
        args=None if run.args is None else tuple(run.args),
        environment=tuple((name, _text(value)) for name, value in run.env.items()),
        timeout_seconds=expectations.seconds(run.timeout_seconds, problem),
        expect=expectations.expect_of(run.expect, problem, service=service is not None),
        service=service,
        network=_network(run.network, problem),
        mounts=tuple(_mount(text, problem, directory) for text in run.mounts),
    )


def _check_command(run: document.Run, problem: str) -> None:
    if run.gpus not in ("none", 0, []):
        raise UsageError(f"{problem} asks for `gpus: {run.gpus}`; only `none` works yet: remove the line")
    if run.run is not None and run.args is not None:
        raise UsageError(f"{problem} has both `run` and `args`; `run` is the whole command line: keep one")
    if run.run == [] or (run.run and not run.run[0]):
        raise UsageError(f"{problem} has an empty `run`; give a command, or remove it to run the image's own")


def _text(value: str | float | bool) -> str:
    """A YAML scalar as the shell would see it: `on` and `1` are not what `True` and `1.0` are."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _network(name: str, problem: str) -> Literal["none", "host"]:
    if name == "none":
        return "none"
    if name == "host":
        return "host"
    if name == "bridge":
        raise UsageError(
            f"{problem} asks for `network: bridge`, which takes a container daemon; `host` reaches the outside, and "
            "with `none` requests reach the service in a network of its own"
        )
    raise UsageError(f"{problem} asks for `network: {name}`; it takes none or host")


def _mount(text: str, problem: str, directory: Path) -> Mount:
    parts = text.split(":")
    mode = parts.pop() if len(parts) == 3 else "rw"
    if len(parts) != 2 or not parts[0] or not parts[1].startswith("/") or mode not in ("ro", "rw"):
        raise UsageError(f"{problem} has mount {text!r}; it takes SOURCE:/TARGET or SOURCE:/TARGET:ro")
    source, target = directory / Path(parts[0]).expanduser(), posixpath.normpath(parts[1])
    if target in ("/", "//") or f"{target}/".startswith(("/proc/", "/sys/", "/dev/")):
        raise UsageError(f"{problem} has mount {text!r}: the container's own {target} stays; mount elsewhere")
    if not source.exists():
        raise UsageError(f"{problem} has mount {text!r}: there is no {source}; paths are relative to the workload file")
    return Mount(source=str(source.resolve()), target=target, read_only=mode == "ro")
