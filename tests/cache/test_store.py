"""The cache keeps what it was given, for every process, or nothing."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from mlbloat.cache import Cache, Facts, NoCache, Store, default_directory, open_store, usual_directory
from mlbloat.cache import store as store_module
from mlbloat.cache.store import FILE_NAME
from mlbloat.errors import MlbloatError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache", "1.0")


def test_parts_come_back_and_add_up(store: Store) -> None:
    store.save("index", "sha256:a", {0: b"one"})
    store.save("index", "sha256:a", {7: b"two"})

    assert store.load("index", "sha256:a") == {0: b"one", 7: b"two"}
    assert store.load("index", "sha256:b") == {}
    assert store.load("facts", "sha256:a") == {}


def test_another_process_sees_what_was_saved(store: Store) -> None:
    store.save("index", "sha256:a", {0: b"one"})

    assert Store(store.path.parent, "1.0").load("index", "sha256:a") == {0: b"one"}


def test_another_version_of_the_analyser_sees_nothing(store: Store) -> None:
    store.save("index", "sha256:a", {0: b"one"})

    assert Store(store.path.parent, "1.1").load("index", "sha256:a") == {}


def test_several_writers_lose_nothing(store: Store) -> None:
    def write(number: int) -> None:
        other = Store(store.path.parent, "1.0")
        for part in range(20):
            other.save("facts", "sha256:a", {number * 100 + part: b"x"})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(store.load("facts", "sha256:a")) == 80


def test_a_file_that_another_process_is_making_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite itself does not wait there: of several first commands at once some would fail."""
    connect = store_module._connect
    refused: list[sqlite3.Error] = []

    def locked_at_first(path: Path) -> sqlite3.Connection:
        if len(refused) < 2:
            refused.append(sqlite3.OperationalError("database is locked"))
            refused[-1].sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise refused[-1]
        return connect(path)

    monkeypatch.setattr(store_module, "_connect", locked_at_first)
    store = Store(tmp_path, "1.0")
    store.save("index", "sha256:a", {0: b"one"})
    assert store.load("index", "sha256:a") == {0: b"one"}

    refused.clear()
    monkeypatch.setattr(store_module, "_WAIT_SECONDS", -1)
    with pytest.raises(MlbloatError, match="database is locked"):
        Store(tmp_path, "1.0")


