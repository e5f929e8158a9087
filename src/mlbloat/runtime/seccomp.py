"""The system-call filter of a container: as a BPF program, and as the section of an OCI runtime configuration.

https://docs.kernel.org/userspace-api/seccomp_filter.html
https://github.com/opencontainers/runtime-spec/blob/v1.0.2/config-linux.md#seccomp
"""

import errno
import struct
from collections.abc import Collection, Sequence
from typing import Any

from mlbloat.runtime.syscalls import (
    ALLOWED,
    AUDIT_ARCH,
    FAMILIES,
    NAMESPACE_FLAGS,
    NATIVE,
    NEWEST,
    NOT_IMPLEMENTED,
    NUMBERS,
    PERSONALITIES,
)

ALLOW = 0x7FFF0000
NOTIFY = 0x7FC00000
_ERRNO = 0x00050000
_LOOK_AT_FLAGS = -1
"""No action of the kernel: decided by clone's flags."""
_LOOK_FOR_FSTAT = -2
"""No action of the kernel: a call that is fstat(2) by another name passes."""
_LOOK_AT_PERSONALITY, _LOOK_AT_FAMILY, _LOOK_AT_PROCESS = -3, -4, -5
"""No actions of the kernel: decided by the first argument."""

FSTAT = "newfstatat"
"""C libraries before glibc 2.39 make fstat of it: an open descriptor, an empty name, AT_EMPTY_PATH alone. One call in
eight of a large Python program is this one, and names nothing."""

_LOAD_NUMBER = (0x20, 0, 0, 0)
_LOAD_ARCH = (0x20, 0, 0, 4)
_LOAD_FIRST_ARGUMENT = (0x20, 0, 0, 16)
"""The low half on every little-endian architecture of the table; all of clone's namespace flags are in it."""
_LOAD_FOURTH_ARGUMENT = (0x20, 0, 0, 40)
_AT_EMPTY_PATH, _AT_FDCWD = 0x1000, 0xFFFFFF9C
_FIRST_NEGATIVE = 0x80000000

_Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false, operand: struct sock_filter."""

_SCMP_ARCH = {"x86_64": "SCMP_ARCH_X86_64", "i386": "SCMP_ARCH_X86", "aarch64": "SCMP_ARCH_AARCH64"}


def filter_program(machine: str, notify: Collection[str], *, beside_others: bool = False) -> bytes:
    """Assemble the filter: what is in `notify` asks the listener, what else docker allows goes on, the rest fails.

    `beside_others`: it sees processes that are not its own, and so may set no limits but those of the caller. A call of
    an architecture that the table does not know, x32 among them, is answered ENOSYS.
    """
    program: list[_Instruction] = [_LOAD_ARCH]
    for architecture in NATIVE[machine]:
        body = [_LOAD_NUMBER, *_decide(_breakpoints(architecture, notify, beside_others))]
        # The body may be longer than a conditional jump reaches, so the other case jumps over it.
        program += [(0x15, 1, 0, AUDIT_ARCH[architecture]), (0x05, 0, 0, len(body)), *body]
    program.append(_give(_ERRNO | errno.ENOSYS))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _breakpoints(architecture: str, notify: Collection[str], beside_others: bool) -> list[tuple[int, int]]:
    """Return the numbers from which on another action holds, ascending."""
    numbers = NUMBERS[architecture]
    actions = {numbers[name]: NOTIFY if name in notify else ALLOW for name in ALLOWED if name in numbers}
    actions |= {numbers[name]: _ERRNO | errno.ENOSYS for name in NOT_IMPLEMENTED if name in numbers}
    looks = {"clone": _LOOK_AT_FLAGS, "personality": _LOOK_AT_PERSONALITY, "socket": _LOOK_AT_FAMILY}
    looks |= {FSTAT: _LOOK_FOR_FSTAT} if FSTAT in notify else {}
    looks |= {"prlimit64": _LOOK_AT_PROCESS} if beside_others else {}
    actions |= {numbers[name]: look for name, look in looks.items() if name in numbers}
    denied = _ERRNO | errno.EPERM
    points = [(0, actions.get(0, denied))]
    for number in sorted({start for call in actions for start in (call, call + 1)}):
        action = actions.get(number, denied)
        if action != points[-1][1]:
            points.append((number, action))
    return [*(point for point in points if point[0] <= NEWEST), (NEWEST + 1, _ERRNO | errno.ENOSYS)]


def _decide(points: list[tuple[int, int]]) -> list[_Instruction]:
    """Search the breakpoints by halves: a call passes eight comparisons, not two hundred."""
    if len(points) == 1:
        action = points[0][1]
        return _LOOKS.get(action) or [_give(action)]
    middle = len(points) // 2
    below, above = _decide(points[:middle]), _decide(points[middle:])
    return [(0x35, len(below), 0, points[middle][0]), *below, *above]


def _give(action: int) -> _Instruction:
    return (0x06, 0, 0, action)


def _one_of(values: Sequence[int]) -> list[_Instruction]:
    """Allow a call whose first argument is one of these."""
    compared = [(0x15, len(values) - number, 0, value) for number, value in enumerate(values)]
    return [_LOAD_FIRST_ARGUMENT, *compared, _give(_ERRNO | errno.EPERM), _give(ALLOW)]


_LOOKS = {
    _LOOK_AT_FLAGS: [
        _LOAD_FIRST_ARGUMENT,
        (0x45, 0, 1, NAMESPACE_FLAGS),
        _give(_ERRNO | errno.EPERM),
        _give(ALLOW),
    ],
    _LOOK_AT_PERSONALITY: _one_of(PERSONALITIES),
    _LOOK_AT_FAMILY: _one_of(FAMILIES),
    _LOOK_AT_PROCESS: _one_of((0,)),
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
    stopped = ALLOWED & frozenset(notify)
    always = ALLOWED - stopped - {"clone", "personality", "socket"}
    rules = [
        {"names": sorted(always), "action": "SCMP_ACT_ALLOW"},
        {"names": list(NOT_IMPLEMENTED), "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
        _allow("clone", {"index": 0, "value": NAMESPACE_FLAGS, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}),
        *(_allow("personality", _equals(value)) for value in PERSONALITIES),
        *(_allow("socket", _equals(value)) for value in FAMILIES),
    ]
    section: dict[str, Any] = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.EPERM,
        "architectures": [_SCMP_ARCH[architecture] for architecture in NATIVE[machine]],
        "syscalls": rules,
    }
    if stopped:
        section["listenerPath"] = listener
        rules.append({"names": sorted(stopped - {FSTAT}), "action": "SCMP_ACT_NOTIFY"})
    if FSTAT in stopped:
        # No two of them hold for one call, or the library decides which one does.
        other = {"index": 3, "value": _AT_EMPTY_PATH, "op": "SCMP_CMP_NE"}
        same = {"index": 3, "value": _AT_EMPTY_PATH, "op": "SCMP_CMP_EQ"}
        below = {"index": 0, "value": _FIRST_NEGATIVE, "op": "SCMP_CMP_GE"}
        open_file = {"index": 0, "value": _FIRST_NEGATIVE, "op": "SCMP_CMP_LT"}
        rules += [
            {"names": [FSTAT], "action": "SCMP_ACT_NOTIFY", "args": [other]},
            {"names": [FSTAT], "action": "SCMP_ACT_NOTIFY", "args": [same, below]},
            {"names": [FSTAT], "action": "SCMP_ACT_ALLOW", "args": [same, open_file]},
        ]
    return section


def _allow(name: str, *arguments: dict[str, Any]) -> dict[str, Any]:
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": list(arguments)}


def _equals(value: int) -> dict[str, Any]:
    return {"index": 0, "value": value, "op": "SCMP_CMP_EQ"}
