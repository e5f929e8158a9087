import errno
import struct

import pytest

from mlbloat.runtime import seccomp
from mlbloat.runtime.syscalls import ALLOWED, AUDIT_ARCH, NATIVE, NEWEST, NOT_IMPLEMENTED, NUMBERS

_ERRNO = 0x00050000
_MACHINES = tuple(NATIVE)


def _run(program: bytes, architecture: int, number: int, first: int = 0, fourth: int = 0) -> int:
    """Interpret the few instructions that the filter uses (linux/bpf_common.h)."""
    data = struct.pack("<iIQ6Q", number, architecture, 0, first, 0, 0, fourth, 0, 0)
    instructions = list(struct.iter_unpack("=HBBI", program))
    position = accumulator = 0
    while True:
        code: int
        operand: int
        code, if_true, if_false, operand = instructions[position]
        position += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, operand)
        elif code == 0x05:
            position += operand
        elif code == 0x06:
            return operand
        else:
            holds = {0x15: accumulator == operand, 0x35: accumulator >= operand, 0x45: bool(accumulator & operand)}
            position += if_true if holds[code] else if_false


@pytest.mark.parametrize("machine", _MACHINES)
def test_the_program_stops_at_what_was_asked_for_and_nothing_else(machine: str) -> None:
    notify = frozenset({"open", "openat", "execve", "newfstatat", "stat64"})
    program = seccomp.filter_program(machine, notify)
    for architecture in NATIVE[machine]:
        numbers = NUMBERS[architecture]
        stopped = {number for number in range(600) if _run(program, AUDIT_ARCH[architecture], number) == seccomp.NOTIFY}
        assert stopped == {numbers[name] for name in notify if name in numbers}


@pytest.mark.parametrize("machine", _MACHINES)
def test_the_program_denies_what_no_image_may_do(machine: str) -> None:
    program = seccomp.filter_program(machine, frozenset())
    for architecture in NATIVE[machine]:
        numbers = NUMBERS[architecture]
        by_number = {number: name for name, number in numbers.items()}
        for number in range(NEWEST + 100):
            name = by_number.get(number, "")
            answer = _run(program, AUDIT_ARCH[architecture], number)
            if number > NEWEST or name in NOT_IMPLEMENTED:
                assert answer == _ERRNO | errno.ENOSYS
            else:  # clone, socket and personality with the argument 0 are allowed
                assert answer == (seccomp.ALLOW if name in ALLOWED else _ERRNO | errno.EPERM), (number, name)


def test_what_docker_denies_is_denied_and_what_programs_need_is_not() -> None:
    denied = "mount umount2 unshare setns bpf keyctl add_key kexec_load init_module reboot swapon open_by_handle_at"
    assert not ALLOWED & set(denied.split())
    assert set("openat execve futex mmap ptrace chroot rseq clone socket sendfile memfd_create".split()) <= ALLOWED


def test_personality_and_socket_are_allowed_with_some_arguments_only() -> None:
    program = seccomp.filter_program("x86_64", frozenset())
    native = AUDIT_ARCH["x86_64"]
    inet, netlink, crypto, virtual, no_randomisation = 2, 16, 38, 40, 0x0040000
    socket, personality = NUMBERS["x86_64"]["socket"], NUMBERS["x86_64"]["personality"]
    assert {_run(program, native, socket, family) for family in (0, inet, netlink)} == {seccomp.ALLOW}
    assert {_run(program, native, socket, family) for family in (crypto, virtual, 46)} == {_ERRNO | errno.EPERM}
    assert {_run(program, native, personality, kind) for kind in (0, 8, 0xFFFFFFFF)} == {seccomp.ALLOW}
    assert _run(program, native, personality, no_randomisation) == _ERRNO | errno.EPERM


def test_a_new_namespace_is_denied_and_a_thread_is_not() -> None:
    program = seccomp.filter_program("x86_64", frozenset())
    clone = NUMBERS["x86_64"]["clone"]
    new_user, thread = 0x10000000 | 17, 0x003D0F00
    assert _run(program, AUDIT_ARCH["x86_64"], clone, new_user) == _ERRNO | errno.EPERM
    assert _run(program, AUDIT_ARCH["x86_64"], clone, thread) == seccomp.ALLOW


def test_beside_other_processes_only_its_own_limits_may_be_set() -> None:
    prlimit, native = NUMBERS["x86_64"]["prlimit64"], AUDIT_ARCH["x86_64"]
    alone, beside = (seccomp.filter_program("x86_64", frozenset(), beside_others=which) for which in (False, True))
    assert [_run(alone, native, prlimit, process) for process in (0, 1)] == [seccomp.ALLOW, seccomp.ALLOW]
    assert [_run(beside, native, prlimit, process) for process in (0, 1)] == [seccomp.ALLOW, _ERRNO | errno.EPERM]


def test_calls_of_an_unknown_architecture_do_not_exist() -> None:
    program = seccomp.filter_program("x86_64", frozenset({"open"}))
    x32_open = 0x40000002
    assert _run(program, AUDIT_ARCH["x86_64"], x32_open) == _ERRNO | errno.ENOSYS
    assert _run(program, AUDIT_ARCH["aarch64"], 56) == _ERRNO | errno.ENOSYS


def test_the_section_for_runc_names_the_listener_only_when_something_is_listened_to() -> None:
    traced = seccomp.oci_section("x86_64", frozenset({"stat", "open"}), "/run/listener")
    assert traced["listenerPath"] == "/run/listener"
    assert traced["syscalls"][-1] == {"names": ["open", "stat"], "action": "SCMP_ACT_NOTIFY"}
    assert "listenerPath" not in seccomp.oci_section("x86_64", frozenset(), "/run/listener")


@pytest.mark.parametrize("machine", _MACHINES)
def test_only_what_is_fstat_by_another_name_passes_unseen(machine: str) -> None:
    program = seccomp.filter_program(machine, frozenset({"newfstatat"}))
    architecture = NATIVE[machine][0]
    number = NUMBERS[architecture]["newfstatat"]
    descriptor, here, empty, no_follow = 5, 0xFFFF_FFFF_FFFF_FF9C, 0x1000, 0x100

    def answer(directory: int, flags: int) -> int:
        return _run(program, AUDIT_ARCH[architecture], number, directory, flags)

    assert answer(descriptor, empty) == seccomp.ALLOW
    assert {answer(here, empty), answer(descriptor, 0), answer(descriptor, empty | no_follow)} == {seccomp.NOTIFY}
    assert answer(here & 0xFFFF_FFFF, empty) == seccomp.NOTIFY
    section = seccomp.oci_section(machine, frozenset({"newfstatat", "open"}), "/run/listener")
    assert [rule["names"] for rule in section["syscalls"][-4:]] == [["open"], *[["newfstatat"]] * 3]
