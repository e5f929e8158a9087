"""System calls: their numbers, and which a container may make. The table is in syscalls.txt, with its sources."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

ARCHITECTURES = ("x86_64", "i386", "aarch64")
"""The columns of the table."""

AUDIT_ARCH: Mapping[str, int] = MappingProxyType({"x86_64": 0xC000003E, "i386": 0x40000003, "aarch64": 0xC00000B7})
"""https://github.com/torvalds/linux/blob/master/include/uapi/linux/audit.h"""

NATIVE: Mapping[str, tuple[str, ...]] = MappingProxyType({"x86_64": ("x86_64", "i386"), "aarch64": ("aarch64",)})
"""Machine, as uname says it, to the architectures whose programs its kernel runs and this table knows."""

NEWEST = 466
"""From the next number on, nobody knew the calls when this table was made: they are answered ENOSYS, as docker does.
The bit that marks calls of x32 is far above."""


def _parse(table: str) -> tuple[Mapping[str, Mapping[str, int]], frozenset[str]]:
    numbers: dict[str, dict[str, int]] = {architecture: {} for architecture in ARCHITECTURES}
    allowed = set()
    for line in table.splitlines():
        if line.startswith("#"):
            continue
        name, *columns, verdict = line.split()
        for architecture, number in zip(ARCHITECTURES, columns, strict=True):
            if number != "-":
                numbers[architecture][name] = int(number)
        if verdict == "allowed":
            allowed.add(name)
    return MappingProxyType(numbers), frozenset(allowed)


NUMBERS, ALLOWED = _parse(Path(__file__).with_name("syscalls.txt").read_text(encoding="ascii"))
"""Architecture to name to number; names of calls that may be made, some of them with certain arguments only."""

NOT_IMPLEMENTED = ("clone3", "io_uring_enter", "io_uring_register", "io_uring_setup")
"""Answered ENOSYS, so that programs fall back: io_uring opens files where no tracer sees it, and clone3 hides its flags
in memory that a filter cannot read. What else is not allowed is answered EPERM, as docker does."""

NAMESPACE_FLAGS = 0x7E020000
"""CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID and NET: clone with one of them is denied."""

PERSONALITIES = (0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
"""Of personality(2), the ones that may be asked for: Linux, 32 bits, and the question which it is."""

FAMILIES = (*range(12), 13, 14, 15, 16, 17, 18, 21, 22, 24, *range(26, 34), 35, 36, 39, *range(41, 46))
"""Of socket(2): not AF_ALG, AF_VSOCK and others, whose code in the kernel knows no namespaces."""
