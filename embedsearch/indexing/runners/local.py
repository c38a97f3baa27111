"""Records and an encoder to items and vectors, streamed.

Reading (tokenising, decoding) and the model run in a thread each, so that neither waits for the other
nor for the disk.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import numpy as np

from embedsearch.distances.metric import Vectors
from embedsearch.encoders import Encoder, gather
from embedsearch.encoders.probes import spread
from embedsearch.indexing.batch import Chunk, Input, Work
from embedsearch.indexing.read import Before, read
from embedsearch.indexing.shards import Staging
from embedsearch.records import Entry, Rejected, Sentence, Span, Unit, unbroken
from embedsearch.store.items import Item

TOLD_EVERY = 16  # entries; a progress bar needs no more


@contextmanager
def _quick_switching(seconds: float) -> Iterator[None]:
    """Let a thread wait for Python's lock for so long at most, where it is 5 milliseconds by default.

    torch gives the lock away at every kernel that it launches, and would wait for the reading thread each
    time: on an H100 BERT-base reached 0.70 of the slower part's rate so, 0.76 at 100 microseconds, 0.79 at
    10. Many threads that decode pictures thrash at 10: 0.62 against 0.97 at 100.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def embed(
    entries: Iterable[Entry],
    encoder: Encoder,
    before: Before | None = None,
    staging: Staging | None = None,
    *,
    on_progress: Callable[[int], None],
) -> Iterator[Chunk]:
    """Embed everything that can be embedded, chunk by chunk, in the source's order.

    Args:
        entries: what a source yields.
        encoder: what makes the vectors.
        before: the build whose vectors serve again, where there is one.
        staging: where the caller lays down each chunk before it asks for the next one; copies of what lies
            there take its vectors. None embeds copies again that are read apart.
        on_progress: called with the number of entries just finished.
    """
    source = iter(entries)
    old = before.build.vectors if before else np.empty((0, encoder.dimension), np.float32)
    # a record of many words has many vectors, whose places in the text a hash does not tell
    seen = staging.seen if staging and encoder.spec.unit in (Unit.TEXT, Unit.IMAGE) else None
    stopped = threading.Event()
    # On a GPU the next chunk's first batches are launched while the last ones of this are fetched.
    computers = 2 if encoder.device.startswith("cuda") else 1
    with (
        _quick_switching(1e-4 if encoder.spec.unit is Unit.IMAGE else 1e-5),
        ThreadPoolExecutor(1, thread_name_prefix="read") as reader,
        ThreadPoolExecutor(computers, thread_name_prefix="compute") as computer,
    ):
        # While the caller lays one chunk down, the next ones are computed and the one after them is read.
        reading = reader.submit(read, source, encoder, before, seen)
        computing: deque[Future[Work]] = deque()
        try:
            while True:
                started = time.perf_counter()
                ready = reading.result()
                ready.chunk.waited = time.perf_counter() - started
                if ready.chunk.entries:
                    reading = reader.submit(read, source, encoder, before, seen)
                    computing.append(computer.submit(_compute, ready, encoder, old, on_progress, stopped))
                while len(computing) > computers or (computing and not ready.chunk.entries):
                    started = time.perf_counter()
                    work = computing.popleft().result()
                    work.chunk.computed = time.perf_counter() - started
                    yield _lay_down(work, before, staging)
                if not ready.chunk.entries:
                    return
        finally:
            stopped.set()  # a chunk in work ends at its next batch, not minutes later


