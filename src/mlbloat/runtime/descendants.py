"""The processes below this one, and their end."""

import contextlib
import os
import signal
import time


def kill_descendants() -> None:
    """Kill everything below this process and reap it. Orphans come to us, so no process can hide by daemonising."""
    while True:
        children = _descendants()
        for process in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def _descendants() -> list[int]:
    parents = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stream:
                # The name of the program, in brackets, may hold anything.
                parents[int(name)] = int(stream.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            continue
    mine = {os.getpid()}
    while grown := {process for process, parent in parents.items() if parent in mine and process not in mine}:
        mine |= grown
    return sorted(mine - {os.getpid()})
