"""The sandbox that needs nothing installed: namespaces, an overlay and a system-call filter of our own.

What it may do decides how well it isolates, and the outcome's flags say so: namespaces as root, a user namespace
otherwise, and where neither is allowed (a container of docker without privileges) a chroot over a copy of the image.
"""

import os
import tempfile
from functools import cache
from pathlib import Path

from mlbloat.errors import EngineError
from mlbloat.model.conditions import PROCESSES
from mlbloat.model.container import Container, Devices, Outcome
from mlbloat.runtime import kernel, process, seccomp
from mlbloat.runtime.listener import Listener
from mlbloat.runtime.messages import Spec
from mlbloat.runtime.syscalls import NATIVE

name: str = "embedded"
watched_only: bool = False

NOTHING_WORKS = (
    "this process may create neither namespaces nor user namespaces, nor change its root; run as root, allow "
    "unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, "
    "kernel.apparmor_restrict_unprivileged_userns=0), or run in a container that has the capability SYS_CHROOT"
)


def problem(*, tracing: bool) -> str:
    """Say why no sandbox can be made here; tracing needs nothing more."""
    machine = os.uname().machine
    if machine not in NATIVE:
        return f"it knows no system calls of {machine} processors, only those of {', '.join(NATIVE)}"
    if not Path("/proc/self/mem").exists():
        return "/proc is not mounted; mount it (mount -t proc proc /proc)"
    return "" if isolations() else NOTHING_WORKS


def exposure() -> str:
    """Say what else an image could do here; who takes this engine by name accepts it."""
    if isolations()[:1] != ("chroot",) or kernel.knows_scopes():
        return ""
    return (
        "in a chroot, on a kernel without scopes for signals (Landlock of Linux 6.12), an image could end other "
        "processes of this user; run where namespaces are allowed, or take --engine embedded if you trust the image"
    )


@cache
def isolations() -> tuple[str, ...]:
    """Return how this process may isolate a container, best first: `root`, `user`, `chroot`."""
    nobody = Container(argv=("probe",), environment=(), working_directory="/", uid=0, gid=0, groups=())
    return tuple(process.ask({**spec_of(nobody, Path("/"), "/", None), "engine": "probe"}).split())


def run(container: Container, rootfs: Path, scratch: Path, listener: Listener | None = None) -> Outcome:
    """Run a container in the best sandbox that this process may make."""
    refuse_bridge(container)
    directory = tempfile.mkdtemp(prefix="run-", dir=scratch.absolute())
    spec = spec_of(container, rootfs, directory, listener)
    calls = frozenset() if listener is None else listener.calls
    spec["isolation"] = next(iter(isolations()), "root")
    beside_others = spec["isolation"] == "chroot"
    spec["filter"] = seccomp.filter_program(os.uname().machine, calls, beside_others=beside_others).hex()
    return process.launch(spec, container, listener)


def devices(gpus: tuple[str, ...]) -> Devices | None:
    """Hold no GPU: EngineError when one is asked for."""
    if gpus:
        raise EngineError("cannot give a run GPUs with the embedded engine; take --engine runc (apt-get install runc)")
    return None


def refuse_bridge(container: Container) -> None:
    """Raise EngineError for a network that takes an engine which manages networks."""
    if container.conditions.network == "bridge":
        raise EngineError(
            f"cannot run {container.argv[0]!r} with `network: bridge`: only engines that manage networks have one; "
            "take --engine docker or --engine podman, or `network: host`, which reaches the outside, too"
        )


def machine_memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def spec_of(container: Container, rootfs: Path, directory: str, listener: Listener | None) -> Spec:
    """Return what every launcher is told; the engine adds its own."""
    conditions = container.conditions
    return {
        "engine": "embedded",
        "isolation": "",
        "parent": os.getpid(),
        "rootfs": str(rootfs.absolute()),
        "directory": directory,
        "argv": list(container.argv),
        "environment": [f"{variable}={value}" for variable, value in container.environment],
        "working_directory": container.working_directory,
        "uid": container.uid,
        "gid": container.gid,
        "groups": list(container.groups),
        "hostname": container.hostname,
        "filter": "",
        "means": [] if listener is None else list(listener.means),
        "new_privileges": container.new_privileges,
        "network": conditions.network,
        "mounts": [(mount.source, mount.target, mount.read_only) for mount in conditions.mounts],
        "hosts": list(conditions.hosts),
        "tmpfs": [(tmpfs.target, tmpfs.size_bytes) for tmpfs in conditions.tmpfs],
        "shared_memory_bytes": conditions.shared_memory_bytes,
        "limits": [(limit.name.upper(), limit.soft, limit.hard) for limit in conditions.limits],
        "memory_bytes": conditions.memory_bytes or machine_memory_bytes() * 9 // 10,
        "processes": conditions.processes or PROCESSES,
        "limits_asked": conditions.memory_bytes is not None or conditions.processes is not None,
        "program": "",
        "gpus": list(conditions.gpus),
        "image": container.image,
        "host": "",
        "disks": [directory] if os.path.isdir(directory) else [],
        "search": [],
    }
