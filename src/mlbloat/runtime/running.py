"""Containers that run already, in docker or podman: found by name, watched from outside.

Nothing of them is changed, stopped or slowed down: their file system gets a queue of events (fanotify(7)).
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mlbloat.errors import EngineError, ImageNotFoundError
from mlbloat.runtime import dockerclient, kernel, program

_ANSWER_SECONDS = 60
_OWN_FILE_SYSTEMS = ("overlay", "fuse.fuse-overlayfs", "zfs", "aufs")
"""Where each container's root is a file system of its own; on others all that shares it would be recorded."""
_DELETED = " (deleted)"


class _MissingError(Exception):
    """The engine answers, and has no such container."""


@dataclass(frozen=True, slots=True)
class RunningContainer:
    engine: str
    name: str
    process: int
    """Its first."""
    image: str
    """As it was named when the container was made."""
    image_id: str
    diff_ids: tuple[str, ...]


def find_running(text: str) -> RunningContainer:
    """Find a container by `docker:NAME`, `podman:NAME`, or NAME, which may be an id; it must be running."""
    scheme, _, name = text.rpartition(":")
    if scheme not in ("", "docker", "podman") or not name:
        raise ImageNotFoundError(f"cannot attach to {text!r}: name a container as docker:NAME, podman:NAME or NAME")
    reasons = []
    for engine, ask in (("docker", _in_docker), ("podman", _in_podman)):
        if scheme in ("", engine):
            try:
                return ask(name)
            except _MissingError:
                reasons.append(f"{engine} has no container of that name ({engine} ps lists them)")
            except program.ProgramError as error:
                reasons.append(f"{engine}: {error}")
    raise ImageNotFoundError(f"cannot attach to {text!r}: {'; '.join(reasons)}")


def _in_docker(name: str) -> RunningContainer:
    from docker.errors import DockerException, NotFound
    from requests import RequestException

    try:
        with dockerclient.connect(_ANSWER_SECONDS) as client:
            api: Any = client.api  # not all of it has types
            found = api.inspect_container(name)
            image = api.inspect_image(found["Image"])
    except NotFound:
        raise _MissingError from None
    except (DockerException, RequestException, dockerclient.ContextError) as error:
        raise program.ProgramError(" ".join(str(error).split())[:300]) from None
    return _running("docker", name, found, image, str(found["Config"]["Image"]))


def _in_podman(name: str) -> RunningContainer:
    try:
        (found,) = json.loads(program.ask(("podman", "container", "inspect", "--", name)))
        image: dict[str, Any] = {}
        if found["Image"]:  # none for a container over a directory
            (image,) = json.loads(program.ask(("podman", "image", "inspect", "--", found["Image"])))
    except program.ProgramError as error:
        if "no such container" in str(error):
            raise _MissingError from None
        raise
    return _running("podman", name, found, image, str(found["ImageName"]))


def _running(engine: str, name: str, found: dict[str, Any], image: dict[str, Any], said: str) -> RunningContainer:
    state = found["State"]
    if not state["Running"] or not state["Pid"]:
        raise EngineError(
            f"cannot attach to {engine}:{name}: it is not running ({state['Status']}); start it ({engine} start {name})"
        )
    identity = str(image.get("Id", ""))
    return RunningContainer(
        engine=engine,
        name=name,
        process=int(state["Pid"]),
        image=said,
        image_id=f"sha256:{identity.removeprefix('sha256:')}" if identity else "",
        diff_ids=tuple((image.get("RootFS") or {}).get("Layers") or ()),
    )


def watch_running(container: RunningContainer) -> tuple[int, int]:
    """Return a queue of what is opened in a container from now on, and a descriptor that is readable when it ended."""
    what = f"cannot attach to {container.engine}:{container.name}"
    if os.geteuid() != 0:
        raise EngineError(f"{what}: watching the files of another process takes root; run as root (sudo mlbloat …)")
    with _told_when_it_ended(container):
        roots = [line for line in _mount_lines(container.process) if line[4] == "/"]
        kind = roots[-1][roots[-1].index("-") + 1] if roots else "unknown"
        if kind not in _OWN_FILE_SYSTEMS:
            raise EngineError(
                f"{what}: its root is no file system of its own ({kind}), so its files cannot be told from others; use "
                "the overlay storage driver, or mlbloat trace IMAGE -w FILE"
            )
        ended = kernel.process_descriptor(container.process)
        try:
            return kernel.watch_file_system(f"/proc/{container.process}/root"), ended
        except BaseException:
            os.close(ended)
            raise


def mounted_over(container: RunningContainer) -> tuple[str, ...]:
    """Return the paths at which the container sees something else than its image."""
    with _told_when_it_ended(container):
        return tuple(line[4] for line in _mount_lines(container.process) if line[4] != "/")


def loaded_by(container: RunningContainer) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the programs that run in a container now, and the other files that they hold open or have mapped.

    What happened before the watch began is not seen; most of what matters of it is still in use.
    """
    with _told_when_it_ended(container):
        namespace = os.readlink(f"/proc/{container.process}/ns/mnt")
    programs: dict[str, None] = {}
    files: dict[str, None] = {}
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{number}/ns/mnt") != namespace:
                continue
            programs[os.readlink(f"/proc/{number}/exe")] = None
            with open(f"/proc/{number}/maps", encoding="utf-8", errors="surrogateescape") as stream:
                files |= dict.fromkeys(line.rstrip("\n").split(maxsplit=5)[5] for line in stream if "/" in line)
            for descriptor in os.listdir(f"/proc/{number}/fd"):
                files[os.readlink(f"/proc/{number}/fd/{descriptor}")] = None
        except OSError:
            continue  # it ended meanwhile
    return _paths(programs), _paths(files)


@contextlib.contextmanager
def _told_when_it_ended(container: RunningContainer) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"cannot attach to {container.engine}:{container.name}"
        raise EngineError(f"{what}: {error.strerror}; is it still running, on this machine?") from error


def _paths(names: dict[str, None]) -> tuple[str, ...]:
    return tuple(name for name in names if name.startswith("/") and not name.endswith(_DELETED))


def _mount_lines(process: int) -> list[list[str]]:
    with open(f"/proc/{process}/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        return [line.split() for line in stream]
