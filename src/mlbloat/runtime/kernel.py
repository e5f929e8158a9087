"""The few system calls that Python 3.11 does not have, through the C library.

Numbers and constants: include/uapi/linux of https://github.com/torvalds/linux.
"""

import ctypes
import errno
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4

_SECCOMP_SET_MODE_FILTER = 1
_FLAG_NEW_LISTENER = 1 << 3
_FLAG_WAIT_KILLABLE_RECV = 1 << 5

CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
)
"""In the order of their numbers."""

_OPENAT2 = ctypes.c_long(437)
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_IN_ROOT = 0x10
_OPEN_HOW = (ctypes.c_uint64 * 3)(
    os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY,
    0,
    _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS | _RESOLVE_NO_XDEV,
)
"""Flags, mode and ways to resolve of openat2(2): made once, for a layer has tens of thousands of files."""
_OPEN_HOW_BYTES = ctypes.c_size_t(ctypes.sizeof(_OPEN_HOW))
_ATTEMPTS = 10

_SYSTEM_CALLS = {"x86_64": {"pivot_root": 155, "seccomp": 317}, "aarch64": {"pivot_root": 41, "seccomp": 277}}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def kernel_version() -> tuple[int, ...]:
    """Return the first two numbers of the running kernel's release."""
    parts = os.uname().release.split("-")[0].split(".")[:2]
    return tuple(int(part) for part in parts if part.isdigit())


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, options: str | None = None) -> None:
    data = None if options is None else os.fsencode(options)
    file_system = None if kind is None else kind.encode()
    result = _libc.mount(os.fsencode(source), os.fsencode(target), file_system, ctypes.c_ulong(flags), data)
    _check(result, f"mount {kind or source} on {target}")


