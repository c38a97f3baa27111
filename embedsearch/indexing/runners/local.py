"""Batches to vectors in this process.

Reading (tokenising, decoding) and the model run in a thread each, so that neither waits for the other nor for
the disk.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, chain

import numpy as np

from embedsearch.distances.metric import Vectors
from embedsearch.encoders import Encoder, Prepared, gather
from embedsearch.encoders.probes import spread
from embedsearch.errors import ItemError
from embedsearch.indexing.batch import Batch, Embedded, Outcome
from embedsearch.modalities import modality_of
from embedsearch.recipe import EncoderRecipe

REPORTED_EVERY = 16  # entries; a progress bar needs no more


@dataclass(slots=True)
class _Work:
    """A batch on its way: what the encoder prepared of its contents, and why of the others nothing."""

    batch: Batch
    prepared: list[Prepared]
    outcomes: list[Outcome]
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class LocalRunner:
    """See `Runner`."""

    load: Callable[[EncoderRecipe], Encoder]
    on_progress: Callable[[int], None]

    def map(self, batches: Iterable[Batch], recipe: EncoderRecipe) -> Iterator[Batch]:
        """See `Runner.map`."""
        batches = iter(batches)
        for batch in batches:
            if batch.contents:
                yield from self._embed(chain([batch], batches), self.load(recipe))
            else:
                self.on_progress(batch.entries)
                yield batch

    def _embed(self, batches: Iterator[Batch], encoder: Encoder) -> Iterator[Batch]:
        stopped = threading.Event()
        # On a GPU the next batch is launched while the last vectors of this one are fetched.
        computers = 2 if encoder.device.startswith("cuda") else 1
        with (
            _quick_switching(modality_of(encoder.spec.unit).switching),
            ThreadPoolExecutor(1, thread_name_prefix="read") as reader,
            ThreadPoolExecutor(computers, thread_name_prefix="compute") as computer,
        ):
            # While the caller stores one batch, the next ones are computed and the one after them is read.
            reading = reader.submit(_prepare, batches, encoder)
            computing: deque[Future[Batch]] = deque()
            try:
                while True:
                    started = time.perf_counter()
                    work = reading.result()
                    if work is not None:
                        work.waited = time.perf_counter() - started
                        reading = reader.submit(_prepare, batches, encoder)
                        computing.append(computer.submit(_compute, work, encoder, self.on_progress, stopped))
                    while len(computing) > computers or (computing and work is None):
                        started = time.perf_counter()
                        batch = computing.popleft().result()
                        batch.embedded.computed = time.perf_counter() - started
                        yield batch
                    if work is None:
                        return
            finally:
                stopped.set()  # a batch under way ends after its next items, not minutes later


@contextmanager
def _quick_switching(seconds: float) -> Iterator[None]:
    """Let a thread wait for Python's lock for so long at most, where it is 5 milliseconds by default.

    torch gives the lock away at every kernel that it launches, and would wait for the reading thread each
    time: on an H100 BERT-base reached 0.70 of the slower part's rate so, 0.76 at 100 microseconds, 0.79 at
    10. Many threads that decode images thrash at 10: 0.62 against 0.97 at 100.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def _prepare(batches: Iterator[Batch], encoder: Encoder) -> _Work | None:
    """Take the next batch and prepare its contents for the model; None at the end."""
    batch = next(batches, None)
    if batch is None:
        return None
    prepared: list[Prepared] = []
    outcomes: list[Outcome] = []
    for each in encoder.prepare(batch.contents) if batch.contents else ():
        if isinstance(each, ItemError):
            outcomes.append(Outcome(reason=str(each)))
        else:
            prepared.append(each)
            outcomes.append(
                Outcome(each.units, each.truncated, each.lost, unknown=each.unknown, notes=each.notes)
            )
    batch.contents = []  # images take megabytes
    return _Work(batch, prepared, outcomes)


def _compute(
    work: _Work, encoder: Encoder, on_progress: Callable[[int], None], stopped: threading.Event
) -> Batch:
    """Run the model over a batch."""
    batch, prepared, outcomes = work.batch, work.prepared, work.outcomes

    def reported() -> Iterator[tuple[int, Vectors]]:
        # Progress counts entries: they are spread over the contents, and the rest comes last.
        reached = 0
        for done, ran in enumerate(encoder.run(prepared) if prepared else (), 1):
            if stopped.is_set():
                return
            yield ran
            now = done * batch.entries // len(prepared)
            if now - reached >= REPORTED_EVERY:
                on_progress(now - reached)
                reached = now
        on_progress(batch.entries - reached)

    vectors = gather(prepared, reported(), encoder.dimension)  # (n, d)
    ends = list(accumulate(each.rows for each in prepared))
    spans = [slice(end - each.rows, end) for end, each in zip(ends, prepared, strict=True)]
    finite = np.atleast_1d(np.isfinite(vectors).all(1))  # (n, d) -> (n,)
    good = [bool(finite[span].all()) for span in spans]
    if not all(good):
        places = [at for at, outcome in enumerate(outcomes) if not outcome.reason]
        for at, is_good in zip(places, good, strict=True):
            if not is_good:
                outcomes[at] = Outcome(reason="the model gives it a vector that is not finite")
        vectors = np.concatenate([vectors[:0], *(vectors[span] for span in spans if finite[span].all())])
        prepared = [each for each, is_good in zip(prepared, good, strict=True) if is_good]
        ends = list(accumulate(each.rows for each in prepared))
        spans = [slice(end - each.rows, end) for end, each in zip(ends, prepared, strict=True)]
    probes = [(prepared[at], vectors[spans[at]]) for at in spread(len(prepared))]
    batch.embedded = Embedded(outcomes, vectors, probes, waited=work.waited)
    return batch
