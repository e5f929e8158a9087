"""The embedded sandbox, from inside: turn a fresh child process into the first process of a container.

Runs in the launcher. Until the root is changed, only directories that are ours or checked not to be symbolic links are
touched; after that, the image's own links can lead nowhere but into the image.
"""

import contextlib
import fcntl
import os
import resource
import signal
import socket
import stat
import struct
import time

from mlbloat.runtime import defaults, kernel
from mlbloat.runtime.gate import wait_for_tracer
from mlbloat.runtime.messages import Spec, send

_SAFE = kernel.MS_NOSUID | kernel.MS_NODEV
_SAFEST = _SAFE | kernel.MS_NOEXEC
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_CHROOT_ONLY_DROPS = frozenset({"SYS_CHROOT", "MKNOD", "NET_RAW", "KILL"})
"""With these a process could leave a plain chroot or harm what is outside of it."""


class CommandError(Exception):
    """The command itself cannot be started; the rest of the container is fine."""


def become(spec: Spec, root: str, isolation: str, control: socket.socket, flags: list[str]) -> None:
    """Set the container up around this process and execute its command. Returns only by raising."""
    os.setsid()
    contained = isolation != "chroot"
    if contained:
        # Of its own: a changed root holds for all in a mount namespace, and the launcher must stay outside.
        kernel.unshare(kernel.CLONE_NEWNS)
        trees = [kernel.take_tree(source) for source, _, _ in spec["mounts"]]
        flags += _mount_system_directories(root, spec["shared_memory_bytes"])
        resolver = resolver_of(spec)
        drops = frozenset() if _change_root(root) else frozenset({"SYS_CHROOT"})
        flags += _hide(defaults.MASKED_PATHS, defaults.READ_ONLY_PATHS)
        _put_mounts(spec, trees)
        socket.sethostname(spec["hostname"])
        if spec["network"] == "none":
            loopback_up()
        write_name_files(spec, resolver)
    else:
        drops = _CHROOT_ONLY_DROPS
        os.chdir(root)
        os.chroot(".")
        flags += _make_device_files()
        if unheld := [target for _, target, _ in spec["mounts"]] + [target for target, _ in spec["tmpfs"]]:
            raise OSError(f"nothing can be mounted on {unheld[0]} in a chroot; run where namespaces are allowed")
    _enter_working_directory(spec)
    program = _program(spec)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    safe = isolation != "root" or not spec["new_privileges"]
    _execute(spec, program, control, flags=flags, drops=drops, no_new_privileges=safe)


def join(spec: Spec, root: str, isolation: str, control: socket.socket, first: int) -> None:
    """Make this process, which is in all namespaces but one already, one more of a container, and execute."""
    os.setsid()
    inside = os.open(f"/proc/{first}/root" if isolation != "chroot" else root, os.O_PATH | os.O_DIRECTORY)
    if isolation != "chroot":
        kernel.enter_mount_namespace(first)
    os.fchdir(inside)
    os.chroot(".")
    os.close(inside)
    os.chdir(spec["working_directory"])
    program = _program(spec)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    drops = _CHROOT_ONLY_DROPS if isolation == "chroot" else frozenset({"SYS_CHROOT"})
    safe = isolation != "root" or not spec["new_privileges"]
    _execute(spec, program, control, flags=None, drops=drops, no_new_privileges=safe)


def _execute(
    spec: Spec,
    program: str,
    control: socket.socket,
    *,
    flags: list[str] | None,
    drops: frozenset[str],
    no_new_privileges: bool,
) -> None:
    """Give up what is left of our privileges and execute.

    `flags` go with the message that the container started; None: it had started before.
    From the filter on, nothing here may name a path (an import, say): nobody would answer until the listener is sent.
    """
    keep = frozenset(kernel.CAPABILITIES.index(name) for name in defaults.CAPABILITIES if name not in drops)
    environment = dict(variable.split("=", 1) for variable in spec["environment"])
    os.umask(0o022)
    for name, soft, hard in spec["limits"]:
        try:
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (soft, hard))
        except ValueError as error:
            raise OSError(f"the limit {name.lower()} cannot be {soft}:{hard}: {error}") from error
    for descriptor in (1, 2):
        _give_output(descriptor, spec["uid"])
    kernel.keep_capabilities(keep)
    if no_new_privileges:
        kernel.no_new_privileges()
    listener = kernel.install_filter(bytes.fromhex(spec["filter"]), listen="calls" in spec["means"])
    _become_user(spec)
    kernel.signal_when_parent_dies(signal.SIGKILL)  # again: changing the user cleared it
    kernel.allow_inspection()
    if listener is not None:
        send(control, {"listener": "calls"}, listener)
        os.close(listener)
    if "strace" in spec["means"]:
        wait_for_tracer(control, os.getpid())
    if flags is not None:
        send(control, {"started": time.monotonic(), "flags": flags})
    try:
        os.execve(program, spec["argv"], environment)
    except OSError as error:
        hint = {8: " (is it for another processor?)", 2: " (is the interpreter it names in the image?)"}
        raise CommandError(f"{os.strerror(error.errno or 0)}{hint.get(error.errno or 0, '')}") from error


