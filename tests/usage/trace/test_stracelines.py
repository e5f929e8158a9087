"""Lines of strace: real ones, and any that it could print."""

from hypothesis import example, given
from hypothesis import strategies as st

from mlbloat.usage.trace.stracelines import (
    Address,
    Began,
    Descriptor,
    Ended,
    Gone,
    Replaced,
    Text,
    address_in,
    decoded,
    parsed,
)


def _hex(content: bytes) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in content)


def _began(line: bytes) -> Began:
    found = parsed(line)
    assert isinstance(found, Began)
    return found


def _ended(line: bytes) -> Ended:
    found = parsed(line)
    assert isinstance(found, Ended)
    return found


def test_a_call_with_its_result() -> None:
    line = rb'12195 openat(AT_FDCWD<\x2f\x77>, "\x61\x22\x0a", O_RDONLY|O_CLOEXEC) = 3<\x2f\x77\x2f\x61\x22\x0a>'
    call = _began(line)
    assert (call.process, call.name) == (12195, "openat")
    assert call.arguments == (Descriptor(None, b"/w"), Text(b'a"\n'), None)
    assert call.ended is not None
    assert (call.ended.result, call.ended.path, call.ended.good) == (3, b'/w/a"\n', True)


def test_a_call_that_fails() -> None:
    call = _began(rb'7 newfstatat(3<\x2f>, "\x7a", 0x7ffed3f393c0, 0) = -1 ENOENT (No such file or directory)')
    assert call.arguments == (Descriptor(3, b"/"), Text(b"z"), Address(), Descriptor(0))
    assert call.ended is not None
    assert (call.ended.result, call.ended.good) == (-1, False)


def test_structures_and_lists_end_what_is_read_of_the_arguments() -> None:
    call = _began(rb'7 execve("\x2f\x78", ["\x78", "\x29\x20\x3d\x20\x33"], 0x7f10 /* 38 vars */) = 0')
    assert call.arguments == (Text(b"/x"),)
    assert call.ended is not None
    assert call.ended.result == 0
    stat = _began(rb'7 newfstatat(AT_FDCWD<\x2f>, "\x61", {st_mode=S_IFREG|0644, st_size=0, ...}, AT_EMPTY_PATH) = 0')
    assert stat.arguments == (Descriptor(None, b"/"), Text(b"a"))


def test_what_other_processes_do_in_the_middle_of_a_call() -> None:
    begun = _began(rb'8 execve("\x2f\x78", ["\x78"], 0x7f10 /* 38 vars */ <unfinished ...>')
    assert (begun.arguments, begun.ended) == ((Text(b"/x"),), None)
    assert _began(b"7 vfork( <unfinished ...>").arguments == ()
    assert _ended(b"8 <... execve resumed>)             = 0").result == 0
    forked = _ended(b"7 <... vfork resumed>)              = 43")
    assert (forked.name, forked.result) == ("vfork", 43)


def test_what_never_returns() -> None:
    assert _ended(b"8 <... openat resumed> <unfinished ...>) = ?").result is None
    assert _ended(b"8 <... openat resumed>").result is None
    call = _began(rb'8 open("\x61", O_RDONLY <unfinished ...>) = ?')
    assert call.arguments[0] == Text(b"a")
    assert call.ended is not None
    assert call.ended.result is None


def test_processes_end_and_are_replaced() -> None:
    assert parsed(b"12541 +++ exited with 0 +++") == Gone(12541)
    assert parsed(b"12541 +++ killed by SIGKILL (core dumped) +++") == Gone(12541)
    assert parsed(b"12 +++ superseded by execve in pid 14 +++") == Replaced(12, 14)


def test_what_is_no_call_says_nothing() -> None:
    for line in (
        b"12 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=43, si_uid=0} ---",
        b"12 --- stopped by SIGSTOP ---",
        b"[ Process PID=12 runs in 32 bit mode. ]",
        b"12 [ Process PID=12 runs in 32 bit mode. ]",
        b"",
        b"\xff\x00",
    ):
        assert parsed(line) is None


def test_a_file_that_was_deleted_keeps_its_name() -> None:
    new = _began(rb"12 fchdir(3<\x2f\x77>(deleted)) = 0")
    old = _began(b"12 fchdir(3<" + _hex(b"/w (deleted)") + b">) = 0")
    assert new.arguments == old.arguments == (Descriptor(3, b"/w"),)