def _compute(
    work: Work, encoder: Encoder, old: Vectors, on_progress: Callable[[int], None], stopped: threading.Event
) -> Work:
    """Run the model over a chunk and lay its vectors down in the source's order."""
    chunk, prepared = work.chunk, work.prepared

    def told() -> Iterator[tuple[int, Vectors]]:
        # Progress counts entries: a record of many sentences is spread over them, the rest comes last.
        reached = 0
        for done, ran in enumerate(encoder.run(prepared) if prepared else (), 1):
            if stopped.is_set():
                return
            yield ran
            now = done * chunk.entries // len(prepared)
            if now - reached >= TOLD_EVERY:
                on_progress(now - reached)
                reached = now
        on_progress(chunk.entries - reached)

    vectors = gather(prepared, told(), encoder.dimension)
    ends = list(accumulate(item.rows for item in prepared))
    spans = [slice(end - item.rows, end) for end, item in zip(ends, prepared, strict=True)]
    if not np.isfinite(vectors).all():
        _quarantine(work, {at for at, span in enumerate(spans) if not np.isfinite(vectors[span]).all()})
    kept = sorted(set(work.which) - {-1})
    chunk.probes = [(prepared[kept[at]], vectors[spans[kept[at]]]) for at in spread(len(kept))]
    if work.which == list(range(len(prepared))):
        chunk.vectors = vectors
    else:
        again = np.zeros((1, encoder.dimension), np.float32)  # filled in by `_lay_down`
        rows = [
            vectors[spans[at]] if at >= 0 else again if each.old is None else old[slice(*each.old)]
            for each, at in zip(work.inputs, work.which, strict=True)
        ]
        chunk.vectors = np.concatenate([vectors[:0], *rows])
    return work


def _quarantine(work: Work, bad: set[int]) -> None:
    """Take out the inputs that the model gave no finite vector."""
    pairs = list(zip(work.inputs, work.which, strict=True))
    work.chunk.rejected += [
        (Rejected(unbroken(each.id(None)), "the model gives it a vector that is not finite"), each.entry)
        for each, at in pairs
        if at in bad
    ]
    work.inputs = [each for each, at in pairs if at not in bad]
    work.which = [at for _, at in pairs if at not in bad]


def _lay_down(work: Work, before: Before | None, staging: Staging | None) -> Chunk:
    """Say what each vector stands for; apart from the model's thread, which has the next chunk to do."""
    chunk = work.chunk
    if again := [each.again for each in work.inputs if each.again >= 0]:
        assert staging is not None  # where `again` is from
        counts = [1 if each.old is None else each.old[1] - each.old[0] for each in work.inputs]
        starts = accumulate(counts, initial=0)
        copies = [start for start, each in zip(starts, work.inputs, strict=False) if each.again >= 0]
        chunk.vectors[copies] = staging.vectors(again)
    rows = [row for each in work.inputs if each.old is not None for row in range(*each.old)]
    spoken = iter(before.spoken(rows) if before is not None and rows else ())
    for each, at in zip(work.inputs, work.which, strict=True):
        start = len(chunk.items)
        if each.old is not None:
            chunk.items += [_old_item(each, *next(spoken)) for _ in range(*each.old)]
            chunk.reused += len(chunk.items) - start
        else:
            units = work.prepared[at].units if at >= 0 else None
            chunk.items += [_item(each, span) for span in units or (None,)]
        chunk.source_state["rows"][each.entry] += len(chunk.items) - start
    for _, entry in chunk.rejected:
        if entry is not None:
            chunk.source_state["bad"][entry] += 1
    return chunk


def _item(source_input: Input, span: Span | None) -> Item:
    content = source_input.content
    text = content.text if isinstance(content, Sentence) else content if isinstance(content, str) else None
    return _made(source_input, source_input.id(span), text, span)


def _old_item(source_input: Input, old_id: str, text: str | None, span: Span | None) -> Item:
    """Return an item of the build before as its record has it now: its identity, path and fields."""
    identity = source_input.record.id
    if span is not None:  # a word is told by where it starts
        identity += "#" + old_id.rpartition("#")[2]
    return _made(source_input, identity, text, span)


def _made(source_input: Input, identity: str, text: str | None, span: Span | None) -> Item:
    record = source_input.record
    return Item(
        id=identity,
        text=text,
        path=str(record.content) if isinstance(record.content, Path) else None,
        span=span,
        hash=source_input.hash,
        fields=dict(record.fields),
        picture=record.content if isinstance(record.content, bytes) else None,
    )
