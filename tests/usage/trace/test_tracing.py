"""Every way to name a file, in containers that really run."""

import os
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from mlbloat import runtime
from mlbloat.errors import RunError
from mlbloat.model.image import ImageConfig
from mlbloat.model.use import Action, Level
from mlbloat.model.workload import Run
from mlbloat.runtime import Engine
from mlbloat.usage.trace import seccomp, strace, trace, tracers, uses_of
from tests.support import sandbox
from tests.support.interrupts import interrupted
from tests.support.sandbox import HOST, python
from tests.support.trees import Hard, Link

_CONFIG = ImageConfig(document=b"{}", environment=(("PATH", "/bin"),))
_O, _L, _C, _X, _D = Action.OPENED, Action.LOOKED_UP, Action.CHANGED, Action.EXECUTED, Action.LISTED

_PREPARE = """
import os, sys, ctypes, threading
os.makedirs("/tmp/w/sub"); os.chdir("/tmp/w")
for name in ("f", "sub/g"): open(name, "w").close()
libc = ctypes.CDLL(None)
def quiet(do, *arguments):
    try: do(*arguments)
    except OSError: pass
"""


@pytest.fixture(
    params=[
        pytest.param("embedded", marks=pytest.mark.sandbox),
        pytest.param("runc", marks=pytest.mark.engine),
    ]
)
def engine(request: pytest.FixtureRequest) -> Engine:
    return sandbox.engine(str(request.param))


@pytest.fixture(params=[seccomp, pytest.param(strace, marks=pytest.mark.engine)], ids=lambda tracer: str(tracer.name))
def tracer(request: pytest.FixtureRequest) -> ModuleType:
    """The tracers that see every call."""
    return sandbox.tracer(request.param)


