"""Work beside the event loop: threads that are bounded, and queries that go through a model together."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, ParamSpec, TypeVar

from embedsearch.backends.threads import limit_threads
from embedsearch.serve.http.problems import busy

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
P = ParamSpec("P")


class Places:
    """How many requests may wait or be worked on at once."""

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a place until the request is answered.

        Raises:
            RefusedError: none is free.
        """
        if self.taken >= self.most:
            raise busy(f"{self.taken:,} requests wait already.")
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


def faiss_threads(count: int) -> int:
    """Return how many threads FAISS may take in each of `count` threads, so that all use each core once."""
    return max(1, (os.cpu_count() or 1) // count)


class Threads:
    """A few threads for work that takes long, and places for the requests that wait for them."""

    def __init__(self, count: int, places: Places, name: str) -> None:
        self.places = places
        self.executor = ThreadPoolExecutor(count, name, limit_threads, (faiss_threads(count),))

    async def run(self, work: Callable[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
        """Return what `work` returns in one of the threads.

        Raises:
            RefusedError: too many requests wait for them.
        """
        with self.places.one():
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.executor, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Drop the work that has not begun."""
        self.executor.shutdown(wait=False, cancel_futures=True)


class Batches(Generic[Asked, Answer]):
    """Collects what is asked while a batch is worked on; all of it is the next batch."""

    def __init__(
        self,
        work: Callable[[Sequence[Asked]], Sequence[Answer | Exception]],
        executor: Executor,
        most: int,
        observe: Callable[[int, float], None],
    ) -> None:
        """Keep what is needed.

        Args:
            work: answers a batch: for each part of it an answer, or the error that it is answered with.
            executor: runs it, one batch at a time.
            most: how many are worked on together.
            observe: gets the size of each batch, and its seconds.
        """
        self._work, self._executor = work, executor
        self._most, self._observe = most, observe
        self._waiting: deque[tuple[Asked, asyncio.Future[Answer]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Answer:
        """Return the answer to one part of a batch, or raise the error that it is answered with."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                taken = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                batch = [(asked, future) for asked, future in taken if not future.done()]  # not given up
                if not batch:
                    continue
                started = time.perf_counter()
                try:
                    answers = await loop.run_in_executor(
                        self._executor, self._work, [each for each, _ in batch]
                    )
                except Exception as error:  # it is answered with, one by one
                    answers = [error] * len(batch)
                self._observe(len(batch), time.perf_counter() - started)
                for (_, future), answer in zip(batch, answers, strict=True):
                    if future.done():
                        continue
                    if isinstance(answer, Exception):
                        future.set_exception(answer)
                    else:
                        future.set_result(answer)
        finally:
            self._task = None
