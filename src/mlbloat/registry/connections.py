"""Connections that another thread can shut: Ctrl-C must not wait for a registry that is silent."""

import socket
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

_CONNECTIONS = 8


class Connections(HTTPAdapter):
    """A pool that knows its connections. Whoever reads from one that is shut finds it lost."""

    def __init__(self) -> None:
        self._opened: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._pools = {
            "http": type("Pool", (HTTPConnectionPool,), {"ConnectionCls": self._known(HTTPConnection)}),
            "https": type("Pool", (HTTPSConnectionPool,), {"ConnectionCls": self._known(HTTPSConnection)}),
        }
        super().__init__(pool_maxsize=_CONNECTIONS, max_retries=0)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> PoolManager:
        manager: PoolManager = super().proxy_manager_for(*arguments, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def shut(self) -> None:
        with self._lock:
            opened = list(self._opened)
        for connection in opened:
            if connection.sock is not None:
                with suppress(OSError):
                    # Not the method of a TLS socket, which would take it apart under the thread that reads.
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    def _known(self, kind: type[HTTPConnection]) -> "staticmethod[..., HTTPConnection]":
        def make(**options: Any) -> HTTPConnection:
            connection = kind(**options)
            with self._lock:
                self._opened.add(connection)
            return connection

        made: Callable[..., HTTPConnection] = make
        return staticmethod(made)
