"""Addresses that a run tried to reach."""

import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbloat.usage.trace.outside import Attempts
from mlbloat.usage.trace.seccomp import Recorder
from tests.support import sandbox


def _four(host: str, port: int) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + socket.inet_aton(host) + bytes(8)


def _six(host: str, port: int) -> bytes:
    head = struct.pack("=H", socket.AF_INET6) + struct.pack(">HI", port, 0)
    return head + socket.inet_pton(socket.AF_INET6, host) + bytes(4)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (_four("192.0.2.1", 443), "192.0.2.1:443"),
        (_six("2001:db8::1", 80), "[2001:db8::1]:80"),
        (_six("::ffff:192.0.2.1", 80), "192.0.2.1:80"),
        (_four("127.0.0.1", 53), "a name server"),
        (_four("127.0.0.1", 8080), ""),
        (_six("::1", 80), ""),
        (struct.pack("=H", socket.AF_UNIX) + b"/run/socket\0", ""),
    ],
)
def test_only_addresses_outside_are_said(address: bytes, said: str) -> None:
    attempts = Attempts()
    attempts.note(address)
    assert [flag.split(",")[0] for flag in attempts.flags()] == ([f"it tried to reach {said}"] if said else [])


def test_many_attempts_are_counted() -> None:
    attempts = Attempts()
    for last in range(1, 6):
        attempts.note(_four(f"192.0.2.{last}", 1))
    assert "192.0.2.1:1, 192.0.2.2:1, 192.0.2.3:1 and 2 more" in attempts.flags()[0]


@given(st.binary(max_size=40))
def test_any_bytes_are_taken(address: bytes) -> None:
    attempts = Attempts()
    attempts.note(address)
    assert len(attempts.flags()) <= 1


@pytest.mark.sandbox
def test_a_run_that_wants_a_network_is_seen_to(tmp_path: Path) -> None:
    recorder = Recorder()
    code = "import socket; socket.socket().connect_ex(('192.0.2.1', 443))"
    outcome = sandbox.engine("embedded").run(sandbox.python(code), sandbox.HOST, tmp_path, recorder)
    assert (outcome.exit, outcome.stderr) == (0, b"")
    assert "it tried to reach 192.0.2.1:443, and had no network" in recorder.outside.flags()[0]
