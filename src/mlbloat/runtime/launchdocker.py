"""The launcher's part for the docker engine: an image of the root directory, a container of it.

https://docs.docker.com/reference/api/engine/version/v1.41/
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from docker import APIClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from requests import RequestException

from mlbloat.runtime import written
from mlbloat.runtime.launchforeign import Ended, RefusedError, until_done
from mlbloat.runtime.messages import Spec
from mlbloat.runtime.orders import Others
from mlbloat.runtime.stopping import undisturbed

_ORDER_SECONDS = 600
_CHUNK_BYTES = 1 << 20
_TAR_END_BYTES = 20 << 10
"""Of a tar, more than the blocks of zeros that say that it is complete: it is written in records of 10 KiB."""
_HEADER_BYTES = 8
_REPOSITORY = "mlbloat-run"
_NOT_BEFORE_START = "0001-"


class Container:
    """One container of the docker engine."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._name = f"mlbloat-{os.path.basename(spec['directory'])}"
        self._client: Any = _client(spec)  # not all that is used has types
        self._imported = ""
        self._mounted: Any = None
        self._output: _Output | None = None
        self.others: Others = {}
        self._root = -1
        """A descriptor of its file system as it was mounted before it was started."""
        self.held = False

    def create(self) -> str:
        with _as_refusals():
            image = self._image()
            with undisturbed():
                self._client.create_container_from_config(configuration(self._spec, image), self._name)
            return self._mount() if "events" in self._spec["means"] else ""

    def start(self) -> int:
        with _as_refusals():
            stream = self._client.attach_socket(self._name, {"stdout": 1, "stderr": 1, "stream": 1})
            self._output = _Output(stream, self.others)
            with undisturbed():
                self._client.start(self._name)
            if self._root >= 0:
                self.held = _is_mounted(self._root)
                os.close(self._root)
            if self._mounted is not None:
                self._mounted.close()
            return int(self._client.inspect_container(self._name)["State"]["Pid"])

    def execute(self, argv: list[str], stdout: int, stderr: int) -> int:
        child = os.fork()
        if child == 0:
            status = 127
            try:
                status = self._execute(argv, stdout, stderr)
            except (DockerException, RequestException) as error:
                os.write(stderr, f"cannot run {argv[0]!r}: {_line(error)}\n".encode(errors="replace"))
            finally:
                os._exit(status)
        return child

    def _execute(self, argv: list[str], stdout: int, stderr: int) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        client = _client(self._spec)  # of its own: connections are not shared between processes
        command = client.exec_create(self._name, argv)["Id"]
        for out, err in client.exec_start(command, stream=True, demux=True):
            _write(stdout, out or b"")
            _write(stderr, err or b"")
        return int(client.exec_inspect(command)["ExitCode"])

    def finish(self) -> Ended:
        assert self._output is not None
        self._output.read_all()
        with _as_refusals():
            exit_status = int(self._client.wait(self._name)["StatusCode"])
            found = self._client.inspect_container(self._name)
        state = found["State"]
        upper = (found["GraphDriver"]["Data"] or {}).get("UpperDir", "")
        return Ended(
            exit=exit_status,
            out_of_memory=bool(state["OOMKilled"]),
            flags=written.flags(upper, self._spec["rootfs"]) if upper else (),
            seconds=_seconds(state["StartedAt"], state["FinishedAt"]),
        )

    def remove(self) -> None:
        if self._mounted is not None:
            self._mounted.close()
        with contextlib.suppress(DockerException, RequestException):
            until_done(self._remove_container, APIError)
        if self._imported:
            with contextlib.suppress(DockerException, RequestException):
                until_done(self._remove_image, APIError)

    def _remove_container(self) -> None:
        with contextlib.suppress(NotFound):
            self._client.remove_container(self._name, v=True, force=True)

    def _remove_image(self) -> None:
        with contextlib.suppress(NotFound):
            self._client.remove_image(self._imported, force=True)

    def _image(self) -> str:
        """Return the engine's own image when it has it, and volumes hide nothing of it; else one made of the files."""
        image = self._spec["image"]
        with contextlib.suppress(ImageNotFound):
            if image and not self._client.inspect_image(image)["Config"].get("Volumes"):
                return image
        self._imported = f"{_REPOSITORY}:{self._name}"
        signals = contextlib.ExitStack()
        with signals:
            self._client.import_image_from_data(_packed(self._spec["rootfs"], signals), _REPOSITORY, self._name)
        return self._imported

    def _mount(self) -> str:
        """Let the engine mount the container's file system before it starts; where that is, or nothing.

        It is mounted while an export goes on. That of all but the smallest images goes on until somebody reads it, so
        until the container has mounted it, too; else the container gets a mount of its own, and that is not this one.
        """
        merged = str((self._client.inspect_container(self._name)["GraphDriver"]["Data"] or {}).get("MergedDir", ""))
        if not merged:
            return ""
        url = f"{self._client.base_url}/v{self._client.api_version}/containers/{self._name}/export"
        self._mounted = self._client.get(url, stream=True, timeout=_ORDER_SECONDS)
        with contextlib.suppress(FileNotFoundError):
            root = os.open(merged, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            # By the descriptor: what is watched must not become the disk below when the export is over.
            if os.fstat(root).st_dev != os.stat(os.path.dirname(merged)).st_dev:
                self._root = root
                return f"/proc/self/fd/{root}"
            os.close(root)
        return ""


def configuration(spec: Spec, image: str) -> dict[str, Any]:
    """Return what the engine is told to create: nothing of the image's configuration is left to it."""
    return {
        "Image": image,
        "Entrypoint": spec["argv"][:1],
        "Cmd": spec["argv"][1:],
        "Env": spec["environment"],
        "WorkingDir": spec["working_directory"],
        "User": f"{spec['uid']}:{spec['gid']}",
        "Hostname": "" if spec["network"] == "host" else spec["hostname"],
        "Healthcheck": {"Test": ["NONE"]},
        "AttachStdout": True,
        "AttachStderr": True,
        "Labels": {"io.mlbloat.run": os.path.basename(spec["directory"])},
        "HostConfig": {
            "NetworkMode": spec["network"],
            "LogConfig": {"Type": "none"},  # its output comes to us, and may be long
            "Mounts": [
                {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}
                for source, target, read_only in spec["mounts"]
            ],
            "Tmpfs": {
                target: "rw,exec,nosuid,nodev,mode=1777" + ("" if size is None else f",size={size}")
                for target, size in spec["tmpfs"]
            },
            "ExtraHosts": [f"{name}:{address}" for name, address in spec["hosts"]],
            "GroupAdd": [str(group) for group in spec["groups"]],
            "ShmSize": spec["shared_memory_bytes"],
            "Memory": spec["memory_bytes"],
            "PidsLimit": spec["processes"],
            "Ulimits": [{"Name": name.lower(), "Soft": soft, "Hard": hard} for name, soft, hard in spec["limits"]],
            "SecurityOpt": [] if spec["new_privileges"] else ["no-new-privileges"],
            "DeviceRequests": _device_requests(spec["gpus"]),
        },
    }


def _device_requests(gpus: list[str]) -> list[dict[str, Any]]:
    """Return what `docker run --gpus` asks for."""
    if not gpus:
        return []
    which: dict[str, Any] = {"Count": -1} if "all" in gpus else {"DeviceIDs": gpus}
    return [{"Driver": "", **which, "Capabilities": [["gpu"]], "Options": {}}]


class _Output:
    """The output of a container, both streams in one, as frames: a header with the number and the length, then that."""

    def __init__(self, stream: Any, others: Others) -> None:
        self._stream = stream
        self._descriptor: int = stream.fileno()
        self._others = others
        self._held = b""
        others[self._descriptor] = self.read

    def read(self) -> None:
        chunk = os.read(self._descriptor, _CHUNK_BYTES)
        if not chunk:
            self._others.pop(self._descriptor, None)
        held = self._held + chunk
        while len(held) >= _HEADER_BYTES:
            end = _HEADER_BYTES + int.from_bytes(held[4:_HEADER_BYTES], "big")
            if len(held) < end:
                break
            _write(2 if held[0] == 2 else 1, held[_HEADER_BYTES:end])
            held = held[end:]
        self._held = held

    def read_all(self) -> None:
        while self._descriptor in self._others:
            self.read()


def _is_mounted(descriptor: int) -> bool:
    """Tell whether the mount that a descriptor leads to is still where it was."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as stream:
        number = next(line.split()[1] for line in stream if line.startswith("mnt_id:"))
    with open("/proc/self/mountinfo", "rb") as lines:
        return any(line.split()[0] == number.encode() for line in lines)


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _packed(rootfs: str, signals: contextlib.ExitStack) -> Iterator[bytes]:
    """Yield a tar of a directory. Once it is complete the engine has the image, and must be let answer.

    So its end is held back until nothing can come between.
    """
    words = ["tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-C", rootfs, "-c", "."]
    end = b""
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as packing:
        try:
            while packing.stdout is not None and (chunk := packing.stdout.read(_CHUNK_BYTES)):
                known = end + chunk
                end = known[-_TAR_END_BYTES:]
                if len(known) > _TAR_END_BYTES:  # nothing at all would say that the tar is over
                    yield known[:-_TAR_END_BYTES]
            if packing.wait():
                raise RefusedError(f"the image's files cannot be packed: tar ends with status {packing.returncode}")
        finally:
            packing.kill()
    signals.enter_context(undisturbed())
    yield end


@contextlib.contextmanager
def _as_refusals() -> Iterator[None]:
    try:
        yield
    except (DockerException, RequestException, OSError) as error:
        text = _line(error)
        raise RefusedError(f"docker says: {text}", "command" if 'exec: "' in text else "engine") from error


def _client(spec: Spec) -> APIClient:
    return APIClient(base_url=spec["host"], version="auto", timeout=_ORDER_SECONDS)


def _line(error: Exception) -> str:
    return " ".join(str(getattr(error, "explanation", None) or error).split())[:500]


def _seconds(started: str, finished: str) -> float | None:
    if started.startswith(_NOT_BEFORE_START) or finished.startswith(_NOT_BEFORE_START):
        return None
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()
