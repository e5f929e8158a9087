"""What the launcher is told, and what it tells: one JSON message a packet, descriptors beside it.

The launcher runs alone in a fresh interpreter, so this module imports the standard library only.
"""

import json
import os
import socket
import struct
from typing import Literal, TypedDict

Means = Literal["calls", "events", "witness", "fuse", "strace"]
"""A way to trace, by the descriptor that comes with it: the listener of a seccomp filter; a queue of file-system
events; the same, where the run goes on without one that cannot be had; the device of the file system below the run's
overlay, and the directory with what is to be in it; a process that waits, and where to write when it is traced."""


class Spec(TypedDict):
    """One container to launch, everything resolved."""

    engine: Literal["embedded", "runc", "podman", "docker", "probe"]
    isolation: str
    """Of the embedded engine: `root`, `user` or `chroot` (launcher.isolations)."""
    parent: int
    """The process that waits; when it dies, the container goes."""
    rootfs: str
    directory: str
    """Of this run alone: upper layer, mount point, runc's bundle and state."""
    argv: list[str]
    environment: list[str]
    """`NAME=value`."""
    working_directory: str
    uid: int
    gid: int
    groups: list[int]
    hostname: str
    filter: str
    """A seccomp program, hex; embedded only."""
    means: list[Means]
    """By what it is traced."""
    new_privileges: bool
    network: Literal["none", "host", "bridge"]
    hosts: list[tuple[str, str]]
    """Name, address."""
    tmpfs: list[tuple[str, int | None]]
    """Target, size in bytes."""
    shared_memory_bytes: int
    limits: list[tuple[str, int, int]]
    """getrlimit(2): name in upper case, soft, hard; -1 is unlimited."""
    memory_bytes: int
    processes: int
    limits_asked: bool
    """The two before were asked for, so that it must be said when they do not hold."""
    mounts: list[tuple[str, str, bool]]
    """Source, target, whether it is read-only."""
    program: str
    """Path of runc or podman; empty for other engines."""
    gpus: list[str]
    """For engines that find out themselves what a GPU takes."""
    image: str
    """Id of the image, for engines that may hold it."""
    host: str
    """Address of the docker engine."""
    disks: list[str]
    """Directories on the disks that the run may fill."""
    search: list[str]
    """Where its client is, for Python to import."""


class Message(TypedDict, total=False):
    """Every message has exactly one of the first five, `flags` may come with any."""

    child: int
    """Process number of the container's first process; a pidfd comes with it."""
    listener: Means
    """What the listener needs comes with it."""
    started: float
    """Monotonic time just before the command's execve."""
    ended: int
    """Exit status of the command, 128 + signal number when a signal ended it."""
    failed: Literal["engine", "command"]
    at: float
    text: str
    """Why it failed, from the middle of a sentence."""
    flags: list[str]


_LARGEST_BYTES = 1 << 16


def send(control: socket.socket, message: Message, *descriptors: int) -> None:
    """Send a message. Touches no file: it is called under the filter that stops at every path."""
    control.sendmsg([json.dumps(message).encode()], pack_descriptors(*descriptors))


def pack_descriptors(*descriptors: int) -> list[tuple[int, int, bytes]]:
    """Return what sendmsg takes to send descriptors beside a packet."""
    packed = struct.pack(f"{len(descriptors)}i", *descriptors)
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, packed)] if descriptors else []


def receive(control: socket.socket) -> tuple[Message | None, list[int]]:
    """Return the next message and its descriptors; None when the other end is closed."""
    data, descriptors = receive_packet(control)
    if not data:
        return None, []
    message: Message = json.loads(data)
    return message, descriptors


def receive_packet(connection: socket.socket) -> tuple[bytes, list[int]]:
    """Return the next packet and its descriptors; nothing when the other end is closed."""
    try:
        data, beside, _, _ = connection.recvmsg(_LARGEST_BYTES, socket.CMSG_SPACE(4 * 4), socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return b"", []
    descriptors: list[int] = []
    for level, kind, content in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors += struct.unpack(f"{len(content) // 4}i", content[: len(content) // 4 * 4])
    if not data:
        for descriptor in descriptors:
            os.close(descriptor)
        descriptors = []
    return data, descriptors


def receive_descriptor(connection: socket.socket) -> int | None:
    """Return the descriptor that runc sends beside the state of the container; None when it sends none."""
    _, beside, _, _ = connection.recvmsg(_LARGEST_BYTES, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            return int.from_bytes(content[:4], "little")
    return None