def _accesses(engine: Engine, tracer: ModuleType, code: str, scratch: Path) -> set[tuple[str, Action]]:
    recorder: tracers.Tracing = tracer.Recorder()
    outcome = engine.run(python(_PREPARE + code), HOST, scratch, recorder)
    assert (outcome.exit, outcome.stderr) == (0, b"")
    return {(access.path, access.action) for access in recorder.accesses()}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("open('/c/read', 'a') if 0 else quiet(open, '/c/read')", ("/c/read", _O)),
        ("quiet(os.stat, '/c/stat')", ("/c/stat", _L)),
        ("quiet(os.lstat, 'sub/../stat')", ("/tmp/w/sub/../stat", _L)),
        ("os.access('/c/access', os.R_OK)", ("/c/access", _L)),
        ("quiet(os.readlink, '/c/link')", ("/c/link", _L)),
        ("quiet(os.getxattr, '/c/attribute', 'user.a')", ("/c/attribute", _L)),
        ("quiet(os.statvfs, '/c/statvfs')", ("/c/statvfs", _L)),
        ("quiet(os.chdir, '/c/directory')", ("/c/directory", _L)),
        ("os.chdir('sub'); quiet(open, 'after-chdir')", ("/tmp/w/sub/after-chdir", _O)),
        ("os.fchdir(os.open('sub', os.O_RDONLY)); quiet(open, 'after-fchdir')", ("/tmp/w/sub/after-fchdir", _O)),
        ("quiet(lambda: os.open('h', 0, dir_fd=os.open('sub', os.O_RDONLY)))", ("/tmp/w/sub/h", _O)),
        ("quiet(lambda: os.stat('h', dir_fd=os.open('sub', os.O_PATH)))", ("/tmp/w/sub/h", _L)),
        ("os.listdir('sub')", ("/tmp/w/sub", _D)),
        ("list(os.scandir('.'))", ("/tmp/w", _D)),
        ("quiet(os.rename, '/c/old', '/c/new')", ("/c/old", _C)),
        ("quiet(os.rename, '/c/old', '/c/new')", ("/c/new", _C)),
        ("quiet(os.link, '/c/from', '/c/to')", ("/c/from", _C)),
        ("quiet(os.unlink, '/c/unlink')", ("/c/unlink", _C)),
        ("quiet(os.mkdir, '/c/mkdir')", ("/c/mkdir", _C)),
        ("quiet(os.rmdir, '/c/rmdir')", ("/c/rmdir", _C)),
        ("quiet(os.truncate, '/c/truncate', 0)", ("/c/truncate", _C)),
        ("quiet(os.chmod, '/c/chmod', 0)", ("/c/chmod", _C)),
        ("quiet(os.chown, '/c/chown', 0, 0)", ("/c/chown", _C)),
        ("quiet(os.utime, '/c/utime')", ("/c/utime", _C)),
        ("quiet(os.setxattr, '/c/set', 'user.a', b'')", ("/c/set", _C)),
        ("quiet(os.execv, '/c/execute', ['x'])", ("/c/execute", _X)),
        ("libc.execveat(-100, b'/c/executeat', None, None, 0)", ("/c/executeat", _X)),
        ("open(b'/tmp/\\xff', 'w')", ("/tmp/\udcff", _O)),
        ("quiet(open, '/' + 'x/' * 1500 + 'long')", ("/" + "x/" * 1500 + "long", _O)),
        ("open('/proc/self/cwd/f')", ("/tmp/w/f", _O)),
        ("open(f'/proc/{os.getpid()}/cwd/f')", ("/tmp/w/f", _O)),
        ("libc.syscall(437, os.open('sub', 0), b'/../g', (ctypes.c_uint64 * 3)(0, 0, 16), 24)", ("/tmp/w/sub/g", _O)),
        ("libc.syscall(437, os.open('/', 0), b'/../z', (ctypes.c_uint64 * 3)(0, 0, 16), 24)", ("/z", _O)),
        ("os.rename('sub', 'moved'); quiet(open, 'moved/g')", ("/tmp/w/sub/g", _O)),
        ("os.rename('sub', 'n'); os.rename('n', 'sub'); open('sub/g')", ("/tmp/w/sub/g", _O)),
        ("os.symlink('/usr/share', 's'); quiet(open, 's/behind')", ("/usr/share/behind", _O)),
        ("quiet(open, 's/x'); os.symlink('/usr/share', 's'); quiet(open, 's/x')", ("/usr/share/x", _O)),
        ("libc.inotify_add_watch(libc.inotify_init(), b'/c/watched', 2)", ("/c/watched", _L)),
        ("(lambda p: os.waitpid(p, 0) if p else (quiet(open, '/c/child'), os._exit(0)))(os.fork())", ("/c/child", _O)),
        ("threading.Thread(target=quiet, args=(open, '/c/thread')).start()", ("/c/thread", _O)),
    ],
)
def test_every_way_to_name_a_file_is_recorded(
    engine: Engine, tracer: ModuleType, tmp_path: Path, code: str, expected: tuple[str, Action]
) -> None:
    accesses = _accesses(engine, tracer, code, tmp_path)
    assert expected in accesses, sorted(path for path, _ in accesses if not path.startswith(sys.base_prefix))


def test_what_a_program_without_a_name_is_interpreted_by_is_recorded(engine: Engine, tmp_path: Path) -> None:
    code = """
def execute(descriptor):
    if os.fork() == 0:
        os.dup2(os.open("/dev/null", os.O_RDWR), 1)
        libc.execveat(descriptor, b"", (ctypes.c_char_p * 2)(b"x"), (ctypes.c_char_p * 1)(), 0x1000)
        os._exit(1)
    assert os.wait()[1] == 0
def written(name, content):
    open(name, "wb").write(content); os.chmod(name, 0o755)
    descriptor = os.open(name, os.O_RDONLY); os.set_inheritable(descriptor, True); os.unlink(name)
    return descriptor
cat = open("/bin/cat", "rb").read()
execute(written("program", cat))
if os.path.exists("/proc/self/fd"):  # there is none in a chroot
    execute(written("script", b"#!/bin/cat\\n"))
    memory = os.memfd_create("m"); os.write(memory, cat)
    descriptor = os.open(f"/proc/self/fd/{memory}", os.O_RDONLY); os.close(memory); execute(descriptor)
"""
    accesses = _accesses(engine, seccomp, code, tmp_path)
    assert ("/tmp/w/program", _X) in accesses
    assert sandbox.in_chroot() or {("/tmp/w/script", _X), ("/bin/cat", _X)} <= accesses
    assert any("/ld-linux" in path and action is _X for path, action in accesses)
    assert not any("memfd" in path and action is _X for path, action in accesses)