def detach(target: str) -> None:
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"unmount {target}")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def enter_mount_namespace(process: int) -> None:
    """Enter the mount namespace of a process; the root is then that namespace's."""
    descriptor = os.open(f"/proc/{process}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, CLONE_NEWNS), "setns")
    finally:
        os.close(descriptor)


def enter_network_namespace(process: int) -> None:
    """Enter the network namespace of a process: sockets that are made from here on are that one's."""
    descriptor = os.open(f"/proc/{process}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, CLONE_NEWNET), "setns")
    finally:
        os.close(descriptor)


def leave_chroot() -> None:
    """Make the root of this mount namespace the root again; entering a mount namespace does that, even one's own."""
    enter_mount_namespace(os.getpid())


_OPEN_TREE, _MOVE_MOUNT = 428, 429
_OPEN_TREE_CLONE, _RECURSIVE, _EMPTY_PATH = 1, 0x8000, 4


def take_tree(source: str) -> int:
    """Return a descriptor of a copy of the mounts at a path, which is nowhere yet (open_tree, Linux 5.2)."""
    flags = _OPEN_TREE_CLONE | _RECURSIVE | os.O_CLOEXEC
    result = _libc.syscall(ctypes.c_long(_OPEN_TREE), -100, os.fsencode(source), ctypes.c_uint(flags))
    return _check(result, f"bind {source}")


def put_tree(descriptor: int, target: str) -> None:
    """Mount what `take_tree` returned."""
    path = os.fsencode(target)
    result = _libc.syscall(ctypes.c_long(_MOVE_MOUNT), descriptor, b"", -100, path, ctypes.c_uint(_EMPTY_PATH))
    _check(result, f"mount on {target}")


_FAN_CLOEXEC, _FAN_NONBLOCK, _FAN_UNLIMITED_QUEUE = 1, 2, 16
_FAN_MARK_ADD, _FAN_MARK_FILESYSTEM = 1, 0x100
_FAN_OPEN, _FAN_OPEN_EXEC, _FAN_ONDIR = 0x20, 0x1000, 0x40000000


def watch_file_system(path: str) -> int:
    """Return a queue of what is opened on a file system, of any length (fanotify(7), Linux 5.0)."""
    flags = _FAN_CLOEXEC | _FAN_NONBLOCK | _FAN_UNLIMITED_QUEUE
    events = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    queue = _check(_libc.fanotify_init(ctypes.c_uint(flags), ctypes.c_uint(events)), "fanotify_init")
    mask = ctypes.c_uint64(_FAN_OPEN | _FAN_OPEN_EXEC | _FAN_ONDIR)
    what = ctypes.c_uint(_FAN_MARK_ADD | _FAN_MARK_FILESYSTEM)
    _check(_libc.fanotify_mark(queue, what, mask, -100, os.fsencode(path)), f"watch {path}")
    return queue


def pivot_root(new: str, old: str) -> None:
    number = _SYSTEM_CALLS[os.uname().machine]["pivot_root"]
    _check(_libc.syscall(ctypes.c_long(number), os.fsencode(new), os.fsencode(old)), "pivot_root")


def _prctl(option: int, argument: int = 0) -> int:
    words = [ctypes.c_ulong(word) for word in (argument, 0, 0, 0)]
    return _check(int(_libc.prctl(option, *words)), f"prctl {option}")


def signal_when_parent_dies(number: int) -> None:
    _prctl(_PR_SET_PDEATHSIG, number)


def allow_inspection() -> None:
    """Let the tracer read this process's memory although it changed its user."""
    _prctl(_PR_SET_DUMPABLE, 1)


def adopt_orphans() -> None:
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def no_new_privileges() -> None:
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_VERSION = 1
_SCOPES_SIGNALS_SINCE = 6
"""The version of Landlock, of Linux 6.12."""
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2


def knows_scopes() -> bool:
    """Tell whether the kernel can keep the signals of some processes among them: landlock(7)."""
    version = _libc.syscall(ctypes.c_long(_LANDLOCK_CREATE_RULESET), None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    return int(version) >= _SCOPES_SIGNALS_SINCE


def enter_scope() -> bool:
    """Let this process and all that it starts signal, trace, and reach by abstract sockets, one another only.

    Others still reach them. Takes `no_new_privileges`. False where the kernel cannot.
    """
    if not knows_scopes():
        return False
    rules = (ctypes.c_uint64 * 3)(0, 0, _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS)
    size = ctypes.c_size_t(ctypes.sizeof(rules))
    ruleset = int(_libc.syscall(ctypes.c_long(_LANDLOCK_CREATE_RULESET), rules, size, 0))
    if ruleset < 0:
        return False
    try:
        return int(_libc.syscall(ctypes.c_long(_LANDLOCK_RESTRICT_SELF), ruleset, 0)) == 0
    finally:
        os.close(ruleset)


def keep_capabilities(keep: frozenset[int]) -> None:
    """Take every other capability out of the bounding set, so that no execve gives it back."""
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    for number in range(64):
        if number in keep:
            continue
        try:
            if _prctl(_PR_CAPBSET_READ, number):
                _prctl(_PR_CAPBSET_DROP, number)
        except OSError:
            if number < len(CAPABILITIES):
                raise
            return


def effective_capabilities() -> frozenset[int]:
    """Return the numbers of the capabilities that this thread holds: capget(2), version 3."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    _check(_libc.capget(header, data), "capget")
    bits = data[0] | data[3] << 32
    return frozenset(number for number in range(64) if bits >> number & 1)


def process_descriptor(process: int) -> int:
    """Return a descriptor that names a process for ever and is readable when it ended (pidfd_open, Linux 5.3)."""
    return _check(_libc.syscall(ctypes.c_long(434), process, 0), "pidfd_open")


def send_signal(descriptor: int, number: int) -> None:
    """Signal the process that a descriptor names; ProcessLookupError when it ended."""
    _check(_libc.syscall(ctypes.c_long(424), descriptor, number, None, 0), "pidfd_send_signal")


def open_root(directory: str | os.PathLike[str]) -> int:
    """Open a directory for `open_below`. The caller closes it."""
    return os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def open_inside(directory: str | os.PathLike[str], name: bytes) -> int:
    """Open a file for reading as if `directory` were the root, as `open_below` does."""
    root = open_root(directory)
    try:
        return open_below(root, name, os.fspath(directory))
    finally:
        os.close(root)


def open_below(root: int, name: bytes, directory: str) -> int:
    """Open a file for reading as if a directory were the root: no name and no symbolic link leads out (Linux 5.6).

    The file itself may be no symbolic link, and no other file system is entered. `directory` is what errors call it.
    """
    for _ in range(_ATTEMPTS):
        opened = int(_libc.syscall(_OPENAT2, root, name, _OPEN_HOW, _OPEN_HOW_BYTES))
        if opened >= 0:
            return opened
        # A rename anywhere in the system may disturb the way over "..".
        if ctypes.get_errno() != errno.EAGAIN:
            break
    return _check(-1, f"open {os.fsdecode(name)[:200]} in {directory}")


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install_filter(program: bytes, *, listen: bool) -> int | None:
    """Install a system-call filter on this process and what it starts; with `listen` return the listener."""
    number = _SYSTEM_CALLS[os.uname().machine]["seccomp"]
    argument = _Program(len(program) // 8, program)
    attempts = (_FLAG_NEW_LISTENER | _FLAG_WAIT_KILLABLE_RECV, _FLAG_NEW_LISTENER) if listen else (0,)
    result = -1
    for flags in attempts:
        result = _libc.syscall(
            ctypes.c_long(number), _SECCOMP_SET_MODE_FILTER, ctypes.c_ulong(flags), ctypes.byref(argument)
        )
        if result >= 0:
            break
    _check(result, "install a seccomp filter")
    return result if listen else None
