"""Work beside the event loop: threads that are bounded, and queries that go through a model together."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar, TypeVarTuple

from embedsearch.backends.threads import limit_threads
from embedsearch.serve.http.problems import busy

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
Arguments = TypeVarTuple("Arguments")


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

    async def run(self, work: Callable[[*Arguments], Answer], *args: *Arguments) -> Answer:
        """Return what `work` returns in one of the threads.

        Raises:
            RefusedError: too many requests wait for them.
        """
        with self.places.one():
            return await asyncio.get_running_loop().run_in_executor(self.executor, work, *args)

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
        size: Callable[[Asked], int] = lambda _: 1,
    ) -> None:
        """Keep what is needed.

        Args:
            work: answers a batch: for each part of it an answer, or the error that it is answered with.
            executor: runs it, one batch at a time.
            most: the size of a batch at most; a part that is larger is a batch by itself.
            observe: gets the size of each batch, and its seconds.
            size: of a part.
        """
        self._work, self._executor = work, executor
        self._most, self._observe, self._size = most, observe, size
        self._waiting: deque[tuple[Asked, asyncio.Future[Answer]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Answer:
        """Return the answer to one part of a batch, or raise the error that it is answered with."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return await future

    def _next(self) -> tuple[list[tuple[Asked, asyncio.Future[Answer]]], int]:
        """Return the parts of the next batch without those that were given up, and its size."""
        batch: list[tuple[Asked, asyncio.Future[Answer]]] = []
        total = 0
        while self._waiting:
            asked, future = self._waiting[0]
            size = self._size(asked)
            if not future.done():
                if batch and total + size > self._most:
                    break
                batch.append((asked, future))
                total += size
            self._waiting.popleft()
        return batch, total

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, size = self._next()
                if not batch:
                    continue
                started = time.perf_counter()
                try:
                    answers = await loop.run_in_executor(
                        self._executor, self._work, [each for each, _ in batch]
                    )
                except Exception as error:  # it is answered with, one by one
                    answers = [error] * len(batch)
                self._observe(size, time.perf_counter() - started)
                for (_, future), answer in zip(batch, answers, strict=True):
                    if future.done():
                        continue
                    if isinstance(answer, Exception):
                        future.set_exception(answer)
                    else:
                        future.set_result(answer)
        finally:
            self._task = None
