"""Batches to vectors in this process.

Reading (tokenising, decoding) and the model run in a thread each, so that neither waits for the other nor for
the disk.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any

import numpy as np

from embedsearch.distances.metric import Vectors
from embedsearch.encoders import Columnar, Encoder, Prepared, gather
from embedsearch.encoders.probes import spread
from embedsearch.errors import ItemError
from embedsearch.indexing.batch import WHOLE, Batch, Embedded, Outcome
from embedsearch.indexing.read import HERE, Reading
from embedsearch.modalities import UNITS, modality_of
from embedsearch.progress import Computing
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Matrix

REPORTED_EVERY = 16  # entries; a progress bar needs no more


@dataclass(slots=True)
class Work:
    """Contents of a batch on their way: what the encoder prepared of them, and why of the others nothing.

    Attributes:
        batch: the batch.
        prepared: of each content that can be used.
        outcomes: of each content.
        entries: `[start, end)`, the entries of the batch that the progress counts for them.
        waited: seconds that the runner waited for them.
        vectors: (n, d) float32 of the contents, where these are vectors already; `prepared` holds a few then.
    """

    batch: Batch
    prepared: list[Prepared]
    outcomes: list[Outcome]
    entries: tuple[int, int]
    waited: float = 0.0
    vectors: Vectors | None = None


@dataclass(frozen=True, slots=True)
class LocalRunner:
    """See `Runner`."""

    load: Callable[[EncoderRecipe], Encoder]
    on_progress: Callable[[int], None]
    on_start: Callable[[Computing], None]

    @property
    def reading(self) -> Reading:
        """This process, when a batch is wanted."""
        return HERE

    def map(self, batches: Iterable[Batch], recipe: EncoderRecipe) -> Iterator[Batch]:
        """See `Runner.map`."""
        batches = iter(batches)
        for batch in batches:
            if batch.contents:
                encoder = self.load(recipe)
                self.on_start(encoder)
                yield from self._embed(chain([batch], batches), encoder)
            else:
                self.on_progress(batch.entries)
                yield batch

    def _embed(self, batches: Iterator[Batch], encoder: Encoder) -> Iterator[Batch]:
        stopped = threading.Event()
        # On a GPU the next batch is launched while the last vectors of this one are fetched.
        computers = 2 if encoder.device.startswith("cuda") else 1
        with (
            quick_switching(modality_of(encoder.spec.unit).switching),
            ThreadPoolExecutor(1, thread_name_prefix="read") as reader,
            ThreadPoolExecutor(computers, thread_name_prefix="compute") as computer,
        ):
            # While the caller stores one batch, the next ones are computed and the one after them is read.
            coming = works(batches, encoder)
            reading = reader.submit(next, coming, None)
            computing: deque[tuple[Work, Future[Embedded]]] = deque()
            parts: list[Embedded] = []
            try:
                while True:
                    started = time.perf_counter()
                    work = reading.result()
                    if work is not None:
                        work.waited = time.perf_counter() - started
                        reading = reader.submit(next, coming, None)
                        made = computer.submit(compute, work, encoder, self.on_progress, stopped)
                        computing.append((work, made))
                    while len(computing) > computers or (computing and work is None):
                        started = time.perf_counter()
                        done, made = computing.popleft()
                        parts.append(made.result())
                        parts[-1].computed = time.perf_counter() - started
                        if any(part.probes for part in parts[:-1]):
                            parts[-1].probes = []  # a few of a batch do; each takes what the model reads
                        if done.entries[1] == done.batch.entries:
                            done.batch.embedded, parts = joined(parts), []
                            yield done.batch
                    if work is None:
                        return
            finally:
                stopped.set()  # a batch under way ends after its next items, not minutes later


@contextmanager
def quick_switching(seconds: float) -> Iterator[None]:
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


def works(batches: Iterator[Batch], encoder: Encoder) -> Iterator[Work]:
    """Prepare the contents of batches for the model, those of one by a few where the unit asks so."""
    ahead = UNITS[encoder.spec.unit].parts_ahead
    for batch in batches:
        contents, batch.contents = batch.contents, []  # images take megabytes
        if isinstance(contents, Matrix) and isinstance(encoder, Columnar):
            vectors = encoder.encode_matrix(contents)
            if vectors is not None:
                probes = encoder.prepare([contents[at] for at in spread(len(contents))])
                yield Work(batch, probes, [WHOLE] * len(contents), (0, batch.entries), vectors=vectors)
                continue
        count, start = len(contents), 0
        while True:
            size = min(ahead or count, len(contents))
            part, contents = contents[:size], contents[size:]
            end = batch.entries * (count - len(contents)) // count if count else batch.entries
            prepared, outcomes = _prepare(part, encoder)
            del part
            yield Work(batch, prepared, outcomes, (start, end))
            start = end
            if not contents:
                break


def _prepare(contents: Sequence[Any], encoder: Encoder) -> tuple[list[Prepared], list[Outcome]]:
    prepared: list[Prepared] = []
    outcomes: list[Outcome] = []
    for each in encoder.prepare(contents) if contents else ():
        if isinstance(each, ItemError):
            outcomes.append(Outcome(reason=str(each)))
        else:
            prepared.append(each)
            said = each.units is not None or each.truncated or each.lost or each.unknown or each.notes
            outcomes.append(
                Outcome(
                    each.units,
                    each.truncated,
                    each.lost,
                    unknown=each.unknown,
                    notes=each.notes,
                    shares=tuple(part.unknown for part in each.parts),
                )
                if said
                else WHOLE
            )
    return prepared, outcomes


def joined(parts: list[Embedded]) -> Embedded:
    """Return what was made of a batch by a few of its contents as one."""
    if len(parts) == 1:
        return parts[0]
    return Embedded(
        outcomes=[outcome for part in parts for outcome in part.outcomes],
        vectors=np.concatenate([part.vectors for part in parts]),
        probes=[probe for part in parts for probe in part.probes],
        waited=sum(part.waited for part in parts),
        computed=sum(part.computed for part in parts),
    )


def compute(
    work: Work, encoder: Encoder, on_progress: Callable[[int], None], stopped: threading.Event
) -> Embedded:
    """Run the model over contents of a batch."""
    prepared, outcomes = work.prepared, work.outcomes
    entries = work.entries[1] - work.entries[0]
    if work.vectors is not None:
        on_progress(entries)
        probes = [
            (each, work.vectors[[at]]) for each, at in zip(prepared, spread(len(outcomes)), strict=True)
        ]
        return Embedded(outcomes, work.vectors, probes, waited=work.waited)

    def reported() -> Iterator[tuple[int, Vectors]]:
        # Progress counts entries: they are spread over the contents, and the rest comes last.
        reached = 0
        for done, ran in enumerate(encoder.run(prepared) if prepared else (), 1):
            if stopped.is_set():
                return
            yield ran
            now = done * entries // len(prepared)
            if now - reached >= REPORTED_EVERY:
                on_progress(now - reached)
                reached = now
        on_progress(entries - reached)

    vectors = gather(prepared, reported(), encoder.dimension)  # (n, d)
    spans = _spans(prepared)
    finite = np.atleast_1d(np.isfinite(vectors).all(1))  # (n, d) -> (n,)
    if not finite.all():
        good = [bool(finite[span].all()) for span in spans]
        places = [at for at, outcome in enumerate(outcomes) if not outcome.reason]
        for at, is_good in zip(places, good, strict=True):
            if not is_good:
                outcomes[at] = Outcome(
                    reason="the model gives it a vector with infinite or undefined numbers"
                )
        vectors = np.concatenate([vectors[:0], *(vectors[span] for span in spans if finite[span].all())])
        prepared = [each for each, is_good in zip(prepared, good, strict=True) if is_good]
        spans = _spans(prepared)
    pieces = [piece for each in prepared for piece in each.parts or (each,)]
    spans = _spans(pieces)
    probes = [(pieces[at], vectors[spans[at]]) for at in spread(len(pieces))]
    return Embedded(outcomes, vectors, probes, waited=work.waited)


def _spans(prepared: Sequence[Prepared]) -> list[slice]:
    """Return where the vectors of each item lie among those of all."""
    ends = list(accumulate(each.rows for each in prepared))
    return [slice(end - each.rows, end) for end, each in zip(ends, prepared, strict=True)]
