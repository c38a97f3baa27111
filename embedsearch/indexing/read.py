"""Records read, held against the build before, and prepared for the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from embedsearch.encoders import Encoder
from embedsearch.errors import ItemError
from embedsearch.indexing.batch import Input, Work, empty
from embedsearch.indexing.changes import look
from embedsearch.indexing.dedupe import Seen
from embedsearch.modalities import modality_of
from embedsearch.records import Content, Entry, Record, Rejected, Sentence, Span, Unit, unbroken
from embedsearch.splitters.words import sentences, words
from embedsearch.store import source_state
from embedsearch.store.build import Build

# Records read ahead of the model. Texts: enough to sort by length. Pictures: each takes megabytes.
CHUNK = {Unit.TEXT: 2048, Unit.WORD: 512, Unit.TOKEN: 512, Unit.IMAGE: 256}
BROKEN = "its text, fields or file name hold a broken character, which no UTF-8 file can hold"


class Before:
    """The build before, as far as its vectors serve again: the encoder is the same."""

    def __init__(self, build: Build) -> None:
        self.build = build
        self.source_state = build.source_state
        # what its encoder could not use is not tried again
        self.rejected: dict[int, list[Rejected]] = {}
        for each in build.rejected():
            if each.get("entry") is not None:
                told = Rejected(each["id"], each["reason"])
                self.rejected.setdefault(each["entry"], []).append(told)

    def place(self, at: int) -> tuple[int, int]:
        """Return the rows `[start, end)` of a record's vectors."""
        return int(self.source_state.starts[at]), int(self.source_state.starts[at + 1])

    def identity(self, at: int) -> str:
        """Return the id of a record; of one without vectors, how it was listed."""
        start, end = self.place(at)
        if start == end:
            told = self.rejected.get(at)
            return told[0].id if told else "?"
        row = self.build.read([start], ["id", "start"])
        return row["id"][0] if row["start"][0] is None else str(row["id"][0]).rpartition("#")[0]

    def spoken(self, rows: Sequence[int]) -> Iterator[tuple[str, str | None, Span | None]]:
        """Yield the identity, the text and the span of items."""
        columns = self.build.read(rows, ["id", "text", "start", "end"])
        for identity, text, start, end in zip(*columns.values(), strict=True):
            yield identity, text, None if start is None else (start, end)


def read(source: Iterator[Entry], encoder: Encoder, before: Before | None, earlier: Seen | None) -> Work:
    """Take the next entries off the source; what has no vector yet is prepared for the model."""
    unit = encoder.spec.unit
    entries = list(islice(source, CHUNK[unit]))
    described = [source_state.describe(entry) for entry in entries]
    inputs: list[Input] = []
    rows: list[tuple[int, ...]] = []
    rejected: list[tuple[Rejected, int | None]] = []
    for each in look(entries, described, before.source_state if before else None):
        if isinstance(each, Rejected):
            rejected.append((each, None))
            continue
        record, seen = each
        at = len(rows)
        if _is_broken(record):
            rows.append(source_state.row(seen.described, seen.hash))
            rejected.append((Rejected(record.id, BROKEN), at))
            continue
        if before is not None and seen.source >= 0:
            rows.append(source_state.row(seen.described, seen.hash, before.source_state.entries[seen.source]))
            rejected += [(told, at) for told in before.rejected.get(seen.source, ())]
            inputs.append(Input(record, at, record.content, 0, seen.hash, before.place(seen.source)))
            continue
        rows.append(source_state.row(seen.described, seen.hash))
        try:
            inputs.extend(_inputs(record, unit, at, seen.hash))
        except ItemError as error:
            rejected.append((Rejected(record.id, str(error)), at))
    work = Work(empty(len(entries), encoder.dimension, rows), [], [], [])
    work.chunk.digest = source_state.digest(described)
    work.chunk.rejected = rejected
    _prepare(work, inputs, encoder, earlier)
    work.chunk.rejected = [
        (Rejected(unbroken(told.id), unbroken(told.reason)), entry) for told, entry in work.chunk.rejected
    ]
    return work


def _is_broken(record: Record) -> bool:
    held = (record.id, record.content, *record.fields, *record.fields.values())
    return any(isinstance(each, (str, Path)) and unbroken(str(each)) != str(each) for each in held)


def _prepare(work: Work, inputs: Sequence[Input], encoder: Encoder, earlier: Seen | None) -> None:
    """Prepare what has no vector yet, each different input once; what can't be is rejected."""
    chunk = work.chunk
    new = [each for each in inputs if each.old is None]
    found = earlier.find([each.hash for each in new]) if earlier and new else ()
    for each, known in zip(new, found, strict=False):
        if known is not None:
            each.again, truncated = known
            chunk.source_state["truncated"][each.entry] += truncated
    first: dict[object, int] = {}
    numbers: list[int] = []
    contents: list[Content | Sentence] = []
    for each in inputs:
        if each.old is not None or each.again >= 0:
            numbers.append(-1)
            continue
        # a picture is told by its hash, a text by itself
        told = each.hash if encoder.spec.unit is Unit.IMAGE else each.content
        number = first.setdefault(told, len(contents))
        if number == len(contents):
            contents.append(each.content)
        numbers.append(number)
    outcomes = encoder.prepare(contents) if contents else []
    places: dict[int, int] = {}
    for number, source_input in zip(numbers, inputs, strict=True):
        place = -1
        if number >= 0:
            outcome = outcomes[number]
            if isinstance(outcome, ItemError):
                chunk.rejected.append((Rejected(source_input.id(None), str(outcome)), source_input.entry))
                continue
            chunk.source_state["truncated"][source_input.entry] += outcome.truncated
            chunk.source_state["lost"][source_input.entry] += outcome.lost
            if number not in places:
                places[number] = len(work.prepared)
                work.prepared.append(outcome)
            place = places[number]
        work.inputs.append(source_input)
        work.which.append(place)


def _inputs(record: Record, unit: Unit, entry: int, content_hash: str) -> Iterator[Input]:
    """Yield what the encoder reads of one record: itself, or each of its sentences."""
    modality = modality_of(unit).modality
    if record.modality is not modality:
        raise ItemError(f"the source gives a {record.modality}, the unit {unit} needs a {modality}")
    if unit in (Unit.TEXT, Unit.IMAGE):
        yield Input(record, entry, record.content, 0, content_hash)
        return
    text = str(record.content)
    found = False
    for start, end in sentences(text):
        sentence = text[start:end]
        spans = words(sentence)
        if spans:
            found = True
            content = Sentence(sentence, spans if unit is Unit.WORD else None)
            yield Input(record, entry, content, start, content_hash)
    if not found:
        raise ItemError("the text holds no word")
