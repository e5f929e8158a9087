"""The system-call filter of a container: as a BPF program, and as the section of an OCI runtime configuration.

https://docs.kernel.org/userspace-api/seccomp_filter.html
https://github.com/opencontainers/runtime-spec/blob/v1.0.2/config-linux.md#seccomp
"""

import errno
import struct
from collections.abc import Collection
from typing import Any

from mlbloat.runtime.syscalls import (
    AUDIT_ARCH,
    DENIED,
    NAMESPACE_FLAGS,
    NATIVE,
    NEWEST,
    NOT_IMPLEMENTED,
    NUMBERS,
)

ALLOW = 0x7FFF0000
NOTIFY = 0x7FC00000
_ERRNO = 0x00050000
_LOOK_AT_FLAGS = -1
"""No action of the kernel: decided by clone's flags."""
_LOOK_FOR_FSTAT = -2
"""No action of the kernel: a call that is fstat(2) by another name passes."""

FSTAT = "newfstatat"
"""C libraries before glibc 2.39 make fstat of it: an open descriptor, an empty name, AT_EMPTY_PATH alone. One call in
eight of a large Python program is this one, and names nothing."""

_LOAD_NUMBER = (0x20, 0, 0, 0)
_LOAD_ARCH = (0x20, 0, 0, 4)
_LOAD_FIRST_ARGUMENT = (0x20, 0, 0, 16)
"""The low half on every little-endian architecture of the table; all of clone's namespace flags are in it."""
_LOAD_FOURTH_ARGUMENT = (0x20, 0, 0, 40)
_AT_EMPTY_PATH, _AT_FDCWD = 0x1000, 0xFFFFFF9C
_INT = 0xFFFFFFFF

_Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false, operand: struct sock_filter."""

_SCMP_ARCH = {"x86_64": "SCMP_ARCH_X86_64", "i386": "SCMP_ARCH_X86", "aarch64": "SCMP_ARCH_AARCH64"}


def filter_program(machine: str, notify: Collection[str]) -> bytes:
    """Assemble the filter: what is in `notify` asks the listener, what no image may do fails, the rest is allowed.

    A call of an architecture that the table does not know, x32 among them, is answered ENOSYS.
    """
    program: list[_Instruction] = [_LOAD_ARCH]
    for architecture in NATIVE[machine]:
        body = [_LOAD_NUMBER, *_decide(_breakpoints(architecture, notify))]
        # The body may be longer than a conditional jump reaches, so the other case jumps over it.
        program += [(0x15, 1, 0, AUDIT_ARCH[architecture]), (0x05, 0, 0, len(body)), *body]
    program.append(_give(_ERRNO | errno.ENOSYS))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _breakpoints(architecture: str, notify: Collection[str]) -> list[tuple[int, int]]:
    """Return the numbers from which on another action holds, ascending."""
    numbers = NUMBERS[architecture]
    actions = {numbers[name]: NOTIFY for name in notify if name in numbers}
    if FSTAT in notify and FSTAT in numbers:
        actions[numbers[FSTAT]] = _LOOK_FOR_FSTAT
    actions |= {numbers[name]: _ERRNO | errno.EPERM for name in DENIED if name in numbers}
    actions |= {numbers[name]: _ERRNO | errno.ENOSYS for name in NOT_IMPLEMENTED if name in numbers}
    actions[numbers["clone"]] = _LOOK_AT_FLAGS
    points = [(0, actions.get(0, ALLOW))]
    for number in sorted({start for call in actions for start in (call, call + 1)}):
        action = actions.get(number, ALLOW)
        if action != points[-1][1]:
            points.append((number, action))
    return [*points, (NEWEST + 1, _ERRNO | errno.ENOSYS)]


def _decide(points: list[tuple[int, int]]) -> list[_Instruction]:
    """Search the breakpoints by halves: a call passes seven comparisons, not a hundred."""
    if len(points) == 1:
        action = points[0][1]
        return _LOOKS.get(action) or [_give(action)]
    middle = len(points) // 2
    below, above = _decide(points[:middle]), _decide(points[middle:])
    return [(0x35, len(below), 0, points[middle][0]), *below, *above]


def _give(action: int) -> _Instruction:
    return (0x06, 0, 0, action)


_LOOKS = {
    _LOOK_AT_FLAGS: [
        _LOAD_FIRST_ARGUMENT,
        (0x45, 0, 1, sum(NAMESPACE_FLAGS)),
        _give(_ERRNO | errno.EPERM),
        _give(ALLOW),
    ],
    _LOOK_FOR_FSTAT: [
        _LOAD_FOURTH_ARGUMENT,
        (0x15, 0, 3, _AT_EMPTY_PATH),
        _LOAD_FIRST_ARGUMENT,
        (0x15, 1, 0, _AT_FDCWD),
        _give(ALLOW),
        _give(NOTIFY),
    ],
}


def oci_section(machine: str, notify: Collection[str], listener: str) -> dict[str, Any]:
    """Return the same filter as `linux.seccomp` of config.json; `listener` is the socket that gets the descriptor."""
    section: dict[str, Any] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": [_SCMP_ARCH[architecture] for architecture in NATIVE[machine]],
        "syscalls": [
            {"names": list(DENIED), "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM},
            {"names": list(NOT_IMPLEMENTED), "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
            *(_deny_clone(flag) for flag in NAMESPACE_FLAGS),
        ],
    }
    if notify:
        section["listenerPath"] = listener
        section["syscalls"].append({"names": sorted(set(notify) - {FSTAT}), "action": "SCMP_ACT_NOTIFY"})
    if FSTAT in notify:
        # Each of the two suffices: other flags than those of fstat, or a name below the working directory.
        other = {"index": 3, "value": _AT_EMPTY_PATH, "op": "SCMP_CMP_NE"}
        below = {"index": 0, "value": _INT, "valueTwo": _AT_FDCWD, "op": "SCMP_CMP_MASKED_EQ"}
        section["syscalls"] += [
            {"names": [FSTAT], "action": "SCMP_ACT_NOTIFY", "args": [arg]} for arg in (other, below)
        ]
    return section


def _deny_clone(flag: int) -> dict[str, Any]:
    argument = {"index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}
    return {"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM, "args": [argument]}