def _give_output(descriptor: int, uid: int) -> None:
    """Let the user of the container open /dev/stdout again, as log files that are links to it are."""
    with contextlib.suppress(OSError):  # no such user in this user namespace; the open descriptor itself works
        os.fchown(descriptor, uid, -1)


def _become_user(spec: Spec) -> None:
    with contextlib.suppress(PermissionError):  # in a user namespace; the flag was set when it was entered
        os.setgroups(spec["groups"])
    os.setresgid(spec["gid"], spec["gid"], spec["gid"])
    os.setresuid(spec["uid"], spec["uid"], spec["uid"])


def _mount_system_directories(root: str, shared_memory_bytes: int) -> list[str]:
    flags = []
    for name in ("proc", "sys", "dev"):
        _own_directory(os.path.join(root, name))
    try:
        kernel.mount("proc", f"{root}/proc", "proc", _SAFEST)
    except OSError:
        # Where parts of /proc are hidden from us, as in a container, the kernel refuses to show them in a new one.
        # That of this machine would show its processes to an image that nobody trusts.
        kernel.mount("tmpfs", f"{root}/proc", "tmpfs", _SAFEST | kernel.MS_RDONLY)
        flags.append("/proc of the run is empty, because no new one could be mounted")
    try:
        kernel.mount("sysfs", f"{root}/sys", "sysfs", _SAFEST | kernel.MS_RDONLY)
    except OSError:
        flags.append("/sys of the run is empty, because it could not be mounted")
    _mount_devices(f"{root}/dev", shared_memory_bytes)
    return flags


