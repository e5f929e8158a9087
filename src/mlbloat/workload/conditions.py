"""The keys of a run that say what it may reach and how much it may take."""

import ipaddress
import posixpath
import re
import resource
from pathlib import Path
from typing import Literal

from mlbloat.errors import UsageError
from mlbloat.model.conditions import Conditions, Limit, Mount, Tmpfs
from mlbloat.workload import document

_SIZE = re.compile(r"(\d{1,15})\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_LARGEST_BYTES = 1 << 50
_LEAST_MEMORY_BYTES = 16 << 20
"""Less does not hold a container's first process while it is set up."""
_LEAST_PROCESSES, _MOST_PROCESSES = 8, 1 << 22
_MOST_GPUS = 64
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")


def conditions_of(run: document.Run, problem: str, directory: Path) -> Conditions:
    """Check and read the conditions of a run; `problem` begins every error, mounts are relative to `directory`."""
    memory = None if run.memory is None else _size(run.memory, "memory", problem)
    if memory is not None and memory < _LEAST_MEMORY_BYTES:
        raise UsageError(f"{problem} has `memory: {run.memory}`; no container starts with less than 16 MiB")
    if run.processes is not None and not _LEAST_PROCESSES <= run.processes <= _MOST_PROCESSES:
        raise UsageError(f"{problem} has `processes: {run.processes}`; give at least {_LEAST_PROCESSES}; threads count")
    default = Conditions()
    shared = run.shm_size
    return Conditions(
        gpus=_gpus(run.gpus, problem),
        network=_network(run.network, problem),
        mounts=tuple(_mount(text, problem, directory) for text in run.mounts),
        tmpfs=tuple(_tmpfs(text, problem) for text in run.tmpfs),
        memory_bytes=memory,
        processes=run.processes,
        shared_memory_bytes=default.shared_memory_bytes if shared is None else _size(shared, "shm_size", problem),
        limits=tuple(_limit(name, value, problem) for name, value in run.ulimits.items()),
        hosts=tuple(_host(name, address, problem) for name, address in run.hosts.items()),
    )


def _size(value: int | str, key: str, problem: str) -> int:
    found = _SIZE.fullmatch(str(value).strip())
    size_bytes = 0 if found is None else int(found[1]) << 10 * " kmgt".index(found[2].lower() or " ")
    if not 0 < size_bytes <= _LARGEST_BYTES:
        raise UsageError(f"{problem} has `{key}: {value}`; it takes bytes, or a size such as 512MiB or 2g")
    return size_bytes


def _gpus(gpus: str | int | list[str], problem: str) -> tuple[str, ...]:
    if gpus in ("none", 0, []):
        return ()
    if isinstance(gpus, int) and 0 < gpus <= _MOST_GPUS:
        return tuple(map(str, range(gpus)))
    names = [gpus] if isinstance(gpus, str) else gpus
    if isinstance(names, int) or not all(_HOST_NAME.fullmatch(name) for name in names):
        raise UsageError(f"{problem} has `gpus: {gpus}`; it takes none, all, a number or a list of names")
    return tuple(names)


def _network(name: str, problem: str) -> Literal["none", "host", "bridge"]:
    if name == "none":
        return "none"
    if name == "host":
        return "host"
    if name == "bridge":
        return "bridge"
    raise UsageError(f"{problem} asks for `network: {name}`; it takes none, host or bridge")


def _mount(text: str, problem: str, directory: Path) -> Mount:
    parts = text.split(":")
    mode = parts.pop() if len(parts) == 3 else "rw"
    if len(parts) != 2 or not parts[0] or mode not in ("ro", "rw"):
        raise UsageError(f"{problem} has mount {text!r}; it takes SOURCE:/TARGET or SOURCE:/TARGET:ro")
    source, target = directory / Path(parts[0]).expanduser(), _target(parts[1], "mount", text, problem)
    if not source.exists():
        raise UsageError(f"{problem} has mount {text!r}: there is no {source}; paths are relative to the workload file")
    return Mount(source=str(source.resolve()), target=target, read_only=mode == "ro")


def _tmpfs(text: str, problem: str) -> Tmpfs:
    path, _, option = text.partition(":")
    name, _, size = option.partition("=")
    if option and name != "size":
        raise UsageError(f"{problem} has tmpfs {text!r}; it takes /PATH or /PATH:size=64MiB")
    target = _target(path, "tmpfs", text, problem)
    return Tmpfs(target=target, size_bytes=_size(size, "size", problem) if option else None)


def _target(path: str, what: str, text: str, problem: str) -> str:
    target = posixpath.normpath(path)
    if not path.startswith("/") or "\0" in path:
        raise UsageError(f"{problem} has {what} {text!r}: {path!r} is not absolute; give a path in the container")
    if target in ("/", "//") or f"{target}/".startswith(("/proc/", "/sys/", "/dev/")):
        raise UsageError(f"{problem} has {what} {text!r}: the container's own {target} stays; mount elsewhere")
    return target


def _limit(name: str, value: int | str, problem: str) -> Limit:
    known = sorted(each.removeprefix("RLIMIT_").lower() for each in dir(resource) if each.startswith("RLIMIT_"))
    if name not in known or name == "ofile":
        raise UsageError(f"{problem} has no known limit {name!r} in `ulimits`; known: {', '.join(known)}")
    soft, _, hard = str(value).partition(":")
    numbers = [-1 if part in ("unlimited", "-1") else int(part) if _is_limit(part) else None for part in (soft, hard)]
    if not hard:
        numbers[1] = numbers[0]
    if numbers[0] is None or numbers[1] is None or (numbers[1] != -1 and not -1 < numbers[0] <= numbers[1]):
        raise UsageError(f"{problem} has `ulimits: {name}: {value}`; it takes a number, SOFT:HARD or unlimited")
    return Limit(name=name, soft=numbers[0], hard=numbers[1])


def _is_limit(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _host(name: str, address: str, problem: str) -> tuple[str, str]:
    try:
        fine = bool(_HOST_NAME.fullmatch(name)) and bool(ipaddress.ip_address(address))
    except ValueError:
        fine = False
    if not fine:
        raise UsageError(f"{problem} has host {name!r}: {address!r}; it takes a name and its IP address")
    return name, address