def test_several_processes_make_one_file(tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from mlbloat.cache import Store
time.sleep(max(0, float(sys.argv[2]) - time.time()))
Store(Path(sys.argv[1]), "1.0").save("index", "sha256:a", {int(sys.argv[3]): b"x"})
"""
    start = str(time.time() + 0.5)
    words = [sys.executable, "-c", program, str(tmp_path / "cache"), start]
    processes = [subprocess.Popen([*words, str(number)]) for number in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert len(Store(tmp_path / "cache", "1.0").load("index", "sha256:a")) == 4


def test_a_failed_save_keeps_none_of_its_parts(store: Store) -> None:
    class Interrupted(dict[int, bytes]):
        def items(self):  # type: ignore[no-untyped-def]  # as Ctrl-C in the middle would
            yield 0, b"one"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.save("index", "sha256:a", Interrupted({0: b"one", 1: b"two"}))

    assert store.load("index", "sha256:a") == {}
    store.save("index", "sha256:a", {2: b"three"})
    assert store.load("index", "sha256:a") == {2: b"three"}


def test_a_full_disk_keeps_none_of_its_parts_and_does_not_fail(store: Store) -> None:
    database = store._database
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages + 2}")

    store.save("index", "sha256:a", {part: bytes(4096) for part in range(50)})

    assert store.load("index", "sha256:a") == {}


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1000)

    store = Store(tmp_path, "1.0")
    store.save("index", "sha256:a", {0: b"one"})

    assert store.load("index", "sha256:a") == {0: b"one"}


def _damage(store: Store) -> None:
    """Overwrite all but the first page, as a failing disk or a copy that was cut short would."""
    for number in range(40):
        store.save("index", f"sha256:{number}", {0: bytes(4000)})
    store.close()
    with store.path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))


def test_damage_that_shows_when_a_layer_is_looked_for_is_made_good(store: Store) -> None:
    _damage(store)
    again = Store(store.path.parent, "1.0")

    assert again.load("index", "sha256:1") == {}
    again.save("index", "sha256:1", {0: b"one"})
    again.close()

    assert Store(store.path.parent, "1.0").load("index", "sha256:1") == {0: b"one"}


def test_damage_that_shows_when_something_is_kept_is_made_good_for_what_follows(store: Store) -> None:
    _damage(store)
    again = Store(store.path.parent, "1.0")

    again.save("index", "sha256:1", {0: b"one"})
    again.save("index", "sha256:2", {0: b"two"})

    assert again.load("index", "sha256:2") == {0: b"two"}


def test_what_is_kept_in_a_damaged_file_is_nothing(store: Store) -> None:
    _damage(store)

    assert Store(store.path.parent, "1.0").kept() == ()


def test_a_damaged_file_can_be_pruned(store: Store) -> None:
    _damage(store)

    assert Store(store.path.parent, "1.0").prune(unused_seconds=0, most_bytes=0) == 0


def test_a_cache_that_another_command_writes_is_opened_and_read_but_not_pruned(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save("index", "sha256:a", {0: b"one"})
    monkeypatch.setattr("mlbloat.cache.store._WAIT_SECONDS", 0.01)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        other = Store(store.path.parent, "1.0")
        assert other.load("index", "sha256:a") == {0: b"one"}
        with pytest.raises(
            MlbloatError, match=r"cannot use the cache .*locked; try again when other commands have ended"
        ):
            other.prune(unused_seconds=0, most_bytes=0)
    assert other.prune(unused_seconds=0, most_bytes=0) == 3


def test_a_file_of_another_layout_is_made_anew(store: Store) -> None:
    store.save("index", "sha256:a", {0: b"one"})
    store.close()
    with sqlite3.connect(store.path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()

    assert Store(store.path.parent, "1.0").load("index", "sha256:a") == {}


def test_a_directory_that_cannot_be_made_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(MlbloatError, match=r"cannot use the cache in .*file/cache: .*MLBLOAT_CACHE_DIR.*--no-cache"):
        Store(tmp_path / "file/cache", "1.0")


def test_what_is_kept_is_told_by_layer(store: Store) -> None:
    store.save("index", "sha256:a", {0: b"one"})
    store.save("facts", "sha256:a", {0: b"four"})
    store.save("index", "sha256:b", {0: b"seventeen"})

    assert [(each.key, each.bytes) for each in store.kept()] == [("sha256:b", 9), ("sha256:a", 7)]


def _used(store: Store, key: str, seconds: int) -> None:
    store._database.execute("UPDATE use SET seconds = ? WHERE key = ?", (seconds, key))


def test_prune_drops_the_longest_unused_first(store: Store) -> None:
    for number, name in enumerate(("sha256:a", "sha256:b", "sha256:c")):
        store.save("index", name, {0: bytes(100)})
        _used(store, name, 2_000_000_000 + number)

    assert store.prune(unused_seconds=1e10, most_bytes=200) == 100
    assert {each.key for each in store.kept()} == {"sha256:b", "sha256:c"}


def test_prune_drops_what_was_not_used_for_a_time(store: Store) -> None:
    for name in ("sha256:a", "sha256:b"):
        store.save("index", name, {0: bytes(100)})
    _used(store, "sha256:a", 1)

    assert store.prune(unused_seconds=3600, most_bytes=1 << 30) == 100
    assert [each.key for each in store.kept()] == ["sha256:b"]


def test_prune_drops_what_other_versions_left(store: Store) -> None:
    Store(store.path.parent, "0.9").save("index", "sha256:a", {0: b"one"})

    assert store.prune(unused_seconds=3600, most_bytes=1 << 30) == 3
    assert store.kept() == ()


def test_no_directory_means_no_cache() -> None:
    with open_store(None, "1.0") as cache:
        cache.save("index", "sha256:a", {0: b"one"})
        assert cache.load("index", "sha256:a") == {}


def test_the_directory_follows_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/someone/cache")
    monkeypatch.delenv("MLBLOAT_CACHE_DIR", raising=False)
    assert default_directory() == Path("/home/someone/cache/mlbloat")
    monkeypatch.setenv("MLBLOAT_CACHE_DIR", "/elsewhere")
    assert default_directory() == Path("/elsewhere")


def test_without_a_directory_of_the_users_own_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLBLOAT_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert usual_directory() == tmp_path / "cache/mlbloat"

    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert usual_directory() is None
    monkeypatch.setenv("MLBLOAT_CACHE_DIR", str(tmp_path / "file"))
    assert usual_directory() == tmp_path / "file"  # which is told to be unusable when it is opened


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("MLBLOAT_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert default_directory() == Path("/.cache/mlbloat")


def test_a_cache_that_another_user_owns_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a command under sudo."""
    monkeypatch.delenv("MLBLOAT_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "mlbloat").mkdir()
    (tmp_path / "mlbloat" / FILE_NAME).write_text("")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != FILE_NAME)
    assert usual_directory() is None


def _facts(cache: Cache) -> Facts[list[str]]:
    return Facts(cache, "names/1", list[str])


def test_facts_are_known_in_the_next_run_when_saved(store: Store) -> None:
    first = _facts(store)
    first.put(("sha256:a", 512), ["x", "y"])
    assert _facts(store).get(("sha256:a", 512)) is None

    first.save()

    assert _facts(store).get(("sha256:a", 512)) == ["x", "y"]
    assert _facts(store).get(("sha256:a", 1024)) is None
    assert [each.key for each in store.kept()] == ["sha256:a"]


def test_a_content_without_a_key_is_never_known(store: Store) -> None:
    facts = _facts(store)
    facts.put(None, ["x"])
    facts.save()

    assert facts.get(None) is None
    assert store.kept() == ()


def test_a_damaged_fact_is_as_good_as_none(store: Store) -> None:
    store.save("names/1", "sha256:a", {512: b"\xff\xff"})

    assert _facts(store).get(("sha256:a", 512)) is None


def test_no_cache_is_a_cache() -> None:
    facts = _facts(NoCache())
    facts.put(("sha256:a", 512), ["x"])
    facts.save()

    assert _facts(NoCache()).get(("sha256:a", 512)) is None
