"""Threads that look at pictures, and the bounded queue before them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, Lock
from typing import TypeVar

from starlette.requests import Request

from mien.serve.problems import Busy

T = TypeVar("T")
Job = Callable[[Event], T]  # is given what tells it that nobody waits for its result any more


class ClientGone(Exception):
    """The client hung up; there is nobody to answer."""


class Workers:
    """`threads` jobs run at a time, `queue` more may wait; whoever comes then is told to come again."""

    def __init__(self, threads: int, queue: int) -> None:
        self.threads = threads
        self._places = threads + queue
        self._pool = ThreadPoolExecutor(threads, "mien-worker")
        self._lock, self._pending, self._closed = Lock(), 0, False

    @property
    def pending(self) -> int:
        """Jobs that run or wait."""
        return self._pending

    @property
    def closed(self) -> bool:
        """Whether the server is ending."""
        return self._closed

    async def run(self, job: Job[T], request: Request, seconds: float) -> T:
        """The result of `job`; raises Busy if there is no room or no time, ClientGone if the client hangs up."""
        stop = Event()
        future = self._submit(job, stop)
        answer = asyncio.ensure_future(asyncio.wrap_future(future))
        gone = asyncio.ensure_future(_hung_up(request))
        try:
            await asyncio.wait({answer, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if answer.cancelled():
                raise Busy("the server is ending; try again when it is back")
            if answer.done():
                return answer.result()
            if gone.done():
                raise ClientGone
            raise Busy(f"no answer within {seconds:g} s; try again, or send a smaller picture")
        finally:
            stop.set()
            gone.cancel()
            answer.cancel()  # takes the job out of the queue, if it still waits there

    def _submit(self, job: Job[T], stop: Event) -> Future[T]:
        with self._lock:
            if self._closed:
                raise Busy("the server is ending; try again when it is back")
            if self._pending >= self._places:
                raise Busy("all workers are busy, and enough requests wait; try again in a second")
            self._pending += 1
        future = self._pool.submit(job, stop)
        future.add_done_callback(self._leave)
        return future

    def _leave(self, _: Future[T]) -> None:
        with self._lock:
            self._pending -= 1

    def close(self) -> None:
        """Take no more jobs; those that run end, those that wait are given up."""
        with self._lock:
            self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)


async def _hung_up(request: Request) -> None:
    """Returns when the client closes the connection; its body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
