"""The launcher's part for podman: an overlay of ours in a private mount namespace, a container of podman over it.

podman-create(1), podman-init(1), podman-start(1). `init` before `start`: the first process is known before it runs.
"""

import contextlib
import json
import os
import resource
import subprocess
from typing import Any

from mlbloat.runtime import kernel, rootmount
from mlbloat.runtime.launchforeign import Ended, RefusedError, until_done
from mlbloat.runtime.messages import Spec
from mlbloat.runtime.orders import Others
from mlbloat.runtime.stopping import undisturbed

_ORDER_SECONDS = 300.0
_END_SECONDS = 120.0
_ELSEWHERE = ("CONTAINER_HOST", "CONTAINER_CONNECTION")
"""They name a service on another machine, perhaps, where none of our files are."""


class Container:
    """One container of podman."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._name = f"mlbloat-{os.path.basename(spec['directory'])}"
        self._environment = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
        self._attached: subprocess.Popen[bytes] | None = None
        self._created = False
        self._flags: list[str] = []
        self.others: Others = {}
        self.held = True

    def create(self) -> str:
        spec = self._spec
        kernel.unshare(kernel.CLONE_NEWNS)
        rootmount.make_private()
        root, self._flags = rootmount.mount_root(spec["rootfs"], spec["directory"], user_namespace=False)
        if "events" in spec["means"]:
            rootmount.refuse_copy(root, self._flags)
        _make_directory(root, spec["working_directory"])
        self._created = True
        try:
            self._order("create", "--name", self._name, *arguments(spec), "--rootfs", root, *spec["argv"])
        except RefusedError:
            self._created = False
            raise
        return root

    def start(self) -> int:
        self._order("init", self._name)
        first = int(self._state()["Pid"])
        words = self._words("start", "--attach", "--sig-proxy=false", self._name)
        self._attached = subprocess.Popen(words, stdin=subprocess.DEVNULL, env=self._environment)
        return first

    def execute(self, argv: list[str], stdout: int, stderr: int) -> int:
        words = self._words("exec", self._name, *argv)
        outputs = [(os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, stderr, 2)]
        return os.posix_spawn(self._spec["program"], words, self._environment, file_actions=outputs)

    def finish(self) -> Ended:
        assert self._attached is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._attached.wait(_END_SECONDS)
        state = self._state()
        return Ended(exit=int(state["ExitCode"]), out_of_memory=bool(state["OOMKilled"]), flags=tuple(self._flags))

    def remove(self) -> None:
        if self._created:
            until_done(self._remove, RefusedError)
        else:
            with contextlib.suppress(RefusedError):
                self._remove()
        if self._attached is not None and self._attached.poll() is None:
            self._attached.kill()
            self._attached.wait()

    def _remove(self) -> None:
        self._order("rm", "--force", "--time", "0", "--volumes", "--ignore", self._name)

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self._order("container", "inspect", self._name))[0]["State"]
        return state

    def _order(self, *arguments: str) -> bytes:
        with undisturbed():
            try:
                done = subprocess.run(
                    self._words(*arguments),
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    env=self._environment,
                    timeout=_ORDER_SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise RefusedError(f"podman {arguments[0]} did not end within {_ORDER_SECONDS:.0f} seconds") from None
        if done.returncode:
            text = " ".join(done.stderr.decode(errors="replace").split()).removeprefix("Error: ")
            raise RefusedError(f"podman says: {text}", "command" if 'exec: "' in text else "engine")
        return done.stdout

    def _words(self, *arguments: str) -> list[str]:
        return [self._spec["program"], *arguments]


def arguments(spec: Spec) -> list[str]:
    """Return the options of `podman create` under which a container is what the run asks for."""
    options = [
        "--log-driver=none",  # its output comes to us, and may be long
        "--systemd=false",
        "--sdnotify=ignore",
        "--no-healthcheck",
        "--unsetenv-all",
        f"--hostname={spec['hostname']}",
        f"--workdir={spec['working_directory']}",
        f"--user={spec['uid']}:{spec['gid']}",
        f"--network={spec['network']}",
        f"--shm-size={spec['shared_memory_bytes']}b",
        f"--memory={spec['memory_bytes']}b",
        f"--pids-limit={spec['processes']}",
    ]
    options += [f"--env={variable}" for variable in spec["environment"]]
    options += [f"--group-add={group}" for group in spec["groups"]]
    options += [f"--add-host={name}:{address}" for name, address in spec["hosts"]]
    options += [f"--device=nvidia.com/gpu={name}" for name in spec["gpus"]]
    options += [f"--ulimit={name}={soft}:{hard}" for name, soft, hard in _limits(spec)]
    for source, target, read_only in spec["mounts"]:
        options.append(f"--volume={source}:{target}:{'ro' if read_only else 'rw'},rbind")
    for target, size_bytes in spec["tmpfs"]:
        size = "" if size_bytes is None else f",size={size_bytes}"
        options.append(f"--tmpfs={target}:rw,exec,nosuid,nodev,mode=1777{size}")
    if not spec["new_privileges"]:
        options.append("--security-opt=no-new-privileges")
    return options


def _limits(spec: Spec) -> list[tuple[str, int, int]]:
    """Return limits in podman's words. Its own defaults may be above what this process is allowed to give."""
    asked = {name.lower(): (soft, hard) for name, soft, hard in spec["limits"]}
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    most = spec["processes"] if processes == resource.RLIM_INFINITY else min(processes, spec["processes"])
    usual = {"nofile": resource.getrlimit(resource.RLIMIT_NOFILE), "nproc": (most, most)}
    return [(name, soft, hard) for name, (soft, hard) in sorted((usual | asked).items())]


def _make_directory(root: str, path: str) -> None:
    """Make the working directory, as docker does, where no link of the image leads out."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(OSError):
            os.chroot(root)
            os.makedirs(path, 0o755, exist_ok=True)
        os._exit(0)
    os.waitpid(child, 0)
