"""Records and an encoder to items and vectors, streamed.

Reading (tokenising, decoding) and the model run in a thread each, so that neither waits for the other
nor for the disk.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import accumulate, islice
from pathlib import Path

import numpy as np

from embedsearch.encoders import Encoder, Prepared, Sentence, Span, gather
from embedsearch.encoders.probes import Probe, spread
from embedsearch.encoders.segment import sentences, words
from embedsearch.errors import ItemError
from embedsearch.metrics import Vectors
from embedsearch.records import Content, Entry, Record, Rejected, Scalar, Unit, content_hash

# Records read ahead of the model. Texts: enough to sort by length. Pictures: each takes megabytes.
CHUNK = {Unit.TEXT: 2048, Unit.WORD: 512, Unit.TOKEN: 512, Unit.IMAGE: 256}
TOLD_EVERY = 16  # entries; a progress bar needs no more


@dataclass(frozen=True, slots=True)
class Item:
    """What one vector of an index stands for.

    Attributes:
        id: the record's id; for a word, with `#` and where it starts in the record's text.
        text: the text, or the sentence that holds the word; None for pictures.
        path: the picture's file, where it is one.
        span: the word's `[start, end)` in `text`.
        hash: content hash of the record.
        fields: the record's fields.
        picture: the bytes of a picture that no file of its own holds.
    """

    id: str
    text: str | None
    path: str | None
    span: Span | None
    hash: str
    fields: dict[str, Scalar]
    picture: bytes | None = None


@dataclass(slots=True)
class Chunk:
    """A stretch of the source, embedded.

    Attributes:
        entries: how many entries of the source it covers.
        items: one per vector.
        vectors: (n, d) float32, raw.
        rejected: what could not be used.
        truncated: texts that the model's limit cut.
        lost: words beyond the limit.
        probes: a few of its inputs with their vectors; see `embedsearch.encoders.probes`.
        digest: of its entries, so that a later run knows them again.
        waited: seconds that the pass waited for input.
        computed: seconds that the pass waited for the model.
    """

    entries: int
    items: list[Item]
    vectors: Vectors
    rejected: list[Rejected] = field(default_factory=list)
    truncated: int = 0
    lost: int = 0
    probes: list[Probe] = field(default_factory=list)
    digest: str = ""
    waited: float = 0.0
    computed: float = 0.0


@dataclass(slots=True)
class _Input:
    """One thing to encode and the record it comes from; `offset` is where a sentence starts."""

    record: Record
    content: Content | Sentence
    offset: int
    hash: str


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
    entries: Iterable[Entry], encoder: Encoder, *, on_progress: Callable[[int], None]
) -> Iterator[Chunk]:
    """Embed everything that can be embedded, chunk by chunk, in the source's order.

    Args:
        entries: what a source yields.
        encoder: what makes the vectors.
        on_progress: called with the number of entries just finished.
    """
    source = iter(entries)
    stopped = threading.Event()
    # On a GPU the next chunk's first batches are launched while the last ones of this are fetched.
    computers = 2 if encoder.device.startswith("cuda") else 1
    with (
        _quick_switching(1e-4 if encoder.spec.unit is Unit.IMAGE else 1e-5),
        ThreadPoolExecutor(1, thread_name_prefix="read") as reader,
        ThreadPoolExecutor(computers, thread_name_prefix="compute") as computer,
    ):
        # While the caller lays one chunk down, the next ones are computed and the one after them is read.
        reading = reader.submit(_read, source, encoder)
        computing: deque[Future[_Work]] = deque()
        try:
            while True:
                started = time.perf_counter()
                read = reading.result()
                read.chunk.waited = time.perf_counter() - started
                if read.chunk.entries:
                    reading = reader.submit(_read, source, encoder)
                    computing.append(computer.submit(_compute, read, encoder, on_progress, stopped))
                while len(computing) > computers or (computing and not read.chunk.entries):
                    started = time.perf_counter()
                    work = computing.popleft().result()
                    work.chunk.computed = time.perf_counter() - started
                    yield _lay_down(work)
                if not read.chunk.entries:
                    return
        finally:
            stopped.set()  # a chunk in work ends at its next batch, not minutes later


def digest(entries: Iterable[Entry]) -> str:
    """Return 64 hex digits that change when an entry does: its id, fields and text, or its file's stamp."""
    total = hashlib.sha256()
    for entry in entries:
        total.update(repr(entry).encode("utf-8", "surrogatepass"))
        if isinstance(entry, Record) and isinstance(entry.content, Path):
            with suppress(OSError):
                facts = entry.content.stat()
                total.update(f"{facts.st_size} {facts.st_mtime_ns}".encode())
    return total.hexdigest()


@dataclass(slots=True)
class _Work:
    """A chunk on its way; identical inputs are prepared and computed once.

    Attributes:
        chunk: what becomes of it.
        inputs: what gets a vector, in the source's order.
        prepared: the different ones among them.
        which: for each input, where in `prepared` it is.
    """

    chunk: Chunk
    inputs: list[_Input]
    prepared: list[Prepared]
    which: list[int]


