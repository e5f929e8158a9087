"""Containers by runc, from a bundle of our own: no daemon, no image store.

https://github.com/opencontainers/runtime-spec/blob/v1.0.2/config.md
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from mlbloat.errors import RunError
from mlbloat.model.conditions import Mount, Tmpfs
from mlbloat.model.container import Container, Device, Devices, Outcome
from mlbloat.runtime import defaults, embedded, gpu, process, seccomp
from mlbloat.runtime.embedded import isolations, spec_of
from mlbloat.runtime.listener import Listener
from mlbloat.runtime.messages import Spec
from mlbloat.runtime.syscalls import NATIVE

name: str = "runc"
watched_only: bool = False

_NOT_EXECUTED = re.compile(rb"exec /[^\n]*: ([a-z ]+)\n")
"""What the first process says, in place of the command, when the last step fails; its status is 1 then."""
_NO_LIMIT = 1 << 64
_HOW_TO_GET = "install it (apt-get install runc)"


def problem(*, tracing: bool) -> str:
    """Say why runc cannot be used; for tracing it must have been built with seccomp."""
    if os.geteuid() != 0 or embedded.problem(tracing=tracing) or "root" not in isolations():
        return "it needs root with the capability SYS_ADMIN; run as root, or take the embedded engine"
    if os.uname().machine not in NATIVE:
        return f"no table of system calls for {os.uname().machine} processors"
    if not _root_is_a_mount():
        return "this process is in a chroot, where runc cannot change the root; take the embedded engine"
    version = version_of_runc()
    if not version:
        return f"it is not installed; {_HOW_TO_GET}"
    if "libseccomp" not in version:
        return f"it does not start, or was built without seccomp ({version}); {_HOW_TO_GET}"
    return ""


def _root_is_a_mount() -> bool:
    lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    return any(line.split()[4] == "/" for line in lines)


@cache
def version_of_runc() -> str:
    """Return what `runc --version` says, in one line; empty when there is none."""
    program = _program()
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    text = (done.stdout or done.stderr).decode(errors="replace")
    return ", ".join(line.strip() for line in text.splitlines())


def _program() -> str | None:
    return shutil.which("runc", path=f"{os.environ.get('PATH', '')}:{defaults.PATH}")


def exposure() -> str:
    return ""


def run(container: Container, rootfs: Path, scratch: Path, listener: Listener | None = None) -> Outcome:
    """Run a container under runc, over an overlay in a mount namespace of its own."""
    embedded.refuse_bridge(container)
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=scratch.absolute()))
    calls = frozenset() if listener is None else listener.calls
    (directory / "config.json").write_text(json.dumps(configuration(container, str(directory), calls)))
    spec = spec_of(container, rootfs, str(directory), listener)
    spec |= {"engine": "runc", "program": _program() or "runc"}
    return refuse_unexecuted(container, process.launch(spec, container, listener))


def refuse_unexecuted(container: Container, outcome: Outcome) -> Outcome:
    """Raise RunError when the outcome is runc's, because the command could not be executed."""
    if outcome.exit == 1 and (said := _NOT_EXECUTED.fullmatch(outcome.stderr)):
        reason = said[1].decode(errors="replace")
        raise RunError(f"cannot run {container.argv[0]!r}: {reason} (is the interpreter it names in the image?)")
    return outcome


def devices(gpus: tuple[str, ...]) -> Devices | None:
    """Return what these GPUs take, as files of this machine say it."""
    return gpu.devices_of(gpus)


def configuration(container: Container, directory: str, notify: frozenset[str]) -> dict[str, Any]:
    """Return config.json: what docker would give the container, the image's root in `directory`/merged.

    Its network is that of the launcher, which makes one of its own unless the run asks for the host's.
    """
    machine, conditions = os.uname().machine, container.conditions
    spec = spec_of(container, Path("/"), directory, None)
    nodes = () if container.devices is None else container.devices.nodes
    bound = conditions.mounts + (() if container.devices is None else container.devices.mounts)
    return {
        "ociVersion": "1.0.2",
        "root": {"path": f"{directory}/merged", "readonly": False},
        "hostname": container.hostname,
        "process": _process(container, spec),
        "mounts": [*_mounts(spec), *map(_tmpfs, conditions.tmpfs), *map(_bound, bound)],
        "hooks": _hooks(container),
        "linux": {
            "devices": [{"path": node.path, **_number(node), "fileMode": 0o666} for node in nodes],
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")],
            "maskedPaths": list(defaults.MASKED_PATHS),
            "readonlyPaths": list(defaults.READ_ONLY_PATHS),
            "resources": {
                "devices": [{"allow": False, "access": "rwm"}, *map(_allowed, nodes)],
                "memory": {"limit": spec["memory_bytes"]},
                "pids": {"limit": spec["processes"]},
            },
            "seccomp": seccomp.oci_section(machine, notify, "/proc/self/cwd/listener"),
        },
    }


def _process(container: Container, spec: Spec) -> dict[str, Any]:
    names = [f"CAP_{capability}" for capability in defaults.CAPABILITIES]
    return {
        "terminal": False,
        "user": {"uid": container.uid, "gid": container.gid, "additionalGids": list(container.groups)},
        "args": list(container.argv),
        "env": [
            *(f"{name}={value}" for name, value in container.environment),
            *(() if container.devices is None else container.devices.environment),
        ],
        "cwd": container.working_directory,
        "capabilities": {"bounding": names, "effective": names, "permitted": names},
        "noNewPrivileges": not container.new_privileges,
        "rlimits": [_limit(*limit) for limit in spec["limits"]],
    }


def _number(node: Device) -> dict[str, Any]:
    return {"type": node.kind, "major": node.major, "minor": node.minor}


def _allowed(node: Device) -> dict[str, Any]:
    return {"allow": True, "access": "rw", **_number(node)}


def _hooks(container: Container) -> dict[str, Any]:
    hooks: dict[str, Any] = {}
    for hook in () if container.devices is None else container.devices.hooks:
        written = {"path": hook.path, "args": list(hook.arguments), "env": list(hook.environment)}
        hooks.setdefault(hook.when, []).append(written)
    return hooks


def _bound(mount: Mount) -> dict[str, Any]:
    options = ["rbind", "nosuid", "nodev", "ro" if mount.read_only else "rw"]
    return {"destination": mount.target, "type": "bind", "source": mount.source, "options": options}


def _tmpfs(tmpfs: Tmpfs) -> dict[str, Any]:
    size = [] if tmpfs.size_bytes is None else [f"size={tmpfs.size_bytes}"]
    return {
        "destination": tmpfs.target,
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "nodev", "mode=1777", *size],
    }


def _limit(name: str, soft: int, hard: int) -> dict[str, Any]:
    return {"type": f"RLIMIT_{name}", "soft": soft % _NO_LIMIT, "hard": hard % _NO_LIMIT}


def _mounts(spec: Spec) -> list[dict[str, Any]]:
    safe = ["nosuid", "noexec", "nodev"]
    shared_memory = ["mode=1777", f"size={spec['shared_memory_bytes']}"]
    terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": safe},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": terminals},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*safe, "ro"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": safe},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*safe, *shared_memory]},
    ]
