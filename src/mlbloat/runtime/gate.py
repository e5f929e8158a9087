"""Where a process waits until strace has attached to it. The other end is a listener of the means `strace`."""

import os
import socket

from mlbloat.runtime import kernel
from mlbloat.runtime.messages import send


def wait_for_tracer(control: socket.socket, process: int) -> None:
    """Have a process traced, and return when it is. OSError when nobody says so.

    The process is this one, or one that does nothing meanwhile.
    """
    waiting, go = os.pipe()
    try:
        descriptor = kernel.process_descriptor(process)
        send(control, {"listener": "strace"}, descriptor, go)
        os.close(descriptor)
        os.close(go)
        go = -1
        if not os.read(waiting, 1):
            raise OSError("it is not traced")
    finally:
        os.close(waiting)
        if go >= 0:
            os.close(go)