def _read(source: Iterator[Entry], encoder: Encoder) -> _Work:
    """Take the next entries off the source and prepare them for the model."""
    unit = encoder.spec.unit
    entries = list(islice(source, CHUNK[unit]))
    chunk = Chunk(len(entries), [], np.empty((0, encoder.dimension), np.float32))
    chunk.digest = digest(entries)
    inputs: list[_Input] = []
    for entry in entries:
        if isinstance(entry, Rejected):
            chunk.rejected.append(entry)
            continue
        try:
            inputs.extend(_inputs(entry, unit))
        except (ItemError, OSError) as error:
            chunk.rejected.append(Rejected(entry.id, str(error)))
    first: dict[object, int] = {}
    # a picture is told by its hash, a text by itself
    numbers = [
        first.setdefault(each.hash if unit is Unit.IMAGE else each.content, len(first)) for each in inputs
    ]
    different = {number: each.content for number, each in zip(numbers, inputs, strict=True)}
    outcomes = encoder.prepare(list(different.values()))
    places: dict[int, int] = {}
    work = _Work(chunk, [], [], [])
    for number, source_input in zip(numbers, inputs, strict=True):
        outcome = outcomes[number]
        if isinstance(outcome, ItemError):
            chunk.rejected.append(Rejected(_item_id(source_input, None), str(outcome)))
            continue
        chunk.truncated += outcome.truncated
        chunk.lost += outcome.lost
        if number not in places:
            places[number] = len(work.prepared)
            work.prepared.append(outcome)
        work.inputs.append(source_input)
        work.which.append(places[number])
    chunk.rejected = [Rejected(_unbroken(each.id), _unbroken(each.reason)) for each in chunk.rejected]
    return work


def _inputs(record: Record, unit: Unit) -> Iterator[_Input]:
    """Yield what the encoder reads of one record: itself, or each of its sentences."""
    if record.modality is not unit.modality:
        raise ItemError(f"the source gives a {record.modality}, the unit {unit} needs a {unit.modality}")
    held = (record.id, record.content, *record.fields, *record.fields.values())
    if any(isinstance(each, (str, Path)) and _unbroken(str(each)) != str(each) for each in held):
        raise ItemError("its text, fields or file name hold a broken character, which no UTF-8 file can hold")
    digest = content_hash(record.content)
    if unit in (Unit.TEXT, Unit.IMAGE):
        yield _Input(record, record.content, 0, digest)
        return
    text = str(record.content)
    found = False
    for start, end in sentences(text):
        sentence = text[start:end]
        spans = words(sentence)
        if spans:
            found = True
            yield _Input(record, Sentence(sentence, spans if unit is Unit.WORD else None), start, digest)
    if not found:
        raise ItemError("the text holds no word")


def _compute(
    work: _Work, encoder: Encoder, on_progress: Callable[[int], None], stopped: threading.Event
) -> _Work:
    """Run the model over a chunk and lay its vectors down in the source's order."""
    chunk, prepared = work.chunk, work.prepared

    def told() -> Iterator[tuple[int, Vectors]]:
        # Progress counts entries: a record of many sentences is spread over them, the rest comes last.
        reached = 0
        for done, ran in enumerate(encoder.run(prepared), 1):
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
    kept = sorted(set(work.which))
    chunk.probes = [(prepared[kept[at]], vectors[spans[kept[at]]]) for at in spread(len(kept))]
    if work.which != list(range(len(prepared))):
        rows = [vectors[spans[at]] for at in work.which]
        vectors = np.concatenate([vectors[:0], *rows])
    chunk.vectors = vectors
    return work


def _quarantine(work: _Work, bad: set[int]) -> None:
    """Take out the inputs that the model gave no finite vector."""
    pairs = list(zip(work.inputs, work.which, strict=True))
    work.chunk.rejected += [
        Rejected(_item_id(each, None), "the model gives it a vector that is not finite")
        for each, at in pairs
        if at in bad
    ]
    work.inputs = [each for each, at in pairs if at not in bad]
    work.which = [at for _, at in pairs if at not in bad]


def _lay_down(work: _Work) -> Chunk:
    """Say what each vector stands for; apart from the model's thread, which has the next chunk to do."""
    work.chunk.items = [
        _item(source_input, span)
        for source_input, at in zip(work.inputs, work.which, strict=True)
        for span in _units(work.prepared[at])
    ]
    return work.chunk


def _units(prepared: Prepared) -> tuple[Span | None, ...]:
    return (None,) if prepared.units is None else prepared.units


def _item(source_input: _Input, span: Span | None) -> Item:
    record, content = source_input.record, source_input.content
    text = content.text if isinstance(content, Sentence) else content if isinstance(content, str) else None
    return Item(
        id=_item_id(source_input, span),
        text=text,
        path=str(content) if isinstance(content, Path) else None,
        span=span,
        hash=source_input.hash,
        fields=dict(record.fields),
        picture=content if isinstance(content, bytes) else None,
    )


def _item_id(source_input: _Input, span: Span | None) -> str:
    record = source_input.record
    if not isinstance(source_input.content, Sentence):
        return record.id
    start = source_input.offset + (span[0] if span else 0)
    return f"{record.id}#{start}"


def _unbroken(text: str) -> str:
    """Return `text` with halves of surrogate pairs as "?"; names of files that are not UTF-8 hold them."""
    return text.encode("utf-8", "replace").decode("utf-8")
