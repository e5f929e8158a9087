"""Ports of this machine for servers of tests."""

import random
import socket

_NOT_GIVEN_OUT = range(20_000, 32_000)
"""Below those that the system gives to whoever asks for any: nobody takes one of these by chance."""


def free_port() -> int:
    """Return one that nobody listens at, and that nobody will be given until a test does."""
    for port in random.SystemRandom().sample(_NOT_GIVEN_OUT, 100):
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError(f"no free port among {_NOT_GIVEN_OUT}")
