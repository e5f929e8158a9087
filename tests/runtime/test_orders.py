"""Waiting for orders: what must end the wait does."""

import ctypes
import json
import operator
import select
import signal
import socket
import subprocess
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from mlbloat.runtime import kernel, orders
from mlbloat.runtime.messages import pack_descriptors


class _StopError(Exception):
    pass


def _stop(number: int, frame: object) -> None:
    raise _StopError


def _select_after_a_signal(*watched: Any) -> Any:
    """Raise a signal and wait, with no step of the interpreter between the two: it cannot look for signals there."""
    steps = [partial(ctypes.CDLL(None)["raise"], int(signal.SIGTERM)), partial(select.select, *watched)]
    return list(map(operator.call, steps))[1]


def test_an_answer_that_comes_too_late_is_not_that_to_the_next_order() -> None:
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with mine, theirs, socket.socket() as late:
        mine.settimeout(0.001)
        assert orders.ask(mine, {"socket": socket.AF_INET}) == (None, [])
        number = json.loads(theirs.recv(1000))["number"]
        theirs.sendmsg([json.dumps({"number": number}).encode()], pack_descriptors(late.fileno()))
        theirs.send(json.dumps({"number": number + 1, "ended": 5}).encode())
        mine.settimeout(60)
        assert orders.ask(mine, {"execute": ["x"]}) == ({"number": number + 1, "ended": 5}, [])


def test_a_signal_just_before_the_wait_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "select", SimpleNamespace(select=_select_after_a_signal))
    before = signal.signal(signal.SIGTERM, _stop)
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with mine, theirs, subprocess.Popen(["sleep", "60"]) as waited_for:
            with pytest.raises(_StopError):
                orders.attend(kernel.process_descriptor(waited_for.pid), theirs, lambda argv, stdout, stderr: 0, {})
            assert waited_for.poll() is None
            waited_for.kill()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert signal.set_wakeup_fd(-1) == -1
