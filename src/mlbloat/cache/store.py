"""A store of values by kind, key and part in SQLite, for several processes at once.

The key is a layer's digest and the part an offset in it, so that a value stays true wherever the layer turns up. With
write-ahead logging readers go on while one process writes (https://www.sqlite.org/wal.html). Values are written in one
transaction or not at all: an interrupt or a full disk leaves nothing half-written. The cache is never needed: where it
cannot be read or written, the work is done again.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlbloat.errors import MlbloatError

FILE_NAME = "layers.sqlite"
_LAYOUT = 1
"""Of the tables; a file with another one is made anew."""
_WAIT_SECONDS = 60
_PAUSE_SECONDS = 0.02
_NEVER_SECONDS = 1 << 40
MOST_BYTES = 1 << 30
"""Of the file; when a command ends with more, the longest unused layers go until three quarters are left."""
_TABLES = """
CREATE TABLE IF NOT EXISTS part (kind TEXT, key TEXT, part INTEGER, value BLOB, PRIMARY KEY (kind, key, part));
CREATE TABLE IF NOT EXISTS use (kind TEXT, key TEXT, seconds INTEGER, PRIMARY KEY (kind, key)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the cache holds of one layer, all kinds together."""

    key: str
    bytes: int
    used: int
    """When it was last read or written, seconds since the epoch."""


class Cache(Protocol):
    def load(self, kind: str, key: str) -> dict[int, bytes]:
        """Return the parts kept under a key; empty when there are none."""

    def save(self, kind: str, key: str, parts: Mapping[int, bytes]) -> None:
        """Keep parts, beside those that are there already."""


class NoCache:
    """For `--no-cache`, and for a program that uses mlbloat as a library and names no directory."""

    def load(self, kind: str, key: str) -> dict[int, bytes]:
        return {}

    def save(self, kind: str, key: str, parts: Mapping[int, bytes]) -> None:
        pass


class Store:
    """The cache in a directory; `version` is the analyser's, whose values another one must not read."""

    def __init__(self, directory: Path, version: str) -> None:
        """Open or make it; MlbloatError when the directory cannot be used."""
        self.path = directory / FILE_NAME
        self._version = version
        self._lock = threading.Lock()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._database = _open(self.path)
        except (OSError, sqlite3.Error) as error:
            raise MlbloatError(
                f"cannot use the cache in {directory}: {error}; set MLBLOAT_CACHE_DIR to another directory, "
                "or give --no-cache"
            ) from None

    def load(self, kind: str, key: str) -> dict[int, bytes]:
        """Return the parts kept under a key; empty when there are none or the cache cannot be read."""
        with suppress(OSError, sqlite3.Error), self._healing():
            query = "SELECT part, value FROM part WHERE kind = ? AND key = ?"
            parts = dict(self._database.execute(query, (self._kind(kind), key)))
            if parts:
                self._touch(kind, key)
            return parts
        return {}

    def save(self, kind: str, key: str, parts: Mapping[int, bytes]) -> None:
        """Keep parts in one transaction; where there is no room, none is kept."""
        if not parts:
            return
        rows = ((self._kind(kind), key, part, value) for part, value in parts.items())
        with suppress(OSError, sqlite3.Error), self._transaction() as database:
            database.executemany("INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?)", rows)
            database.execute("INSERT OR REPLACE INTO use VALUES (?, ?, ?)", (self._kind(kind), key, int(time.time())))

    def kept(self) -> tuple[Kept, ...]:
        """What is kept, the largest first, whatever the version; MlbloatError when that cannot be told."""
        query = """
            SELECT key, sum(length(value)), max(seconds) FROM part JOIN use USING (kind, key)
            GROUP BY key ORDER BY 2 DESC, 1
        """
        with self._told(), self._healing():
            return tuple(Kept(key=key, bytes=size, used=used) for key, size, used in self._database.execute(query))
        return ()

    def prune(self, *, unused_seconds: float, most_bytes: int) -> int:
        """Drop what other versions left, what was not used for a time, and the longest unused until `most_bytes` fit.

        Returns the bytes of the values dropped; MlbloatError when that cannot be done.
        """
        with self._told():
            return self._prune(unused_seconds, most_bytes)

    def _prune(self, unused_seconds: float, most_bytes: int) -> int:
        before = sum(each.bytes for each in self.kept())
        with self._transaction() as database:
            database.execute("DELETE FROM use WHERE substr(kind, 1, ?) <> ?", (len(self._kind("")), self._kind("")))
            database.execute("DELETE FROM use WHERE seconds < ?", (time.time() - unused_seconds,))
            self._drop_unlisted(database)
        kept = sorted(self.kept(), key=lambda each: (each.used, each.key), reverse=True)
        total, excess = 0, []
        for each in kept:
            total += each.bytes
            if total > most_bytes:
                excess.append((each.key,))
        with self._transaction() as database:
            database.executemany("DELETE FROM use WHERE key = ?", excess)
            self._drop_unlisted(database)
        with self._healing():
            self._database.execute("VACUUM")
        return before - sum(each.bytes for each in self.kept())

    def close(self) -> None:
        """Close it, smaller where it grew too large."""
        with suppress(OSError, MlbloatError):
            if self.path.stat().st_size > MOST_BYTES:
                self.prune(unused_seconds=_NEVER_SECONDS, most_bytes=MOST_BYTES * 3 // 4)
        with self._lock:
            self._database.close()

    @staticmethod
    def _drop_unlisted(database: sqlite3.Connection) -> None:
        database.execute("DELETE FROM part WHERE (kind, key) NOT IN (SELECT kind, key FROM use)")

    def _kind(self, kind: str) -> str:
        return f"{self._version}/{kind}"

    def _touch(self, kind: str, key: str) -> None:
        query = "UPDATE use SET seconds = ? WHERE kind = ? AND key = ? AND seconds < ?"
        now = int(time.time())
        with suppress(sqlite3.Error):  # a reader without permission to write still reads
            self._database.execute(query, (now, self._kind(kind), key, now - 3600))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._healing():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # a full disk may have ended it
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _healing(self) -> Iterator[None]:
        """Hold the connection for the block; what turns out to be damaged is made anew, and the block cut short."""
        with self._lock:
            try:
                yield
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._database.close()
                _remove(self.path)
                self._database = _connect(self.path)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise MlbloatError(
                f"cannot use the cache {self.path}: {error}; "
                "try again when other commands have ended, or delete the file"
            ) from None


def default_directory() -> Path:
    """`MLBLOAT_CACHE_DIR`, or a directory of the user's cache (XDG Base Directory Specification)."""
    named = os.environ.get("MLBLOAT_CACHE_DIR")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache") / "mlbloat"


def usual_directory() -> Path | None:
    """The default directory; None where nobody chose one and the user's cannot be written, as in many containers."""
    directory = default_directory()
    if os.environ.get("MLBLOAT_CACHE_DIR"):
        return directory
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    file = directory / FILE_NAME
    usable = os.access(directory, os.W_OK | os.X_OK) and (not file.exists() or os.access(file, os.R_OK | os.W_OK))
    return directory if usable else None


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user that has neither HOME nor an entry in passwd
        return Path("/")


@contextmanager
def open_store(directory: Path | None, version: str) -> Iterator[Cache]:
    """Open the cache for as long as one command runs; None: keep nothing."""
    if directory is None:
        yield NoCache()
        return
    store = Store(directory, version)
    try:
        yield store
    finally:
        store.close()


def _open(path: Path) -> sqlite3.Connection:
    until = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return _connect(path)
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                _remove(path)
                return _connect(path)
            # SQLite does not wait for another process that makes the file at the same moment.
            if not _is_busy(error) or time.monotonic() > until:
                raise  # locked for long, full or not permitted: the file may be whole
        time.sleep(_PAUSE_SECONDS)


def _is_busy(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class _OtherLayoutError(sqlite3.DatabaseError):
    """The tables are of another version, whose values nobody here can read."""


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Tell whether the file is no database, or a damaged one: nothing in it is missed."""
    if isinstance(error, _OtherLayoutError):
        return True
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _remove(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def _connect(path: Path) -> sqlite3.Connection:
    # One connection for all threads; a lock of our own keeps them apart.
    database = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        (layout,) = database.execute("PRAGMA user_version").fetchone()
        if layout not in (0, _LAYOUT):
            raise _OtherLayoutError(f"its tables are of layout {layout}")
        if layout != _LAYOUT:  # else nothing is written, so that nobody waits for another command that writes
            database.executescript(_TABLES)
            database.execute(f"PRAGMA user_version = {_LAYOUT}")
    except sqlite3.Error:
        database.close()
        raise
    return database
