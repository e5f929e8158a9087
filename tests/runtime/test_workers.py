"""Copies of this process that answer questions, and what is left when they do not."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator

import pytest

from mlbloat.errors import MlbloatError
from mlbloat.runtime import workers
from mlbloat.runtime.workers import Workers


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(workers, "_LEAST_TO_START", 1)
    monkeypatch.setattr(workers, "_can_fork", lambda: True)
    yield
    assert not multiprocessing.active_children()


def asked(answer: Callable[[int], int], processes: int = 2, questions: int = 500) -> dict[int, int]:
    pool = Workers(answer, processes)
    try:
        pool.ask((number, 1) for number in range(questions))
        answers = {number: pool.take(number) for number in range(questions)}
        return {number: each for number, each in answers.items() if each is not None}
    finally:
        pool.close()


def double(number: int) -> int:
    return 2 * number


def test_every_question_has_its_own_answer() -> None:
    assert asked(double) == {number: 2 * number for number in range(500)}


def test_answers_are_taken_in_any_order_and_once() -> None:
    pool = Workers(double, 2)
    try:
        pool.ask((number, 1) for number in range(32))  # what two copies have at once
        assert [pool.take(number) for number in reversed(range(32))] == [2 * n for n in reversed(range(32))]
        assert pool.take(3) is None
        assert pool.take(1000) is None
    finally:
        pool.close()


def test_the_next_questions_are_handed_out_while_answers_are_taken() -> None:
    pool = Workers(double, 2)
    try:
        for number in range(300):
            pool.ask([(number, 1), (number, 1)])
        assert [pool.take(number) for number in range(300)] == [2 * number for number in range(300)]
    finally:
        pool.close()


def test_long_answers_do_not_stand_in_each_others_way() -> None:
    def answer(number: int) -> bytes:
        return bytes(1 << 20)

    pool = Workers(answer, 2)
    try:
        pool.ask((number, 1 << 18) for number in range(40))
        assert [len(pool.take(number) or b"") for number in range(40)] == [1 << 20] * 40
    finally:
        pool.close()


def test_one_processor_asks_nobody() -> None:
    assert asked(double, processes=1) == {}


def test_little_work_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_LEAST_TO_START", 501)
    assert asked(double) == {}


def test_a_process_with_threads_makes_no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_can_fork", lambda: False)
    assert asked(double) == {}


def test_what_a_killed_copy_did_not_say_is_left_open() -> None:
    def answer(number: int) -> int:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    found = asked(answer)
    assert 3 not in found
    assert found.items() <= {number: number for number in range(500)}.items()


def test_all_copies_killed_leave_the_rest_open() -> None:
    def answer(number: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return number

    assert asked(answer) == {}


def test_a_failure_leaves_a_question_open_for_the_process_that_asked() -> None:
    def answer(number: int) -> int:
        if number == 3:
            raise MlbloatError("cannot read")
        return number

    assert 3 not in asked(answer)


def test_an_interrupt_ends_the_copies() -> None:
    def interrupt(number: int) -> int:
        if number == 0:  # one is enough: the command line ignores the second
            os.kill(os.getppid(), signal.SIGINT)
        signal.pause()
        return number

    with pytest.raises(KeyboardInterrupt):
        asked(interrupt)


def test_an_interrupt_of_the_terminal_does_not_reach_the_copies() -> None:
    def answer(number: int) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return number

    assert len(asked(answer)) >= 64
