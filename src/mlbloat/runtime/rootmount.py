"""A writable view of a shared root directory, for one run, inside the launcher's private mount namespace.

https://docs.kernel.org/filesystems/overlayfs.html
"""

import contextlib
import os
import socket
import subprocess
from collections.abc import Callable

from mlbloat.runtime import kernel
from mlbloat.runtime.messages import Means, Spec, send

_COPIED = "the run had its own copy of the image, because no overlay could be mounted"


def make_private() -> None:
    """Keep every mount from here on in this process's own mount namespace."""
    try:
        kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    except OSError:
        # In a chroot "/" is no mount. Step out of it, in this namespace, which is nobody else's, and in again.
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        kernel.leave_chroot()
        kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        os.fchdir(root)
        os.chroot(".")
        os.close(root)


Serve = Callable[[int, int], None]
"""Hand the device of a file system over, and the directory with what is to be in it."""


def served(spec: Spec, control: socket.socket) -> Serve | None:
    """Return how somebody else comes to serve what lies below the root of the run; None when nobody wants to."""
    if "fuse" not in spec["means"]:
        return None
    return lambda device, lower: send(control, {"listener": "fuse"}, device, lower)


def mount_root(
    rootfs: str, directory: str, *, user_namespace: bool, serve: Serve | None = None
) -> tuple[str, list[str]]:
    """Mount the root of one run under `directory`; return its path and what was not as it should be."""
    # Relative names: the option string has no room for long paths and gives ',' and ':' a meaning.
    os.chdir(directory)
    for name in ("lower", "merged", "memory"):
        os.mkdir(name, 0o700)
    if serve is None:
        kernel.mount(rootfs, "lower", flags=kernel.MS_BIND)
    else:
        _mount_served(rootfs, serve)
    # Else a directory that is listed would have each of its files looked up, to number them.
    more = "" if serve is None else ",xino=off"
    merged = os.path.join(directory, "merged")
    if _overlay(".", rootfs, user_namespace, more):
        return merged, []
    # A scratch directory that is itself on an overlay, as inside a container, cannot hold an upper layer; memory can.
    kernel.mount("tmpfs", "memory", "tmpfs", kernel.MS_NODEV, "mode=0700")
    if _overlay("memory", rootfs, user_namespace, more):
        return merged, ["what the run wrote was held in memory, because the scratch directory cannot hold an overlay"]
    if serve is not None:
        raise OSError("no overlay can be mounted over a file system of ours; take --tracer seccomp")
    os.rmdir("merged")
    copy_root(rootfs, merged)
    kernel.mount(merged, merged, flags=kernel.MS_BIND)
    kernel.mount("none", merged, flags=kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_NODEV)
    return merged, [_COPIED]


def watch(spec: Spec, root: str, flags: list[str], control: socket.socket) -> None:
    """Hand a queue of what is opened in the root over, when somebody wants to read it."""
    if "events" in spec["means"]:
        refuse_copy(root, flags)
        hand_over("events", kernel.watch_file_system(root), control)
    elif "witness" in spec["means"]:
        with contextlib.suppress(OSError):
            refuse_copy(root, flags)
            hand_over("witness", kernel.watch_file_system(root), control)


def hand_over(means: Means, descriptor: int, control: socket.socket) -> None:
    """Give a descriptor away to whoever traces with it."""
    send(control, {"listener": means}, descriptor)
    os.close(descriptor)


def refuse_copy(root: str, flags: list[str]) -> None:
    """Raise OSError when a root is no file system of the run's own."""
    if _COPIED in flags or not os.path.isdir(root):
        raise OSError("file-system events can only be told apart on an overlay of the run's own; take --tracer seccomp")


def _mount_served(rootfs: str, serve: Serve) -> None:
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    lower = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
        kernel.mount("mlbloat", "lower", "fuse", kernel.MS_RDONLY | kernel.MS_NODEV, options)
        serve(device, lower)
    finally:
        os.close(device)
        os.close(lower)


def _overlay(at: str, rootfs: str, user_namespace: bool, more: str) -> bool:
    upper, work = os.path.join(at, "upper"), os.path.join(at, "work")
    os.mkdir(upper, 0o755)
    os.mkdir(work, 0o700)
    _same_owner_and_mode(rootfs, upper)
    options = f"lowerdir=lower,upperdir={upper},workdir={work}" + (",userxattr" if user_namespace else "") + more
    # Volatile: what a run writes is thrown away, so nothing of it needs to reach the disk (Linux 5.10).
    for extra in (",volatile", ""):
        try:
            # No device nodes of the image: unlike docker there is no device cgroup around the embedded sandbox.
            kernel.mount("overlay", "merged", "overlay", kernel.MS_NODEV, options + extra)
            return True
        except OSError:
            continue
    return False


def _same_owner_and_mode(source: str, target: str) -> None:
    """The root directory of an overlay is the upper layer's."""
    there = os.stat(source)
    with contextlib.suppress(OSError):  # an owner that this user namespace does not map
        os.chown(target, there.st_uid, there.st_gid)
    os.chmod(target, there.st_mode & 0o7777)


def copy_root(rootfs: str, target: str) -> None:
    """Copy a root directory with owners, links, modes, times and extended attributes."""
    command = ["cp", "-a", "--reflink=auto", "--", rootfs, target]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise OSError(f"cannot copy the image: {' '.join(last)}")
