"""What each system call does with which of its arguments.

A tracer that knows these sees every path that a program names. Not here: calls on a descriptor, whose path was seen
when it was opened, and names of sockets, which no image holds. man 2 of each.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mlbloat.model.use import Action
from mlbloat.runtime.syscalls import AUDIT_ARCH, NUMBERS

CWD = -1
"""In place of a directory argument: the path is relative to the working directory."""


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    paths: tuple[tuple[int, int], ...]
    """(argument with the directory, argument with the path); CWD where there is no directory argument."""
    action: Action


def _calls() -> tuple[Call, ...]:
    plain, at = ((CWD, 0),), ((0, 1),)
    meanings: tuple[tuple[Action, tuple[tuple[int, int], ...], str], ...] = (
        (Action.OPENED, plain, "open creat"),
        (Action.OPENED, at, "openat openat2"),
        (Action.EXECUTED, plain, "execve"),
        (Action.EXECUTED, at, "execveat"),
        (
            Action.LOOKED_UP,
            plain,
            "stat lstat stat64 lstat64 oldstat oldlstat access readlink chdir chroot statfs statfs64",
        ),
        (Action.LOOKED_UP, plain, "getxattr lgetxattr listxattr llistxattr"),
        (Action.LOOKED_UP, at, "newfstatat fstatat64 statx faccessat faccessat2 readlinkat name_to_handle_at"),
        (Action.LOOKED_UP, at, "getxattrat listxattrat file_getattr"),
        (Action.LOOKED_UP, ((CWD, 1),), "inotify_add_watch"),
        (Action.CHANGED, plain, "truncate truncate64 unlink rmdir mkdir mknod chmod chown lchown chown32 lchown32"),
        (Action.CHANGED, plain, "utime utimes setxattr lsetxattr removexattr lremovexattr"),
        (
            Action.CHANGED,
            at,
            "unlinkat mkdirat mknodat fchmodat fchmodat2 fchownat futimesat utimensat utimensat_time64",
        ),
        (Action.CHANGED, at, "setxattrat removexattrat file_setattr"),
        (Action.CHANGED, ((CWD, 0), (CWD, 1)), "rename link"),
        (Action.CHANGED, ((0, 1), (2, 3)), "renameat renameat2 linkat"),
        (Action.CHANGED, ((CWD, 1),), "symlink"),
        (Action.CHANGED, ((1, 2),), "symlinkat"),
        (Action.LISTED, (), "getdents getdents64"),
    )
    return tuple(Call(name, paths, action) for action, paths, names in meanings for name in names.split())


TIMERS = ("alarm", "setitimer", "timer_create")
"""Signals that they send may interrupt a call that waits for the tracer, so the report says when a run sets one."""

CALLS: Mapping[str, Call] = MappingProxyType({call.name: call for call in _calls()})

CONNECT = "connect"
"""Names no file; says what a run without a network missed."""

NAMES: frozenset[str] = frozenset((*CALLS, *TIMERS, CONNECT))

BY_NUMBER: Mapping[int, Mapping[int, str]] = MappingProxyType(
    {
        AUDIT_ARCH[architecture]: MappingProxyType({number: name for name, number in numbers.items() if name in NAMES})
        for architecture, numbers in NUMBERS.items()
    }
)
"""Audit architecture and number, as a notification has them, to the name."""
