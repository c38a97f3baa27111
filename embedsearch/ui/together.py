"""Queries of several visitors go through a model together: all that wait while it works are a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

MOST = 32  # of a batch


class _Waiting(Generic[Asked, Answer]):
    """What one thread asks, and its answer, or the error that it is answered with."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.answers: list[Answer | Exception] = []


class Together(Generic[Asked, Answer]):
    """Answers what threads ask in batches, one batch at a time."""

    def __init__(self, work: Callable[[Sequence[Asked]], Sequence[Answer]]) -> None:
        """Keep `work`, which answers a batch."""
        self._work = work
        self._waiting: list[_Waiting[Asked, Answer]] = []
        self._lock, self._turn = Lock(), Lock()

    def ask(self, asked: Asked) -> Answer:
        """Return the answer, or raise the error of this part of its batch alone."""
        mine = _Waiting[Asked, Answer](asked)
        with self._lock:
            self._waiting.append(mine)
        while not mine.answers:
            with self._turn:  # who has it works for all that wait
                if not mine.answers:
                    self._next()
        (answer,) = mine.answers
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _next(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            answers = self._answers([each.asked for each in batch])
        except BaseException:  # Streamlit stops the thread of a visitor who left: the others go on
            with self._lock:
                self._waiting[:0] = batch
            raise
        for each, answer in zip(batch, answers, strict=True):
            each.answers.append(answer)

    def _answers(self, batch: Sequence[Asked]) -> Sequence[Answer | Exception]:
        """Return the answers of a batch; where it fails, each by itself, so that the others do not."""
        try:
            return self._work(batch)
        except Exception as error:
            if len(batch) == 1:
                return [error]
            return [each for asked in batch for each in self._answers([asked])]