def test_links_under_another_root_lead_to_files_below_it(engine: Engine, tracer: ModuleType, tmp_path: Path) -> None:
    if sandbox.in_chroot():
        pytest.skip("a container started inside a chroot may not change its root: it could leave it")
    code = """
os.symlink("/two", "sub/one"); os.symlink("three/../g", "sub/two"); os.mkdir("sub/three")
os.chroot("sub"); os.chdir("/three"); open("../one"); quiet(open, "/../one/none")
"""
    accesses = _accesses(engine, tracer, code, tmp_path)
    below = {path.removeprefix("/tmp/w/sub/") for path, action in accesses if action is _O}
    assert {"three/../one", "one", "two", "g", "../one/none", "g/none"} <= below


def test_names_under_another_root_are_those_of_the_image(engine: Engine, tracer: ModuleType, tmp_path: Path) -> None:
    if sandbox.in_chroot():
        pytest.skip("a container started inside a chroot may not change its root: it could leave it")
    # The file is named before the root changes too: the same name then means another file.
    code = "quiet(open, '/sub/g'); os.chroot('/tmp/w'); open('/sub/g'); os.chdir('/sub'); open('g'); quiet(open, '/z')"
    accesses = _accesses(engine, tracer, code, tmp_path)
    assert {("/sub/g", _O), ("/tmp/w/sub/g", _O), ("/tmp/w/z", _O)} <= accesses
    assert ("/z", _O) not in accesses


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="32-bit calls are those of x86")
def test_32_bit_calls_are_recorded(engine: Engine, tracer: ModuleType, tmp_path: Path) -> None:
    code = """
import mmap
low = libc.mmap; low.restype = ctypes.c_void_p
page = low(None, ctypes.c_size_t(4096), 7, 0x62, -1, ctypes.c_long(0))
name = b"/c/int80\\0"
# push rbx; mov eax, 5 (open); mov ebx, name; xor ecx, ecx; int 0x80; pop rbx; ret
code = b"\\x53\\xb8\\x05\\x00\\x00\\x00\\xbb" + (page + 64).to_bytes(4, "little") + b"\\x31\\xc9\\xcd\\x80\\x5b\\xc3"
ctypes.memmove(page, code, len(code)); ctypes.memmove(page + 64, name, len(name))
ctypes.CFUNCTYPE(ctypes.c_int)(page)()
"""
    assert ("/c/int80", _O) in _accesses(engine, tracer, code, tmp_path)


def test_io_uring_does_not_exist_so_nothing_is_read_unseen(engine: Engine, tracer: ModuleType, tmp_path: Path) -> None:
    code = """
libc = ctypes.CDLL(None, use_errno=True)
assert libc.syscall(425, 8, ctypes.create_string_buffer(120)) == -1 and ctypes.get_errno() == 38
assert libc.syscall(435, 0, 0) == -1 and ctypes.get_errno() == 38
"""
    _accesses(engine, tracer, code, tmp_path)


def test_what_happens_before_the_command_is_not_recorded(engine: Engine, tracer: ModuleType, tmp_path: Path) -> None:
    recorder: tracers.Tracing = tracer.Recorder()
    engine.run(python(""), HOST, tmp_path, recorder)
    assert recorder.accesses()[0].action is Action.EXECUTED
    assert recorder.accesses()[0].path == sys.executable


def test_many_processes_and_threads_lose_nothing(engine: Engine, tracer: ModuleType, tmp_path: Path) -> None:
    code = """
def touch(process, thread):
    for number in range(4): quiet(os.stat, f"/c/{process}/{thread}/{number}")
children = []
for process in range(50):
    child = os.fork()
    if child == 0:
        threads = [threading.Thread(target=touch, args=(process, thread)) for thread in range(8)]
        [thread.start() for thread in threads]; [thread.join() for thread in threads]
        os._exit(0)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 50
"""
    accesses = {path for path, _ in _accesses(engine, tracer, code, tmp_path)}
    expected = {
        f"/c/{process}/{thread}/{number}" for process in range(50) for thread in range(8) for number in range(4)
    }
    assert expected - accesses == set()


