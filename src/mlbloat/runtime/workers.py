"""Questions answered by copies of this process: Python code does not run in parallel threads.

A copy shares the memory of what was indexed so far (fork(2)), so only small questions and their answers are sent. It
ends when this process closes it, or when its pipe does because this process is gone. Answers are never needed: what a
copy did not say, because it was killed or there is none, this process finds out itself.

Questions are asked long before their answers are taken, and each copy has a batch more than it works on: this process
does its own work meanwhile, and neither waits for the other as long as there is something to do.
"""

import gc
import multiprocessing
import os
import select
import signal
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Generic, TypeVar

from mlbloat.errors import MlbloatError
from mlbloat.runtime.stopping import held_back

Question = TypeVar("Question", bound=Hashable)
Answer = TypeVar("Answer")

_MOST_PROCESSES = 8
_LEAST_TO_START = 1 << 22
"""Weight from which starting processes is worth it."""
_BATCH = 1 << 18
"""Weight of what is sent at once; a heavier question goes alone."""
_MOST_IN_BATCH = 16
"""So few small questions never fill a pipe: sending them does not wait for a copy that waits to send its answers."""
_BATCHES_AHEAD = 2
_WAIT_MILLISECONDS = 500
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Workers(Generic[Question, Answer]):
    """Processes that answer one kind of question; started when first worth it, with what this process knows then."""

    def __init__(self, answer: Callable[[Question], Answer], processes: int | None = None) -> None:
        self._answer = answer
        self._wanted = min(_MOST_PROCESSES, len(os.sched_getaffinity(0))) if processes is None else processes
        self._copies: dict[int, _Copy[Question, Answer]] = {}
        """By the descriptor of the pipe."""
        self._poll = select.poll()
        self._started = self._wanted < 2
        self._queue: dict[Question, int] = {}
        """Questions that nobody has yet, with their weights, in the order they were asked."""
        self._waiting_weight = 0
        self._asked: dict[Question, int] = {}
        """Questions that a copy has."""
        self._answers: dict[Question, Answer] = {}

    def ask(self, questions: Iterable[tuple[Question, int]]) -> None:
        """Ask, with weights; whether anybody answers is seen when the answers are taken."""
        if self._started and not self._copies:
            return
        for question, weight in questions:
            if question not in self._answers and question not in self._asked and question not in self._queue:
                self._queue[question] = weight
                self._waiting_weight += weight
        if not self._started and self._waiting_weight >= _LEAST_TO_START:
            self._started = True
            if _can_fork():
                self._start()
        self._collect(wait=False)
        self._hand_out()

    def take(self, question: Question) -> Answer | None:
        """Return an answer, once; None when the question is left to this process."""
        while question not in self._answers:
            if question not in self._asked:
                self._waiting_weight -= self._queue.pop(question, 0)
                return None
            self._collect(wait=True)
            self._hand_out()
        return self._answers.pop(question)

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        for copy in self._copies.values():
            copy.process.terminate()
        for copy in tuple(self._copies.values()):
            self._forget(copy)

    def _hand_out(self) -> None:
        """Give every copy something to do before one has something more."""
        for most in range(1, _BATCHES_AHEAD + 1):
            for copy in tuple(self._copies.values()):
                if self._queue and len(copy.batches) < most:
                    self._send(copy, self._next_batch())

    def _send(self, copy: "_Copy[Question, Answer]", batch: list[Question]) -> None:
        copy.batches.append(batch)
        self._asked.update(dict.fromkeys(batch, copy.pipe.fileno()))
        try:
            copy.pipe.send(batch)
        except OSError:
            self._forget(copy)

    def _next_batch(self) -> list[Question]:
        batch: list[Question] = []
        weight = 0
        for question, each in self._queue.items():
            if batch and (weight + each > _BATCH or len(batch) == _MOST_IN_BATCH):
                break
            batch.append(question)
            weight += each
        for question in batch:
            del self._queue[question]
        self._waiting_weight -= weight
        return batch

    def _collect(self, *, wait: bool) -> None:
        # Not for ever: an interrupt that comes just before a wait does not end it, and nobody may answer any more.
        for descriptor, _ in self._poll.poll(_WAIT_MILLISECONDS if wait else 0) if self._copies else ():
            copy = self._copies[descriptor]
            try:
                answers = copy.pipe.recv()
            except (EOFError, OSError):
                self._forget(copy)
                continue
            batch = copy.batches.pop(0)
            for question in batch:
                del self._asked[question]
            self._answers.update(zip(batch, answers, strict=False))

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        with held_back(*_SIGNALS):  # until the copy has its own way with them
            for _ in range(self._wanted):
                here, there = context.Pipe()
                others = (*(copy.pipe for copy in self._copies.values()), here)
                process = context.Process(target=_serve, args=(there, others, self._answer), daemon=True)
                process.start()
                there.close()
                self._copies[here.fileno()] = _Copy(here, process, [])
                self._poll.register(here.fileno(), select.POLLIN)

    def _forget(self, copy: "_Copy[Question, Answer]") -> None:
        self._poll.unregister(copy.pipe.fileno())
        del self._copies[copy.pipe.fileno()]
        for batch in copy.batches:
            for question in batch:
                del self._asked[question]
        copy.pipe.close()
        copy.process.join()
        copy.process.close()


@dataclass(frozen=True, slots=True)
class _Copy(Generic[Question, Answer]):
    pipe: "Connection[list[Question], list[Answer]]"
    process: BaseProcess
    batches: list[list[Question]]
    """What it has and did not answer, in the order it was sent."""


def _serve(pipe: Connection, others: Sequence[Connection], answer: Callable[[Question], Answer]) -> None:
    """Answer until the pipe closes. An interrupt reaches every process; when to end is for the first one to say."""
    for of_a_terminal in (signal.SIGINT, signal.SIGHUP):
        signal.signal(of_a_terminal, signal.SIG_IGN)
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


def _can_fork() -> bool:
    """Tell whether this process has one thread only: locks that others hold would stay locked in a copy."""
    try:
        return len(list(Path("/proc/self/task").iterdir())) == 1
    except OSError:
        return False
