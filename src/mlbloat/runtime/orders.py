"""What the launcher does for the one who asks a service: sockets of its network, commands in its container.

The other end is service.py, over a socket of its own. Orders come one at a time, each gets one answer.
"""

import contextlib
import itertools
import json
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from typing import TypedDict

from mlbloat.runtime import kernel
from mlbloat.runtime.messages import pack_descriptors, receive_packet

Start = Callable[[list[str], int, int], int]
"""Start a command in the container with descriptors for its stdout and stderr; its process number."""


Others = dict[int, Callable[[], object]]
"""Descriptors to watch beside, and what to do when there is something to read."""


_numbers = itertools.count()


class Order(TypedDict, total=False):
    """One of the two, with a number."""

    number: int
    """The answer has the same: one that comes too late is not taken for that to the next order."""
    socket: int
    """An address family: answered with a new TCP socket in the container's network."""
    execute: list[str]
    """A command line; descriptors for stdout and stderr come with it. Answered when it ended."""


class Answer(TypedDict, total=False):
    """An answer with nothing but its number comes with the socket."""

    number: int
    ended: int
    """Exit status of the command."""
    failed: str


def ask(orders: socket.socket, order: Order, *descriptors: int) -> tuple[Answer | None, list[int]]:
    """Send an order and wait for its answer; None when the launcher is gone or the time of the socket is over."""
    number = next(_numbers)
    try:
        orders.sendmsg([json.dumps({**order, "number": number}).encode()], pack_descriptors(*descriptors))
        while True:
            data, received = receive_packet(orders)
            answer: Answer | None = json.loads(data) if data else None
            if answer is None or answer["number"] == number:
                return answer, received
            for each in received:
                os.close(each)
    except OSError:
        return None, []


def obey(child: int, orders: socket.socket, start: Start, others: Others | None = None) -> int:
    """Wait for the container's first process, a child, doing meanwhile what is ordered; return its wait status."""
    ended = kernel.process_descriptor(child)
    try:
        attend(ended, orders, start, {} if others is None else others)
        return os.waitpid(child, 0)[1]
    finally:
        os.close(ended)


def attend(ended: int, orders: socket.socket, start: Start, others: Others) -> None:
    """Do what is ordered until the process that a descriptor names has ended. `others` may change meanwhile."""
    with contextlib.ExitStack() as opened:
        desk = _Desk(orders, start)
        opened.callback(desk.close)
        bell = opened.enter_context(_bell())
        while True:
            watched = [ended, bell, *others, *desk.watched()]
            ready, _, _ = select.select(watched, [], [])
            for descriptor in ready:
                if descriptor in others:
                    others[descriptor]()
                elif descriptor == bell:
                    os.read(bell, 1)
                elif descriptor != ended:
                    desk.attend(descriptor)
            if ended in ready:
                return


@contextlib.contextmanager
def _bell() -> Iterator[int]:
    """Yield a descriptor with something to read after a signal.

    A signal between Python's last look for one and the wait does not end that wait, and when the one who gives orders
    dies, the signal of that comes just after the end of the orders' socket was seen.
    """
    heard, rung = socket.socketpair()
    with heard, rung:
        rung.setblocking(False)
        before = signal.set_wakeup_fd(rung.fileno(), warn_on_full_buffer=False)
        try:
            yield heard.fileno()
        finally:
            signal.set_wakeup_fd(before)


class _Desk:
    """Takes one order after the other."""

    def __init__(self, orders: socket.socket, start: Start) -> None:
        self._orders: socket.socket | None = orders
        self._start = start
        self._number = -1
        """Of the order that is being done."""
        self._running: tuple[int, int] | None = None
        """Process number and descriptor of the command that was ordered."""

    def watched(self) -> list[int]:
        running = [] if self._running is None else [self._running[1]]
        return running if self._orders is None else [*running, self._orders.fileno()]

    def attend(self, descriptor: int) -> None:
        if self._running is not None and descriptor == self._running[1]:
            self._finish(*self._running)
            return
        if self._orders is None or descriptor != self._orders.fileno():
            return  # of a command that another one took the place of
        data, received = receive_packet(self._orders)
        if not data:
            self._orders = None  # nobody asks any more
            return
        try:
            self._take(json.loads(data), received)
        except OSError as error:
            self._answer({"failed": error.strerror or str(error)})
        finally:
            for each in received:
                os.close(each)

    def _take(self, order: Order, received: list[int]) -> None:
        self._number = order["number"]
        if "execute" in order:
            process = self._start(order["execute"], received[0], received[1])
            self.close()  # nobody waits any more for one that still runs
            self._running = (process, kernel.process_descriptor(process))
        else:
            with socket.socket(order["socket"], socket.SOCK_STREAM) as made:
                self._answer({}, made.fileno())

    def _finish(self, process: int, descriptor: int) -> None:
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        os.close(descriptor)
        self._running = None
        self._answer({"ended": code if code >= 0 else 128 - code})

    def _answer(self, answer: Answer, *descriptors: int) -> None:
        if self._orders is not None:
            with contextlib.suppress(OSError):  # the one who asked is gone; the run goes on to its end
                numbered = json.dumps({**answer, "number": self._number}).encode()
                self._orders.sendmsg([numbered], pack_descriptors(*descriptors))

    def close(self) -> None:
        if self._running is not None:
            os.close(self._running[1])
