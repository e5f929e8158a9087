"""The process between us and a container: makes the namespaces, starts the command, waits, and cleans up.

Started as a fresh interpreter of its own (`main` at the end), because namespaces, death signals and filters belong to a
process, not to a thread of a program that does something else. It tells what happens over a socket (messages.py). When
it ends, however it ends, the container ends: its mounts are in a private namespace, its processes below a
process-namespace of which the first one dies with the launcher.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from functools import partial

from mlbloat.runtime import controlgroup, kernel, launchrunc, rootmount, sandbox
from mlbloat.runtime.descendants import kill_descendants
from mlbloat.runtime.messages import Spec, send
from mlbloat.runtime.orders import obey
from mlbloat.runtime.stopping import Stopped, cleaned_up, forget_inherited, listen, undisturbed

_NAMESPACES = kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
"""All but the network's, and the process namespace, which the next child enters: that one has to be the container."""
_CHROOT_FLAG = (
    "the container was isolated by chroot alone, because this process may not create namespaces: it shared "
    "the network and the process table of where mlbloat runs, and had no /proc"
)
_SIGNALS_FLAG = (
    "nothing kept the processes of the run from ending others of the same user here, because this kernel has no scopes "
    "for signals (Landlock of Linux 6.12); run images that you do not trust where namespaces are allowed"
)


def isolations() -> tuple[str, ...]:
    """Return what this process may do, best first: `root`, `user`, `chroot`. Each is tried in a child of its own."""
    root = os.geteuid() == 0
    candidates = ("root", "user", "chroot") if root else ("user",)
    return tuple(candidate for candidate in candidates if _works(candidate))