def test_what_is_no_file_has_no_path() -> None:
    call = _began(rb'12 inotify_add_watch(3<\x61\x6e\x6f\x6e>, "\x2f\x64", IN_MODIFY) = 1')
    assert call.arguments == (Descriptor(3), Text(b"/d"), None)
    assert _began(b"12 getdents64(3<socket:[357398]>, 0x55 /* 8 entries */, 32768) = 248").arguments[0] == Descriptor(3)


def test_a_string_that_is_cut_is_not_whole() -> None:
    assert _began(rb'12 access("\x2f\x61"..., R_OK) = -1 ENAMETOOLONG (File name too long)').arguments == (
        Text(b"/a", whole=False),
        None,
    )


def test_where_a_call_connects_to() -> None:
    four = b'{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("' + _hex(b"10.9.9.9") + b'")}, 16) = -1'
    six = (
        b"{sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
        b'inet_pton(AF_INET6, "fe80::1", &sin6_addr), sin6_scope_id=0}, 28) = -1'
    )
    assert address_in(four) == ("10.9.9.9", 80)
    assert address_in(six) == ("fe80::1", 443)
    assert address_in(b'{sa_family=AF_UNIX, sun_path="\\x2f\\x61"}, 110) = 0') is None


_NAMES = st.binary(max_size=64).filter(lambda name: b"\0" not in name)
_PATHS = _NAMES.map(lambda name: b"/" + name).filter(lambda path: not path.endswith(b" (deleted)"))
_NUMBERS = st.integers(0, 1 << 22)
_DESCRIPTORS = st.one_of(
    st.builds(Descriptor, st.none(), _PATHS),
    st.builds(Descriptor, _NUMBERS, st.one_of(st.none(), _PATHS)),
)
_OTHERS = st.sampled_from([b"O_RDONLY|O_CLOEXEC", b"NULL", b"AT_SYMLINK_NOFOLLOW", b"IN_MODIFY"])
_ARGUMENTS = st.lists(
    st.one_of(st.builds(Text, _NAMES, st.booleans()), _DESCRIPTORS, st.just(Address()), st.none()), max_size=5
)
_TAILS = st.sampled_from([b"", b", {st_mode=S_IFREG|0644, st_size=0, ...}", b', ["' + _hex(b") = 3") + b'"]'])


def _printed(argument: object, other: bytes) -> bytes:
    if isinstance(argument, Text):
        return b'"' + _hex(argument.content) + b'"' + (b"" if argument.whole else b"...")
    if isinstance(argument, Descriptor):
        number = b"AT_FDCWD" if argument.number is None else b"%d" % argument.number
        return number + (b"" if argument.path is None else b"<" + _hex(argument.path) + b">")
    return b"0x7ffe01" if isinstance(argument, Address) else other


@given(_NUMBERS, _ARGUMENTS, _OTHERS, _TAILS, st.integers(-1, 1 << 20), st.booleans())
def test_any_call_is_read_back_as_it_was_printed(
    process: int, arguments: list[object], other: bytes, tail: bytes, result: int, apart: bool
) -> None:
    words = b", ".join(_printed(argument, other) for argument in arguments) + (tail if arguments else b"")
    if apart:
        call = _began(b"%d linkat(%s <unfinished ...>" % (process, words))
        assert call.ended is None
        ended = _ended(b"%d <... linkat resumed>) = %d" % (process, result))
    else:
        call = _began(b"%d linkat(%s) = %d" % (process, words, result))
        assert call.ended is not None
        ended = call.ended
    assert (call.process, call.name, call.arguments) == (process, "linkat", tuple(arguments))
    assert (ended.process, ended.name, ended.result) == (process, "linkat", result)


@given(_NAMES)
def test_any_bytes_are_escaped_and_read_back(content: bytes) -> None:
    assert decoded(_hex(content)) == content


@given(st.binary(max_size=200))
@example(b'"\\xzz", 0) = 012<\\xzz>')
def test_no_bytes_are_too_strange_to_be_passed_over(line: bytes) -> None:
    parsed(line)
    parsed(b"12 open(" + line)
    parsed(b"12 <... open resumed>" + line)
