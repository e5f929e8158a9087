"""A launcher that is told to end does, wherever it is, and what it made goes before anything else stops it."""

import contextlib
import io
import os
import signal
import sys
import tarfile
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlbloat.runtime import controlgroup, launchdocker, launchforeign, launchrunc, stopping
from mlbloat.runtime.embedded import spec_of
from mlbloat.runtime.messages import Spec
from mlbloat.runtime.stopping import Stopped, cleaned_up, held_back, undisturbed
from tests.support import sandbox

_SECONDS = 60.0


@pytest.fixture(autouse=True)
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(stopping, "_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: None)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    stopping.listen()
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    stopping._Ears.deaf = False
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextlib.contextmanager
def _stopped() -> Iterator[None]:
    with pytest.raises(Stopped), cleaned_up(lambda: None):
        yield


def _wait() -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.parametrize("controller", ["memory", "pids"])
def test_a_control_group_that_was_just_made_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, controller: str
) -> None:
    for name in ("memory", "pids"):
        (tmp_path / name).mkdir()
    make = os.mkdir

    def make_and_stop(path: str) -> None:
        make(path)
        if path == f"{tmp_path}/{controller}/mlbloat-run-1":
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(controlgroup, "_ROOT", str(tmp_path))
    monkeypatch.setattr(controlgroup, "_REMOVE_SECONDS", 0.0)
    monkeypatch.setattr(os, "mkdir", make_and_stop)
    with _stopped(), controlgroup.limited("mlbloat-run-1", 1 << 20, 10):
        raise AssertionError("it was stopped before")
    assert [path.name for path in (tmp_path / controller).iterdir()] == []


@pytest.mark.parametrize(("left", "orders"), [(True, 3), (False, 1)], ids=["busy", "nothing-was-made"])
def test_runc_is_told_to_delete_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: bool, orders: int
) -> None:
    answers = [1, 1, 0]
    told: list[tuple[str, ...]] = []

    def tell(spec: Spec, *words: str, quiet: bool = False) -> SimpleNamespace:
        told.append(words)
        return SimpleNamespace(wait=lambda: answers[len(told) - 1])

    if left:
        (tmp_path / "run-1/state/mlbloat-run-1").mkdir(parents=True)
    monkeypatch.setattr(launchrunc, "kill_descendants", lambda: None)
    monkeypatch.setattr(launchrunc, "_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(launchrunc, "_runc", tell)
    spec = spec_of(sandbox.container("x"), tmp_path, str(tmp_path / "run-1"), None)
    launchrunc._delete(spec)
    assert told == [("delete", "--force", "mlbloat-run-1")] * orders


def test_an_engine_is_told_to_remove_until_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchforeign, "_RETRY_SECONDS", 0.0)
    refusals = [ValueError("busy"), ValueError("still busy")]

    def remove() -> None:
        if refusals:
            raise refusals.pop()

    launchforeign.until_done(remove, ValueError)
    assert refusals == []


def test_the_end_of_an_image_for_docker_is_sent_when_nothing_can_come_between(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(3 << 20))
    (tmp_path / "small").write_bytes(b"content")
    packed, held = [], []
    with contextlib.ExitStack() as signals:
        for chunk in launchdocker._packed(str(tmp_path), signals):
            packed.append(chunk)
            held.append(stopping._Ears.covered > 0)
    assert held == [False] * (len(held) - 1) + [True]
    assert all(packed)
    assert len(packed) > 2
    with tarfile.open(fileobj=io.BytesIO(b"".join(packed))) as tar:
        assert sorted(tar.getnames()) == [".", "./large", "./small"]
    assert packed[-1][-1024:] == bytes(1024)


class _Node:
    pass


def _in_a_destructor() -> None:
    class Last:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    Last()


def _in_a_callback() -> None:
    node = _Node()
    reference = weakref.ref(node, lambda _: signal.raise_signal(signal.SIGTERM))
    del node
    assert reference() is None


@pytest.mark.parametrize("drops", [_in_a_destructor, _in_a_callback])
def test_an_end_that_python_drops_comes_again(drops: Callable[[], None]) -> None:
    with _stopped():
        drops()
        _wait()


def test_an_end_that_a_library_drops_comes_again() -> None:
    with _stopped():
        with contextlib.suppress(Stopped):
            signal.raise_signal(signal.SIGTERM)
        _wait()


def test_nothing_comes_between_while_it_is_cleaned_up() -> None:
    cleaned = []

    def clean_up() -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGALRM)
        cleaned.append("all")

    with cleaned_up(clean_up):
        pass
    with pytest.raises(Stopped):
        stopping.listen()
        with cleaned_up(clean_up):
            signal.raise_signal(signal.SIGTERM)
    assert cleaned == ["all", "all"]


def test_an_end_waits_until_what_was_begun_is_known() -> None:
    known = []
    with _stopped(), undisturbed():
        signal.raise_signal(signal.SIGTERM)
        known.append("started")
    assert known == ["started"]


def test_signals_that_were_held_back_before_still_are_afterwards() -> None:
    with held_back(signal.SIGUSR1):
        with held_back(signal.SIGUSR1, signal.SIGUSR2):
            pass
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == {signal.SIGUSR1}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
