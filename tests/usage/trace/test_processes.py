"""Where processes are, by what strace prints of them."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from mlbloat.usage.trace.processes import Process, Processes, Stage
from mlbloat.usage.trace.stracelines import Began, Descriptor, Line, Text, parsed


def _hex(content: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in content.encode())


def _followed(processes: Processes, *lines: str) -> Iterator[tuple[Process, Line]]:
    """Yield as a reader gets them: what a process is changes with the next line."""
    for line in lines:
        read = parsed(line.encode())
        assert read is not None, line
        yield from processes.follow(read)
    yield from processes.finish()


def _named(processes: Processes, *lines: str) -> list[bytes | None]:
    """Return the names of the calls `access` and `openat`, absolute."""
    names = []
    for process, line in _followed(processes, *lines):
        if isinstance(line, Began) and line.name in ("access", "openat"):
            base = line.arguments[0]
            text = next(argument for argument in line.arguments if isinstance(argument, Text))
            names.append(processes.absolute(process, text.content, base if isinstance(base, Descriptor) else None))
    return names


def _access(process: int, name: str) -> str:
    return f'{process} access("{_hex(name)}", R_OK) = 0'


def _call(process: int, name: str, path: str, result: str = "0") -> str:
    return f'{process} {name}("{_hex(path)}") = {result}'


_EXECVE = f'1 execve("{_hex("/x")}", ["x"], 0x1 /* 1 var */) = 0'


def _started(stage: Stage = Stage.ENTERED, inner: Callable[[int], int | None] = int) -> Processes:
    processes = Processes(inner=inner)
    processes.start((1,), b"/w", stage)
    return processes


def test_relative_names_follow_the_working_directory() -> None:
    lines = (
        _access(1, "a"),
        _call(1, "chdir", "sub"),
        _access(1, "b"),
        _call(1, "chdir", "/none", "-1 ENOENT (No such file or directory)"),
        _access(1, "c"),
        f"1 fchdir(3<{_hex('/d')}>) = 0",
        _access(1, "d"),
    )
    assert _named(_started(), *lines) == [b"/w/a", b"/w/sub/b", b"/w/sub/c", b"/d/d"]


def test_names_are_relative_to_the_descriptor_that_a_call_was_given() -> None:
    lines = (
        f'1 openat(3<{_hex("/d")}>, "{_hex("a")}", O_RDONLY) = 4',
        f'1 openat(AT_FDCWD<{_hex("/told")}>, "{_hex("b")}", O_RDONLY) = 4',
        _access(1, "c"),
        f'1 openat(9, "{_hex("d")}", O_RDONLY) = -1 EBADF (Bad file descriptor)',
    )
    processes = _started()
    assert _named(processes, *lines) == [b"/d/a", b"/told/b", b"/told/c", None]
    assert processes.unplaced == 0


def test_a_changed_root_is_below_the_container_s() -> None:
    lines = (
        _call(1, "chroot", "jail"),
        _access(1, "/a"),
        _access(1, "b"),
        f'1 access("{_hex("/proc/self/root/c")}", R_OK) = 0',
        _call(1, "chroot", "inner/"),
        _call(1, "chdir", "/"),
        _access(1, "d"),
    )
    expected = [b"/w/jail/a", b"/w/b", b"/w/jail/c", b"/w/inner/d"]
    assert _named(_started(), *lines) == expected


def test_a_root_below_ours_is_taken_off() -> None:
    processes = Processes(prefix=b"/run/root")
    processes.start((1,), b"/run/root/w", Stage.ENTERED)
    lines = (_access(1, "a"), f"1 fchdir(3<{_hex('/run/root')}>) = 0", _access(1, "b"), _access(1, "/run/root/c"))
    assert _named(processes, *lines) == [b"/w/a", b"/b", b"/run/root/c"]


def test_own_links_in_proc_are_followed() -> None:
    processes = _started()
    processes.look = lambda process, descriptor: b"/f" if (process, descriptor) == (1, 3) else None
    lines = (
        _EXECVE,
        _access(1, "/proc/self/cwd/a"),
        _access(1, "/proc/self/exe"),
        _access(1, "/proc/self/fd/3"),
        _access(1, "/proc/thread-self/fd/4"),
        _access(1, "/proc/1/fd/4"),
        _access(1, "/proc/1/cwd/a"),
    )
    assert _named(processes, *lines) == [b"/w/a", b"/x", b"/f", None, None, b"/w/a"]


def test_children_have_a_directory_of_their_own_and_threads_the_same() -> None:
    lines = (
        "1 clone(child_stack=NULL, flags=SIGCHLD) = 2",
        _call(2, "chdir", "/two"),
        "1 clone3({flags=CLONE_VM|CLONE_FS|CLONE_THREAD, exit_signal=0} => {parent_tid=[3]}, 88) = 3",
        _call(3, "chdir", "/three"),
        _access(1, "a"),
        _access(2, "b"),
        "3 unshare(CLONE_FS) = 0",
        _call(3, "chdir", "/four"),
        _access(1, "c"),
        _access(3, "d"),
    )
    assert _named(_started(), *lines) == [b"/three/a", b"/two/b", b"/three/c", b"/four/d"]


def test_a_child_may_be_seen_before_the_call_that_made_it_returns() -> None:
    lines = (
        _call(1, "chdir", "/one"),
        "1 vfork( <unfinished ...>",
        _access(2, "a"),
        _call(2, "chdir", "/two"),
        "2 +++ exited with 0 +++",
        "1 <... vfork resumed>) = 9",
        _access(1, "b"),
    )
    processes = _started(inner=lambda number: None)
    assert _named(processes, *lines) == [b"/one/a", b"/one/b"]
    assert not processes.plain(2)


def test_a_child_with_two_possible_parents_waits_until_its_own_is_known() -> None:
    fork = "clone(child_stack=NULL, flags=SIGCHLD"
    lines = (
        f"1 {fork}) = 2",
        _call(2, "chdir", "/two"),
        f"1 {fork} <unfinished ...>",
        f"2 {fork} <unfinished ...>",
        _access(4, "four"),
        _access(3, "three"),
        "2 <... clone resumed>) = 4",
        _access(4, "more"),
        "1 <... clone resumed>) = 3",
    )
    assert _named(_started(), *lines) == [b"/two/four", b"/w/three", b"/two/more"]


def test_a_child_that_ended_before_it_was_asked_for_is_found_by_elimination() -> None:
    lines = (
        "1 fork() = 7",
        _access(20, "a"),
        "1 fork() = 8",
        _access(30, "b"),
        _call(30, "chdir", "/b"),
        "1 fork( <unfinished ...>",
        "30 fork( <unfinished ...>",
        _access(40, "c"),
        "1 <... fork resumed>) = 9",
        _access(50, "d"),
        "30 <... fork resumed>) = 10",
    )
    inner = {20: None, 30: 8, 40: None, 50: 9}
    assert _named(_started(inner=lambda number: inner[number]), *lines) == [b"/w/a", b"/w/b", None, b"/w/d"]


def test_whose_child_is_never_known_has_absolute_names_only() -> None:
    processes = _started()
    assert _named(processes, _access(9, "/a"), _access(9, "b")) == [b"/a", None]
    assert processes.unplaced == 1


def test_a_thread_that_executes_goes_on_as_its_process() -> None:
    lines = (
        "1 clone3({flags=CLONE_VM|CLONE_FS|CLONE_THREAD}, 88) = 2",
        "1 pause( <unfinished ...>",
        f'2 execve("{_hex("/y")}", ["y"], 0x1 /* 1 var */ <unfinished ...>',
        "1 +++ superseded by execve in pid 2 +++",
        "1 <... execve resumed>) = 0",
        _access(1, "/proc/self/exe"),
        _access(1, "a"),
    )
    assert _named(_started(), *lines) == [b"/y", b"/w/a"]


def test_the_run_begins_with_the_first_program_in_the_container() -> None:
    processes = _started()
    stages = [process.stage for process, _ in _followed(processes, _access(1, "a"), _EXECVE, _access(1, "b"))]
    assert stages == [Stage.ENTERED] * 2 + [Stage.INSIDE] * 4  # each call, and its result


def test_a_process_from_outside_enters_the_container_first() -> None:
    lines = (
        f'1 execve("{_hex("/usr/sbin/runc")}", ["runc"], 0x1 /* 1 var */) = 0',
        "1 clone(child_stack=NULL, flags=SIGCHLD) = 2",
        "2 setns(7<net:[4]>, CLONE_NEWNET) = 0",
        "2 setns(7<mnt:[5]>, CLONE_NEWNS) = 0",
        "2 clone(child_stack=NULL, flags=CLONE_PARENT|SIGCHLD) = 3",
        _call(3, "chdir", "app"),
        f'3 execve("{_hex("/x")}", ["x"], 0x1 /* 1 var */) = 0',
        _access(3, "a"),
        _access(1, "b"),
    )
    processes = _started(Stage.OUTSIDE)
    inside = []
    for process, line in _followed(processes, *lines):
        if isinstance(line, Began) and process.stage is Stage.INSIDE:
            inside.append((process.number, line.name))
            assert processes.absolute(process, b"a") == b"/app/a"
    assert inside == [(3, "execve"), (3, "access")]
    assert [processes.plain(number) for number in (1, 2, 3)] == [False, False, True]


@dataclass
class _Model:
    """Processes as the kernel has them, which print as strace would, in an order that could be."""

    chance: random.Random
    apart: int
    """How much the numbers differ that processes have in the container."""
    directories: dict[int, list[str]] = field(default_factory=lambda: {1: ["/w"]})
    pending: dict[int, tuple[int, str]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    expected: set[tuple[int, bytes]] = field(default_factory=set)
    last: int = 1

    def step(self) -> None:
        process = self.chance.choice([each for each in self.directories if each not in self.pending] or [0])
        if process == 0 or (self.pending and self.chance.random() < 0.3):
            self._return(self.chance.choice(list(self.pending)))
            return
        kinds = ["fork", "thread", "access", "access"]
        # What changes under a process while it starts another may hold for that one, or not.
        alone = all(self.directories[process] is not self.directories[each] for each in self.pending)
        kinds += ["chdir"] if alone else []
        kind = self.chance.choice(kinds)
        if kind == "chdir":
            there = self.directories[process][0] = f"/{len(self.lines)}"
            self.lines.append(_call(process, "chdir", there))
        elif kind == "access":
            self.expected.add((process, f"{self.directories[process][0]}/{len(self.lines)}".encode()))
            self.lines.append(_access(process, str(len(self.lines))))
        else:
            self._begin(process, kind)

    def _begin(self, process: int, kind: str) -> None:
        self.last += 1
        flags = "CLONE_VM|CLONE_FS" if kind == "thread" else "SIGCHLD"
        place = self.directories[process]
        self.directories[self.last] = place if kind == "thread" else list(place)
        self.lines.append(f"{process} clone(child_stack=NULL, flags={flags} <unfinished ...>")
        self.pending[process] = (self.last, flags)

    def _return(self, process: int) -> None:
        child, _ = self.pending.pop(process)
        self.lines.append(f"{process} <... clone resumed>) = {child + self.apart}")

    def end(self) -> None:
        for process in list(self.pending):
            self._return(process)


@given(st.randoms(use_true_random=False), st.sampled_from([0, 1, -1, 1000]), st.integers(1, 60))
def test_whatever_order_things_happen_in_every_process_is_where_it_is(
    chance: random.Random, apart: int, steps: int
) -> None:
    model = _Model(chance, apart)
    for _ in range(steps):
        model.step()
    model.end()
    processes = _started(inner=lambda number: number + apart)
    found = set()
    for process, line in _followed(processes, *model.lines):
        if isinstance(line, Began) and line.name == "access":
            (text,) = (argument for argument in line.arguments if isinstance(argument, Text))
            found.add((process.number, processes.absolute(process, text.content)))
    assert found == model.expected
    assert processes.unplaced == 0