def _works(isolation: str) -> bool:
    child = os.fork()
    if child == 0:
        try:
            if isolation == "chroot":
                os.chroot("/")
            else:
                enter(isolation, 0, 0, "none")
                kernel.unshare(kernel.CLONE_NEWPID)
                rootmount.make_private()
                kernel.mount("tmpfs", "/", "tmpfs")
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def enter(isolation: str, uid: int, gid: int, network: str) -> None:
    """Enter new namespaces; in a user namespace this user is the container's only one."""
    namespaces = _NAMESPACES | (kernel.CLONE_NEWNET if network == "none" else 0)
    if isolation == "root":
        kernel.unshare(namespaces)
    elif isolation == "user":
        mine = (os.geteuid(), os.getegid())
        kernel.unshare(kernel.CLONE_NEWUSER | namespaces)
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {mine[0]} 1"),
            ("gid_map", f"{gid} {mine[1]} 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as stream:
                stream.write(text)


def _user_flags(spec: Spec) -> list[str]:
    flags = ["the container ran in a user namespace, where every file belongs to its one user"]
    if spec["groups"]:
        flags.append("the supplementary groups of the image's user were left out: a user namespace has one group")
    return flags


def _run_embedded(spec: Spec, control: socket.socket, orders: socket.socket) -> None:
    isolation = spec["isolation"]
    kernel.adopt_orphans()
    enter(isolation, spec["uid"], spec["gid"], spec["network"])
    if isolation == "chroot":
        # Of the launcher already, so that commands which are started beside can signal the first.
        kernel.no_new_privileges()
        flags = [_CHROOT_FLAG] if kernel.enter_scope() else [_CHROOT_FLAG, _SIGNALS_FLAG]
        root = os.path.join(spec["directory"], "merged")
        rootmount.watch(spec, root, flags, control)
        if rootmount.served(spec, control):
            raise OSError("nothing can be mounted in a chroot; take --tracer seccomp")
        rootmount.copy_root(spec["rootfs"], root)
    else:
        rootmount.make_private()
        root, flags = rootmount.mount_root(
            spec["rootfs"], spec["directory"], user_namespace=isolation == "user", serve=rootmount.served(spec, control)
        )
        rootmount.watch(spec, root, flags, control)
        flags += _user_flags(spec) if isolation == "user" else []
    with (
        _limited(spec) as groups,
        _child(spec, root, isolation, control, [*flags, *_limit_flags(spec, groups)], groups) as child,
    ):
        status = obey(child, orders, partial(_start_beside, spec, root, isolation, control, groups, child))
        ended = time.monotonic()
        kill_descendants()
        killed = controlgroup.memory_flags(groups, spec["memory_bytes"])
        send(control, {"ended": exit_status(status), "at": ended, "flags": killed})


def _limited(spec: Spec) -> contextlib.AbstractContextManager[tuple[str, ...]]:
    name = f"mlbloat-{os.path.basename(spec['directory'])}"
    return controlgroup.limited(name, spec["memory_bytes"], spec["processes"])


def _limit_flags(spec: Spec, groups: tuple[str, ...]) -> list[str]:
    if groups or not spec["limits_asked"]:
        return []
    return ["its limits on memory and processes did not hold, because this process may not make control groups"]


@contextlib.contextmanager
def _child(
    spec: Spec, root: str, isolation: str, control: socket.socket, flags: list[str], groups: tuple[str, ...]
) -> Iterator[int]:
    alive, mine = os.pipe()
    if isolation != "chroot":
        kernel.unshare(kernel.CLONE_NEWPID)
    with undisturbed():
        child = os.fork()
        if child == 0:
            os.close(mine)
            controlgroup.enter(groups)
            _be_container(spec, root, isolation, control, flags, alive)
    with cleaned_up(kill_descendants):
        os.close(alive)
        descriptor = kernel.process_descriptor(child)
        send(control, {"child": child}, descriptor)
        os.close(descriptor)
        yield child


def _start_beside(
    spec: Spec,
    root: str,
    isolation: str,
    control: socket.socket,
    groups: tuple[str, ...],
    first: int,
    argv: list[str],
    stdout: int,
    stderr: int,
) -> int:
    """Start one more command in the container of the process `first`; what is wrong with it goes to its stderr."""
    with undisturbed():
        child = os.fork()
        if child == 0:
            try:
                _as_a_child()
                controlgroup.enter(groups)
                os.dup2(stdout, 1)
                os.dup2(stderr, 2)
                sandbox.join({**spec, "argv": argv}, root, isolation, control, first)
            except (sandbox.CommandError, OSError) as error:
                os.write(2, f"cannot run {argv[0]!r}: {error}\n".encode(errors="replace"))
            finally:
                os._exit(127)
    return child


def _as_a_child() -> None:
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    kernel.signal_when_parent_dies(signal.SIGKILL)


def _be_container(spec: Spec, root: str, isolation: str, control: socket.socket, flags: list[str], alive: int) -> None:
    try:
        _as_a_child()
        if select.select([alive], [], [], 0)[0]:
            os._exit(1)  # the launcher died before the line above
        sandbox.become(spec, root, isolation, control, flags)
    except sandbox.CommandError as error:
        send(control, {"failed": "command", "text": str(error)})
    except OSError as error:
        send(control, {"failed": "engine", "text": reason(error)})
    finally:
        if sys.exc_info()[0] is not None:
            sys.excepthook(*sys.exc_info())
        os._exit(127)


def reason(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)


def exit_status(status: int) -> int:
    """Return a wait status as a shell shows it: 128 + signal number for a signal."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def main() -> None:
    """Run one container; the arguments are the descriptors of the specification, the control and the orders socket."""
    kernel.signal_when_parent_dies(signal.SIGTERM)
    control, orders = (socket.socket(fileno=int(argument)) for argument in sys.argv[2:4])
    control.set_inheritable(False)
    orders.set_inheritable(False)
    with open(int(sys.argv[1]), encoding="ascii") as stream:
        spec: Spec = json.load(stream)
    if os.getppid() != spec["parent"]:
        return
    with cleaned_up(kill_descendants), contextlib.suppress(Stopped):
        try:
            forget_inherited()
            listen()
            _run(spec, control, orders)
        except OSError as error:
            send(control, {"failed": "engine", "text": reason(error)})


def _run(spec: Spec, control: socket.socket, orders: socket.socket) -> None:
    if spec["engine"] == "runc":
        launchrunc.run(spec, control, orders)
    elif spec["engine"] == "embedded":
        _run_embedded(spec, control, orders)
    elif spec["engine"] == "podman":
        from mlbloat.runtime import launchforeign, launchpodman

        launchforeign.run(spec, control, orders, launchpodman.Container(spec))
    elif spec["engine"] == "docker":
        sys.path.extend(spec["search"])
        from mlbloat.runtime import launchdocker, launchforeign

        launchforeign.run(spec, control, orders, launchdocker.Container(spec))
    else:
        send(control, {"ended": 0, "text": " ".join(isolations())})


if __name__ == "__main__":
    main()
