"""The engine of one machine: processes that are handed pictures, one process a core.

A process that dies, killed or crashed by a picture, costs that picture alone: its handful goes on one picture at a time
in a new process, and the picture at which that one dies too becomes a row with an error.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from threading import Thread

from mien.errors import DataError, MienError
from mien.predict.predictor import Predictor
from mien.scale.answers import Answer, answer, failure
from mien.scale.job import Job
from mien.scale.sources import Entry

HANDFUL = 32  # pictures that a process is given at once
_END_SECONDS = 5


def cores() -> int:
    """How many processes of this machine can run at a time."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def answers(handfuls: Iterable[list[Entry]], job: Job, workers: int, ahead: int) -> Generator[Answer, None, None]:
    """One answer for each handful, in order; raises MienError where the processes cannot start.

    ahead: how many handfuls may be under way or done while one before them is not.
    """
    waiting = iter(handfuls)
    tasks: deque[_Task] = deque()  # all not yet given back, in order
    again: deque[_Task] = deque()  # those of them whose process died

    def next_task() -> _Task | None:
        if again:
            return again.popleft()
        if len(tasks) < ahead and (handful := next(waiting, None)):
            tasks.append(_Task(handful))
            return tasks[-1]
        return None

    with _crew(job, workers) as crew:
        while True:
            for worker in crew:
                if not worker.task and (task := next_task()):
                    worker.give(task)
            if not tasks:
                return
            for worker in _reporting(crew):
                if not worker.receive():
                    again.extend(worker.bury(job))
                    crew[crew.index(worker)] = _Worker(job)
            while tasks and not tasks[0].left:
                yield Answer.joined(tasks.popleft().answers)


@dataclass
class _Task:
    """A handful: the pictures still to be answered, and the answers that there are."""

    left: list[Entry]
    alone: bool = False  # one picture at a time
    answers: list[Answer] = field(default_factory=list)

    def take(self, pictures: int, answer: Answer) -> None:
        """The answer for the next so many pictures."""
        self.answers.append(answer)
        del self.left[:pictures]


class _Worker:
    """A process, and the task that it is at."""

    def __init__(self, job: Job) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.task: _Task | None = None
        self._ready = False
        self._process = context.Process(target=_work, args=(theirs, job), daemon=True)
        self._process.start()
        theirs.close()

    def give(self, task: _Task) -> None:
        """Hand it a task."""
        self.task = task
        with suppress(OSError):  # it died; that is met when it is asked for its answer
            self.connection.send((task.left, task.alone))

    def receive(self) -> bool:
        """Take what it has to say; False where it died. Raises the MienError for which it could not start."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            return False
        if isinstance(message, MienError):
            raise message
        self._ready = True
        if self.task and message:
            self.task.take(*message)
            self.task = self.task if self.task.left else None
        return True

    def bury(self, job: Job) -> list[_Task]:
        """What is left for another process to do, after this one died; raises DataError where it never worked."""
        self._process.join(_END_SECONDS)
        self.end()
        code = self._process.exitcode or 0
        why = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if not self._ready:
            raise DataError(f"a worker process ended as it started ({why}); is there memory for so many --workers?")
        if not (task := self.task):
            return []
        if task.alone:
            task.take(1, failure(task.left[0], f"the process that looked at it died ({why})", job))
        task.alone = True
        return [task] if task.left else []

    def end(self) -> None:
        """Make an end of the process."""
        self.connection.close()
        self._process.terminate()
        self._process.join(_END_SECONDS)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()


@contextmanager
def _crew(job: Job, workers: int) -> Iterator[list[_Worker]]:
    crew: list[_Worker] = []
    try:
        for _ in range(workers):
            crew.append(_Worker(job))
        yield crew
    finally:
        for worker in crew:
            worker.end()


def _reporting(crew: Sequence[_Worker]) -> list[_Worker]:
    """Those that have something to say, or died; waits until there are some."""
    heard = wait([worker.connection for worker in crew])
    return [worker for worker in crew if worker.connection in heard]


def _work(connection: Connection, job: Job) -> None:
    """What a process does, until its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends us
    Thread(target=_end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = "1"  # each process is a thread already
    try:
        predictor = job.predictor()
    except MienError as error:
        connection.send(error)
        return
    connection.send(None)
    with suppress(EOFError, OSError):
        while True:
            entries, alone = connection.recv()
            for message in _tried(entries, alone, job, predictor):
                connection.send(message)


def _tried(entries: list[Entry], alone: bool, job: Job, predictor: Predictor) -> Iterator[tuple[int, Answer]]:
    """Answers, each for the next so many pictures: for all together, or one by one where one of them raises."""
    if not alone:
        with suppress(Exception):  # decoders, and memory: which picture it was is found out below
            yield len(entries), answer(entries, job, predictor)
            return
    for entry in entries:
        try:
            yield 1, answer([entry], job, predictor)
        except Exception as error:
            yield 1, failure(entry, f"not looked at ({type(error).__name__}: {error})", job)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent:
        parent.join()
        os._exit(1)