def test_the_interpreter_of_what_the_run_itself_makes_is_recorded(
    engine: Engine, tracer: ModuleType, tmp_path: Path
) -> None:
    code = """
open("made", "w").write("#!/tmp/w/second\\n"); open("second", "w").write("#! /bin/cat -u\\n")
os.chmod("made", 0o755); os.chmod("second", 0o755); os.symlink("made", "link")
child = os.fork()
if child == 0: os.dup2(os.open("/dev/null", os.O_RDWR), 1); os.execv("./link", ["x"])
os.waitpid(child, 0)
"""
    accesses = _accesses(engine, tracer, code, tmp_path)
    assert {("/tmp/w/./link", _X), ("/tmp/w/second", _X), ("/bin/cat", _X)} <= accesses
    assert any("/ld-linux" in path and action is _X for path, action in accesses)


def test_a_timer_is_reported(engine: Engine, tmp_path: Path) -> None:
    recorder = seccomp.Recorder()
    engine.run(python("import signal; signal.setitimer(signal.ITIMER_REAL, 100)"), HOST, tmp_path, recorder)
    assert any("it set a timer" in flag for flag in recorder.flags())


def test_an_interrupt_while_tracing_leaves_nothing(engine: Engine, tracer: ModuleType, tmp_path: Path) -> None:
    before = (threading.active_count(), len(list(Path("/proc/self/fd").iterdir())))
    with interrupted(tmp_path):
        engine.run(python("import os\nwhile True: os.stat('/')", timeout_seconds=60), HOST, tmp_path, tracer.Recorder())
    assert (threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))) == before
    assert list(tmp_path.iterdir()) == []


def test_a_run_over_its_time_is_no_profile(engine: Engine, tmp_path: Path) -> None:
    tree = sandbox.shell_tree()
    runtime.unpack(tree, tmp_path / "root")
    (tmp_path / "scratch").mkdir()
    run = Run(name="slow", run=("sh", "-c", "trap 'exit 1' TERM; while :; do :; done"), timeout_seconds=0.5)
    with pytest.raises(RunError, match=r"cannot record run 'slow': it did not end within 0\.5 seconds"):
        trace(run, _CONFIG, tree, tmp_path / "root", tmp_path / "scratch", engine)


def test_a_tree_of_only_what_was_used_runs_the_same(engine: Engine, tmp_path: Path) -> None:
    script = "#!/bin/sh\ncat /data/link /data/hard\ncd /data && cat relative\n"
    files: dict[str, bytes | str | None] = {
        "/app/run": script,
        "/data/file": "1\n",
        "/data/link": Link("file"),
        "/data/other": "2\n",
        "/data/hard": Hard("/data/other"),
        "/data/relative": "3\n",
    }
    tree = sandbox.shell_tree(files)
    runtime.unpack(tree, tmp_path / "root")
    (tmp_path / "scratch").mkdir()
    run = Run(name="all", run=("/app/run",))
    record = trace(run, _CONFIG, tree, tmp_path / "root", tmp_path / "scratch", engine)
    assert (record.exit, record.stdout, record.tracer, record.engine) == (0, b"1\n2\n3\n", "seccomp", engine.name)

    used = {use.path for use in uses_of((record,), tree, _CONFIG) if use.level is Level.TRACED}
    unused = {entry.path for entry in tree.files()} - used
    assert "/usr/share/never" in unused
    for path in unused:
        Path(f"{tmp_path}/root{path}").unlink()
    outcome = engine.run(runtime.container_of(_CONFIG, run, tree, engine), tmp_path / "root", tmp_path / "scratch")
    assert (outcome.exit, outcome.stdout, outcome.stderr) == (0, b"1\n2\n3\n", b"")
