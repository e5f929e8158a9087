"""Questions answered by copies of this process: Python code does not run in parallel threads.

A copy shares the memory of what was indexed so far (fork(2)), so only small questions and their answers are sent. It
ends when this process closes it, or when its pipe does because this process is gone. Answers are never needed: what a
copy did not say, because it was killed or there is none, this process finds out itself.
"""

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Generic, TypeVar

from mlbloat.errors import MlbloatError

Question = TypeVar("Question")
Answer = TypeVar("Answer")

_MOST_PROCESSES = 8
_LEAST_TO_START = 1 << 22
"""Weight from which starting processes is worth it; once they are there, less is."""
_LEAST_TO_ASK = 1 << 16
_PIECES = 4
"""Of a batch, per process, so that none waits long for the slowest."""
_SIGNALS = {signal.SIGINT, signal.SIGTERM}


class Workers(Generic[Question, Answer]):
    """Processes that answer one kind of question; started when first worth it, with what this process knows then."""

    def __init__(self, answer: Callable[[Question], Answer], processes: int | None = None) -> None:
        self._answer = answer
        self._wanted = min(_MOST_PROCESSES, len(os.sched_getaffinity(0))) if processes is None else processes
        self._copies: dict[Connection, BaseProcess] = {}
        self._started = False

    def ask(self, questions: Sequence[Question], weight: Callable[[Question], int]) -> dict[int, Answer]:
        """Return answers by the number of their question; none where asking is not worth it."""
        weights = [weight(question) for question in questions]
        total = sum(weights)
        if not self._ready(total):
            return {}
        pieces = _pieces(weights, total // (len(self._copies) * _PIECES) + 1)
        answers: dict[int, Answer] = {}
        asked: dict[Connection, range] = {}
        for copy in tuple(self._copies):
            self._ask_next(copy, questions, pieces, asked)
        while asked:
            ready = wait(list(asked))
            for copy in [each for each in asked if each in ready]:
                numbers = asked.pop(copy)
                try:
                    answers.update(zip(numbers, copy.recv(), strict=False))
                except (EOFError, OSError):
                    self._forget(copy)
                    continue
                self._ask_next(copy, questions, pieces, asked)
        return answers

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        for copy in tuple(self._copies):
            self._copies[copy].terminate()
        for copy in tuple(self._copies):
            self._forget(copy)

    def _ask_next(
        self,
        copy: Connection,
        questions: Sequence[Question],
        pieces: Iterator[range],
        asked: dict[Connection, range],
    ) -> None:
        numbers = next(pieces, None)
        if numbers is None:
            return
        try:
            copy.send([questions[number] for number in numbers])
        except OSError:
            self._forget(copy)
        else:
            asked[copy] = numbers

    def _ready(self, total: int) -> bool:
        if not self._started and total >= _LEAST_TO_START and self._wanted > 1 and _can_fork():
            self._started = True
            self._start()
        return bool(self._copies) and total >= _LEAST_TO_ASK

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        with _signals_blocked():  # until the copy has its own way with them
            for _ in range(self._wanted):
                here, there = context.Pipe()
                others = (*self._copies, here)
                process = context.Process(target=_serve, args=(there, others, self._answer), daemon=True)
                process.start()
                there.close()
                self._copies[here] = process

    def _forget(self, copy: Connection) -> None:
        process = self._copies.pop(copy)
        copy.close()
        process.join()
        process.close()


def _serve(pipe: Connection, others: Sequence[Connection], answer: Callable[[Question], Answer]) -> None:
    """Answer until the pipe closes. An interrupt reaches every process; when to end is for the first one to say."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    for other in others:
        other.close()
    gc.freeze()  # looking through what is shared would copy it
    with suppress(EOFError, OSError):
        while True:
            pipe.send(_answers(pipe.recv(), answer))


def _answers(questions: Sequence[Question], answer: Callable[[Question], Answer]) -> list[Answer]:
    """Answer until one fails: the process that asked will fail at it as well, and say so."""
    found: list[Answer] = []
    with suppress(MlbloatError, OSError):
        for question in questions:
            found.append(answer(question))  # what was found before a failure counts
    return found


def _pieces(weights: Sequence[int], most: int) -> Iterator[range]:
    begin = weight = 0
    for number, each in enumerate(weights):
        if weight and weight + each > most:
            yield range(begin, number)
            begin, weight = number, 0
        weight += each
    if begin < len(weights):
        yield range(begin, len(weights))


def _can_fork() -> bool:
    """Tell whether this process has one thread only: locks that others hold would stay locked in a copy."""
    try:
        return len(list(Path("/proc/self/task").iterdir())) == 1
    except OSError:
        return False


@contextmanager
def _signals_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