def _own_directory(path: str) -> None:
    """Make a directory that a file system is mounted on; a link in its place would lead the mount out of the root."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        os.mkdir(path, 0o755)
        return
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(f"/{os.path.basename(path)} of the image is not a directory")


def _mount_devices(dev: str, shared_memory_bytes: int) -> None:
    kernel.mount("tmpfs", dev, "tmpfs", _SAFE, "mode=755,size=65536k")
    for name in defaults.DEVICES:
        if os.path.exists(f"/dev/{name}"):
            os.close(os.open(f"{dev}/{name}", os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            kernel.mount(f"/dev/{name}", f"{dev}/{name}", flags=kernel.MS_BIND)
    for target, path in (*defaults.DEVICE_LINKS, ("pts/ptmx", "/dev/ptmx")):
        os.symlink(target, dev + path.removeprefix("/dev"))
    os.mkdir(f"{dev}/pts", 0o755)
    for options in ("newinstance,ptmxmode=0666,mode=0620,gid=5", "newinstance,ptmxmode=0666,mode=0620"):
        try:
            kernel.mount("devpts", f"{dev}/pts", "devpts", kernel.MS_NOSUID | kernel.MS_NOEXEC, options)
            break
        except OSError:
            continue  # group 5 does not exist in a user namespace of one group
    os.mkdir(f"{dev}/shm", 0o1777)
    kernel.mount("shm", f"{dev}/shm", "tmpfs", _SAFEST, f"mode=1777,size={shared_memory_bytes}")
    os.mkdir(f"{dev}/mqueue", 0o1777)
    with contextlib.suppress(OSError):  # a kernel without POSIX message queues
        kernel.mount("mqueue", f"{dev}/mqueue", "mqueue", _SAFEST)


def _change_root(root: str) -> bool:
    """Make `root` the root; False when the old one could only be covered, because it is no mount point itself."""
    os.chdir(root)
    try:
        kernel.pivot_root(".", ".")
    except OSError:
        kernel.mount(root, "/", flags=kernel.MS_MOVE)
        os.chroot(".")
        os.chdir("/")
        return False
    kernel.detach(".")
    os.chdir("/")
    return True


def _hide(masked: tuple[str, ...], read_only: tuple[str, ...]) -> list[str]:
    for path in read_only:
        try:
            kernel.mount(path, path, flags=kernel.MS_BIND | kernel.MS_REC)
            kernel.mount(path, path, flags=kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | _SAFEST)
        except FileNotFoundError:
            continue
        except OSError as error:
            return [f"{path} could not be made read-only in the container ({error.strerror})"]
    for path in masked:
        try:
            if os.path.isdir(path):
                kernel.mount("tmpfs", path, "tmpfs", _SAFEST | kernel.MS_RDONLY)
            elif os.path.exists(path):
                kernel.mount("/dev/null", path, flags=kernel.MS_BIND)
        except OSError as error:
            return [f"{path} could not be hidden from the container ({error.strerror})"]
    return []


def _put_mounts(spec: Spec, trees: list[int]) -> None:
    """Mount what the run asks for. The image's links lead nowhere but into the image by now."""
    for target, size_bytes in spec["tmpfs"]:
        os.makedirs(target, exist_ok=True)
        size = "" if size_bytes is None else f",size={size_bytes}"
        kernel.mount("tmpfs", target, "tmpfs", _SAFE, f"mode=1777{size}")
    for (source, target, read_only), tree in zip(spec["mounts"], trees, strict=True):
        if stat.S_ISDIR(os.fstat(tree).st_mode):
            os.makedirs(target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.close(os.open(target, os.O_CREAT | os.O_CLOEXEC, 0o644))
        kernel.put_tree(tree, target)
        os.close(tree)
        if read_only:
            flags = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | _SAFE
            kernel.mount(source, target, flags=flags)


def loopback_up() -> None:
    """Let processes of this network namespace reach each other at 127.0.0.1, and this one them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        try:
            (now,) = struct.unpack_from("H", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request), 16)
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", now | _IFF_UP))
        except OSError:
            pass  # a kernel without a loopback device: then nothing can listen on it either


def resolver_of(spec: Spec) -> str:
    """Return how names are resolved outside, for a run in the host's network; read before the root is changed."""
    if spec["network"] == "none":
        return ""
    with contextlib.suppress(OSError), open("/etc/resolv.conf", encoding="utf-8", errors="replace") as stream:
        return stream.read(1 << 16)
    return ""


def write_name_files(spec: Spec, resolver: str) -> None:
    """Write the files that docker mounts, where the image has nothing there, so that `localhost` is known.

    What the run asks for is written over what the image has, in the layer of this run alone.
    """
    hostname = spec["hostname"]
    hosts = f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.0.1\t{hostname}\n"
    hosts += "".join(f"{address}\t{name}\n" for name, address in spec["hosts"])
    files = (
        ("/etc/hosts", hosts, bool(spec["hosts"])),
        ("/etc/hostname", hostname + "\n", False),
        ("/etc/resolv.conf", resolver, bool(resolver)),
    )
    for path, text, always in files:
        try:
            if always and os.path.lexists(path):
                os.unlink(path)
            if os.path.lexists(path) and (os.path.getsize(path) or not os.path.isfile(path)):
                continue  # also what is no file there: opening a fifo would wait for ever
            os.makedirs("/etc", exist_ok=True)
            with open(path, "w", encoding="ascii") as stream:
                stream.write(text)
        except OSError:
            continue  # a dangling link or a directory of that name: the image has it so, the run sees it so


def _make_device_files() -> list[str]:
    """Make the devices of a plain chroot, in a fresh copy of the image."""
    flags = []
    os.makedirs("/dev/shm", 0o755, exist_ok=True)
    os.chmod("/dev/shm", 0o1777)
    for name, minor in (("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)):
        try:
            if not os.path.lexists(f"/dev/{name}"):
                os.mknod(f"/dev/{name}", stat.S_IFCHR | 0o666, os.makedev(1, minor))
                os.chmod(f"/dev/{name}", 0o666)
        except OSError:
            flags.append(f"/dev/{name} is missing in the run, because device files may not be made here")
    return flags


def _enter_working_directory(spec: Spec) -> None:
    path = spec["working_directory"]
    try:
        os.makedirs(path, 0o755, exist_ok=True)
        os.chdir(path)
    except OSError as error:
        raise CommandError(f"cannot enter its working directory {path}: {error.strerror}") from error


def _program(spec: Spec) -> str:
    """Look the command up as the container's PATH has it, before the filter sees it."""
    name = spec["argv"][0]
    if "/" in name:
        return name
    path = next((v.partition("=")[2] for v in spec["environment"] if v.startswith("PATH=")), defaults.PATH)
    for directory in path.split(":"):
        candidate = os.path.join(directory or ".", name)
        try:
            found = os.stat(candidate)
        except OSError:
            continue
        if stat.S_ISREG(found.st_mode) and found.st_mode & 0o111:
            return candidate
    raise CommandError(f"there is no such command in the image (PATH {path})")
