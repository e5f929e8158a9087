"""What works on this machine, each thing tried."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlbloat.runtime import dockerclient, embedded, kernel, program, runc

_OLDEST_KERNEL = (5, 5)
"""The first whose seccomp listener can let a call continue; 5.19 also shields it from signals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    name: str
    ok: bool
    detail: str
    remedy: str = ""
    """What to do when it is not ok."""


def doctor() -> tuple[Check, ...]:
    """Try everything that running and tracing may need; takes well under a second."""
    probes: tuple[Callable[[], Check], ...] = (
        _kernel,
        _privileges,
        _namespaces,
        _overlay,
        _notification,
        _runc,
        _docker,
        _podman,
        _fuse,
        _strace,
        _gpu,
    )
    return tuple(probe() for probe in probes)


def _kernel() -> Check:
    release, machine = os.uname().release, os.uname().machine
    return Check(
        name="kernel",
        ok=kernel.kernel_version() >= _OLDEST_KERNEL,
        detail=f"Linux {release} on {machine}",
        remedy="tracing needs Linux 5.5 or later",
    )


def _privileges() -> Check:
    held = kernel.effective_capabilities()
    wanted = ("SYS_ADMIN", "SYS_CHROOT", "SYS_PTRACE", "MKNOD")
    have = [name for name in wanted if kernel.CAPABILITIES.index(name) in held]
    who = "root" if os.geteuid() == 0 else f"uid {os.geteuid()}"
    return Check(
        name="privileges",
        ok=os.geteuid() == 0 and "SYS_ADMIN" in have,
        detail=f"{who}, with {', '.join(have) or 'no relevant capability'}",
        remedy="run as root for runc and full isolation; the embedded engine also works in a user namespace",
    )


def _namespaces() -> Check:
    names = {"root": "namespaces", "user": "user namespaces", "chroot": "chroot"}
    works = ", ".join(names[isolation] for isolation in embedded.isolations())
    problem = embedded.problem(tracing=True) or embedded.exposure()
    return Check(
        name="embedded sandbox",
        ok=not problem,
        detail=f"{works or 'nothing'} may be used",
        remedy=problem or embedded.NOTHING_WORKS,
    )


def _overlay() -> Check:
    path = Path("/proc/filesystems")
    known = path.exists() and "\toverlay" in path.read_text(encoding="ascii")
    known = known or Path(f"/lib/modules/{os.uname().release}/kernel/fs/overlayfs").exists()
    return Check(
        name="overlay file system",
        ok=known,
        detail="known to the kernel" if known else "unknown to the kernel",
        remedy="modprobe overlay; without it each run copies the image",
    )


def _notification() -> Check:
    path = Path("/proc/sys/kernel/seccomp/actions_avail")
    actions = path.read_text(encoding="ascii").split() if path.exists() else []
    return Check(
        name="seccomp notification",
        ok="user_notif" in actions,
        detail="available" if "user_notif" in actions else "not available",
        remedy="tracing needs a kernel with CONFIG_SECCOMP_FILTER, Linux 5.5 or later",
    )


def _runc() -> Check:
    problem = runc.problem(tracing=True)
    missing = "" if runc.version_of_runc() else "apt-get install runc; "
    return Check(
        name="runc",
        ok=not problem,
        detail=problem or runc.version_of_runc().partition(",")[0],
        remedy=f"{missing}without runc the embedded engine runs the workload",
    )


def _docker() -> Check:
    remedy = "start the docker service, or join its group; archives, OCI layouts and directories need no daemon"
    try:
        host = dockerclient.environment(os.environ)["DOCKER_HOST"]
    except dockerclient.ContextError as error:
        return Check(name="docker", ok=False, detail=str(error), remedy=remedy)
    if not host.startswith("unix://"):
        return Check(name="docker", ok=True, detail=f"the engine is at {host}; not asked", remedy=remedy)
    try:
        detail, ok = dockerclient.version_at(host.removeprefix("unix://")), True
    except (OSError, ValueError) as error:
        detail, ok = f"no daemon answers at {host} ({getattr(error, 'strerror', None) or error})", False
    return Check(name="docker", ok=ok, detail=detail, remedy=remedy)


def _podman() -> Check:
    words = ("podman", "--version")
    try:
        detail, ok = program.ask(words).decode(errors="replace").strip() or "podman", True
    except program.ProgramError as error:
        detail, ok = str(error), False
    return Check(
        name="podman",
        ok=ok,
        detail=detail,
        remedy="apt-get install podman; only `podman:` images and --engine podman need it",
    )


def _fuse() -> Check:
    device = "/dev/fuse"
    allowed = os.access(device, os.R_OK | os.W_OK)
    there = "" if not os.path.exists(device) else f"{device} may not be opened"
    return Check(
        name="FUSE",
        ok=allowed,
        detail=f"{device} may be opened" if allowed else there or f"there is no {device}",
        remedy="modprobe fuse, and root; only --tracer fuse needs it",
    )


def _strace() -> Check:
    try:
        detail, ok = program.ask(("strace", "--version")).decode(errors="replace").partition("\n")[0], True
    except program.ProgramError as error:
        detail, ok = str(error), False
    return Check(
        name="strace",
        ok=ok,
        detail=detail or "strace",
        remedy="apt-get install strace; only --tracer strace needs it",
    )


def _gpu() -> Check:
    tool = shutil.which("nvidia-smi")
    names = ""
    if tool:
        try:
            query = [tool, "--query-gpu=name", "--format=csv,noheader"]
            done = subprocess.run(query, capture_output=True, stdin=subprocess.DEVNULL, timeout=10, check=False)
            names = (
                ", ".join(done.stdout.decode(errors="replace").split("\n")).strip(", ") if not done.returncode else ""
            )
        except (OSError, subprocess.TimeoutExpired):
            names = ""
    found = bool(names) or Path("/dev/nvidia0").exists()
    return Check(
        name="GPU",
        ok=found,
        detail=names or ("NVIDIA device" if found else "none"),
        remedy="images for CUDA are profiled on the CPU here; the report says so",
    )
