"""The launcher's part for runc: mount the root in a private namespace, create, start, wait, delete.

runc(8). `create` and `start` rather than `run`, so that the command's own time is measured and its first process is
ours to wait for.
"""

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from functools import partial

from mlbloat.runtime import controlgroup, kernel, rootmount, sandbox
from mlbloat.runtime.descendants import kill_descendants
from mlbloat.runtime.gate import wait_for_tracer
from mlbloat.runtime.messages import Spec, receive_descriptor, send
from mlbloat.runtime.orders import obey
from mlbloat.runtime.stopping import cleaned_up, undisturbed

_SOCKET = "listener"
_PID_FILE = "pid"
_PROCESS_FILE = "process.json"
_LOG = "runc.log"
_CREATE_SECONDS = 60.0
_EXEC_SECONDS = 30.0
_HAND_OVER_SECONDS = 60.0
_DELETE_SECONDS = 60.0
_AGAIN_SECONDS = 0.1


def run(spec: Spec, control: socket.socket, orders: socket.socket) -> None:
    kernel.adopt_orphans()
    kernel.unshare(kernel.CLONE_NEWNS)
    if spec["network"] == "none":
        # Ours, which the container shares, so that requests can be sent from inside of it.
        kernel.unshare(kernel.CLONE_NEWNET)
        sandbox.loopback_up()
    rootmount.make_private()
    root, flags = rootmount.mount_root(
        spec["rootfs"], spec["directory"], user_namespace=False, serve=rootmount.served(spec, control)
    )
    rootmount.watch(spec, root, flags, control)
    _write_name_files(root, spec)
    os.chdir(spec["directory"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening, cleaned_up(partial(_delete, spec)):
        listening.bind(_SOCKET)  # relative: the length of a socket's name is limited to 107 bytes
        listening.listen(1)
        listening.settimeout(0.02)
        if not _create(spec, control, listening):
            return
        with open(_PID_FILE, encoding="ascii") as stream:
            child = int(stream.read())
        descriptor = kernel.process_descriptor(child)
        send(control, {"child": child}, descriptor)
        os.close(descriptor)
        if "strace" in spec["means"]:
            wait_for_tracer(control, child)
        groups = controlgroup.of_process(child)
        began = time.monotonic()
        if _runc(spec, "start", _name(spec), quiet=True).wait():
            send(control, {"failed": "command", "text": _last_words()})
            return
        # Only then: whoever stops it at once must meet the program, not runc on its way to it.
        _await_program(child)
        send(control, {"started": began, "flags": flags})
        more = partial(_hand_over, listening, control)
        status = obey(child, orders, partial(_execute, spec, control), {listening.fileno(): more})
        code = os.waitstatus_to_exitcode(status)
        killed = controlgroup.memory_flags(groups, spec["memory_bytes"])
        send(control, {"ended": code if code >= 0 else 128 - code, "at": time.monotonic(), "flags": killed})


def _await_program(child: int) -> None:
    """Wait, not for long, until the process of runc has become the program: `start` returns just before."""
    until = time.monotonic() + _EXEC_SECONDS
    with contextlib.suppress(OSError):
        while time.monotonic() < until:
            with open(f"/proc/{child}/comm", encoding="utf-8", errors="replace") as stream:
                if not stream.read().startswith("runc:["):
                    return
            os.readlink(f"/proc/{child}/exe")  # raises for what has ended, which keeps the name
            time.sleep(0.002)


def _execute(spec: Spec, control: socket.socket, argv: list[str], stdout: int, stderr: int) -> int:
    """Start one more command in the container, as the first one was started."""
    with open("config.json", encoding="utf-8") as stream:
        process = {**json.load(stream)["process"], "args": argv}
    with open(_PROCESS_FILE, "w", encoding="utf-8") as stream:
        json.dump(process, stream)
    command = _command(spec, "exec", "--process", _PROCESS_FILE, _name(spec))
    if "strace" in spec["means"]:
        return _execute_traced(spec, control, command, stdout, stderr)
    outputs = [(os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, stderr, 2)]
    return os.posix_spawn(spec["program"], command, os.environ, file_actions=outputs)


def _execute_traced(spec: Spec, control: socket.socket, command: list[str], stdout: int, stderr: int) -> int:
    """Start runc traced: the process that enters the container is one that it starts, and ends with an exec at once."""
    child = os.fork()
    if child == 0:
        try:
            os.dup2(stdout, 1)
            os.dup2(stderr, 2)
            wait_for_tracer(control, os.getpid())
            os.execve(spec["program"], command, os.environ)
        except OSError as error:
            os.write(2, f"cannot run {command[0]!r}: {error}\n".encode(errors="replace"))
        finally:
            os._exit(127)
    return child


def _write_name_files(root: str, spec: Spec) -> None:
    resolver = sandbox.resolver_of(spec)
    child = os.fork()
    if child == 0:
        # In a root of its own, where no link of the image leads out.
        with contextlib.suppress(OSError):
            os.chroot(root)
            sandbox.write_name_files(spec, resolver)
        os._exit(0)
    os.waitpid(child, 0)


def _name(spec: Spec) -> str:
    return "mlbloat-" + os.path.basename(spec["directory"])


def _runc(spec: Spec, *arguments: str, quiet: bool = False) -> "subprocess.Popen[bytes]":
    """Start runc. `create` gives its own output to the container; what others say must not get between."""
    output = subprocess.DEVNULL if quiet else None
    return subprocess.Popen(_command(spec, *arguments), stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def _command(spec: Spec, *arguments: str) -> list[str]:
    return [spec["program"], "--root", os.path.join(spec["directory"], "state"), "--log", _LOG, *arguments]


def _create(spec: Spec, control: socket.socket, listening: socket.socket) -> bool:
    """Create the container; hand the listener over as soon as runc sends it."""
    sent = "calls" not in spec["means"]
    with _creating(spec, listening) as creating:
        while creating.poll() is None:
            # runc may fail before it sends anything: accept() alone would wait for ever.
            sent = sent or _hand_over(listening, control)
            if sent:
                creating.wait()
        sent = sent or _hand_over(listening, control)
    if creating.returncode:
        text = _last_words()
        # 'exec: "name": stat name: no such file or directory', among others
        send(control, {"failed": "command" if 'exec: "' in text else "engine", "text": f"runc says: {text}"})
        return False
    if not sent:
        send(control, {"failed": "engine", "text": "runc did not hand over its seccomp listener"})
        return False
    return True


@contextlib.contextmanager
def _creating(spec: Spec, listening: socket.socket) -> Iterator["subprocess.Popen[bytes]"]:
    """Let runc finish what it began, whatever happens: only what is created wholly is deleted wholly."""
    with undisturbed():
        creating = _runc(spec, "create", "--bundle", ".", "--pid-file", _PID_FILE, _name(spec))
    try:
        yield creating
    except BaseException:
        listening.close()  # with a listener that came too late: whoever waits for its answer gets an error
        raise
    finally:
        with undisturbed():
            try:
                creating.wait(_CREATE_SECONDS)
            except subprocess.TimeoutExpired:
                creating.kill()
                creating.wait()


def _hand_over(listening: socket.socket, control: socket.socket) -> bool:
    with undisturbed():  # a listener that nobody reads and nobody closes stops its container
        try:
            connection, _ = listening.accept()
        except TimeoutError:
            return False
        with connection:
            connection.settimeout(_HAND_OVER_SECONDS)
            descriptor = receive_descriptor(connection)
        if descriptor is None:
            return False
        try:
            send(control, {"listener": "calls"}, descriptor)
        finally:
            os.close(descriptor)
        return True


def _last_words() -> str:
    """Return what runc says went wrong: the last message of its log."""
    with contextlib.suppress(OSError), open(_LOG, encoding="utf-8", errors="replace") as stream:
        lines = [line.partition('msg="')[2].rstrip('"\n') for line in stream.readlines()[-20:] if "level=error" in line]
        if lines:
            return lines[-1].replace('\\"', '"').replace('\\\\"', '"')
    return "nothing"


def _delete(spec: Spec) -> None:
    """Take processes, control groups and state away."""
    # runc takes a process that nobody has waited for as one that still runs.
    kill_descendants()
    end = time.monotonic() + _DELETE_SECONDS
    state = os.path.join(spec["directory"], "state", _name(spec))
    while _runc(spec, "delete", "--force", _name(spec), quiet=True).wait():
        if not os.path.exists(state) or time.monotonic() > end:
            break
        time.sleep(_AGAIN_SECONDS)  # the kernel may still be busy with a control group
