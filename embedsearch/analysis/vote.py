"""What the neighbours of a test file's words or spans say they are: F1 of their vote, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from embedsearch.backends import Rows
from embedsearch.backends.flat import ready, scan
from embedsearch.distances.metric import Vectors
from embedsearch.encoders import Encoder, Prepared, all_ready, gather
from embedsearch.errors import ItemError, QueryError, SourceError
from embedsearch.modalities import UNITS
from embedsearch.progress import Progress, Silent
from embedsearch.recipe import SourceRecipe
from embedsearch.records import OUTSIDE, Record, Sentence, Span
from embedsearch.results import Vote
from embedsearch.search.searcher import Searcher
from embedsearch.sources import LABELLED, is_labelled, open_source
from embedsearch.sources.guess import guess
from embedsearch.splitters import splitter_of
from embedsearch.store.items import FIELD

SENTENCES = 512  # embedded together
ROWS = 8192  # items that are embedded again together
_Run = tuple[str, int, int]  # a label, the first and the last word that has it


@dataclass(frozen=True, slots=True)
class _Text:
    """A text of the test file.

    Attributes:
        record: it, with its labels.
        parts: where each of its sentences starts, and the sentence with its words.
    """

    record: Record
    parts: list[tuple[int, Sentence]]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A word or span of the test file.

    Attributes:
        text: the number of its text.
        start: where it starts there.
        end: where it ends there.
        has_vector: whether the model could read it.
    """

    text: int
    start: int
    end: int
    has_vector: bool


def vote(
    searcher: Searcher,
    field: str,
    test: Path,
    k: int = 10,
    layers: Sequence[int] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure how well a vote of the `k` nearest items says what the words or spans of a file are.

    A word that the model can't read is said to be `O`. By seqeval's rule: token F1 counts each word (or span)
    that has a label other than `O`; entity F1 counts a span as found if its label, its start and its end are
    right, where neighbouring words of one label are one span. Both are micro-averaged over the labels.

    Args:
        searcher: the open index, of words, tokens or spans.
        field: of its items, which votes.
        test: a file with labelled texts, of any kind that an index can be built from.
        k: how many neighbours vote; of two labels with as many votes the nearer one wins.
        layers: hidden layers that are compared; empty for those of the index. For another layer than the
            index's, its items are embedded again.
        progress: gets the progress reports.

    Returns:
        `test`, `k`, the number of `texts`, `units` and `rejected`, and for each of `layers` its `layers`, and
        `token` and `entity` with `precision`, `recall` and `f1` (0 to 1).

    Raises:
        QueryError: the index is not of words or spans, or has no such field.
        SourceNotFoundError, SourceError: the file is missing, can't be read, or has no labels.
        ModelError: a layer does not exist.
    """
    manifest = searcher.manifest
    if not UNITS[manifest.unit].votes:
        raise QueryError(
            f"--test measures labels of words and spans, and the index {manifest.name!r} holds "
            f"{UNITS[manifest.unit].plural}. Build one with --spans COLUMN or from a .conll file."
        )
    progress = progress or Silent()
    texts, rejected = _read(searcher, test)
    labels = [_label(value) for value in searcher.build.items[FIELD + field].to_pylist()]
    measured = []
    units: list[_Unit] = []
    asked: list[tuple[int, ...]] = [(layer,) for layer in layers]
    for chosen in asked or [manifest.recipe.encoder.layers]:
        own = chosen == manifest.recipe.encoder.layers
        encoder = searcher.encoder if own else searcher.encoder_of(chosen)
        layer = f"layer {','.join(map(str, chosen))}"
        progress.stage(f"{layer}: embedding the texts of {test}", sum(len(text.parts) for text in texts))
        units, vectors = _embedded(encoder, texts, progress)
        if not own:
            progress.stage(f"{layer}: embedding the items of the index again", len(searcher))
        asked_by = searcher.build.placed(vectors) if own else vectors
        rows = _nearest(searcher, None if own else encoder, asked_by, k, progress)
        said = iter(rows)
        found = [_elected(labels, next(said)) if unit.has_vector else OUTSIDE for unit in units]
        measured.append({"layers": list(chosen), **_scores(searcher, texts, units, found)})
    return {
        "test": str(test),
        "k": k,
        "texts": len(texts),
        "units": len(units),
        "rejected": rejected,
        "layers": measured,
    }


def _read(searcher: Searcher, test: Path) -> tuple[list[_Text], int]:
    """Return the texts of a test file, and how many of its entries can't be used."""
    recipe = searcher.manifest.recipe
    kind, location = guess(str(test))
    source = recipe.source
    asked = SourceRecipe(kind, location, encoding=source.encoding)
    if kind not in LABELLED:
        asked = replace(source, kind=kind, location=location, spans=source.spans or "spans")
    split = splitter_of(recipe.encoder.unit, recipe.encoder.splitter)
    if split is None or not is_labelled(asked):
        raise SourceError(f"{test} has no labels.")
    texts, rejected = [], 0
    for entry in open_source(asked):
        if not isinstance(entry, Record) or entry.labels is None:
            rejected += 1
            continue
        rejected += len(entry.labels.rejected)
        try:
            parts = [(start, part) for start, part in split(entry) if isinstance(part, Sentence)]
        except ItemError:  # it holds no word
            rejected += 1
            continue
        texts.append(_Text(entry, parts))
    if not any(text.record.labels.spans for text in texts if text.record.labels):
        raise SourceError(f"{test} has no labelled span, so there is nothing to measure.")
    return texts, rejected


def _embedded(encoder: Encoder, texts: Sequence[_Text], progress: Progress) -> tuple[list[_Unit], Vectors]:
    """Return the words or spans of texts, and the vectors of those that the model can read, (n, d)."""
    units: list[_Unit] = []
    vectors = [np.empty((0, encoder.dimension), np.float32)]
    parts = [(at, start, part) for at, text in enumerate(texts) for start, part in text.parts]
    for first in range(0, len(parts), SENTENCES):
        batch = parts[first : first + SENTENCES]
        prepared = encoder.prepare([part for _, _, part in batch])
        for (at, start, part), each in zip(batch, prepared, strict=True):
            read = () if isinstance(each, ItemError) else each.units or ()
            for span in part.spans if part.spans is not None else read:
                units.append(_Unit(at, start + span[0], start + span[1], span in read))
        good = [each for each in prepared if isinstance(each, Prepared)]
        vectors.append(gather(good, encoder.run(good), encoder.dimension))
        progress.advance(len(batch))
    return units, np.concatenate(vectors)


def _nearest(searcher: Searcher, other: Encoder | None, queries: Vectors, k: int, progress: Progress) -> Rows:
    """Return the rows of the nearest items, (q, k): in the index, or by vectors of another encoder."""
    build, metric = searcher.build, searcher.manifest.metric
    k = min(k, len(searcher))
    if other is not None:
        blocks = (np.arange(at, min(at + ROWS, len(searcher))) for at in range(0, len(searcher), ROWS))

        def again(rows: Rows) -> Vectors:
            made = _again(searcher, other, rows)
            progress.advance(len(rows))
            return made

        return scan(ready(queries, metric), blocks, again, metric, k)[1]
    steps = range(0, len(queries), SENTENCES)
    found = [build.backend.search(queries[at : at + SENTENCES], k)[1] for at in steps]
    return np.concatenate([np.empty((0, k), np.int64), *found])


def _again(searcher: Searcher, encoder: Encoder, rows: Rows) -> Vectors:
    """Embed items again: (m,) ascending rows -> (m, d)."""
    columns = searcher.build.read(rows.tolist(), ["text", "start", "end"])
    sentences: list[Sentence] = []
    for text, group in groupby(zip(*columns.values(), strict=True), key=lambda item: item[0]):
        spans: list[Span] = []
        for _, start, end in group:
            if spans and start < spans[-1][1]:  # the same sentence, in another text
                sentences.append(Sentence(text, tuple(spans)))
                spans = []
            spans.append((start, end))
        sentences.append(Sentence(text, tuple(spans)))
    prepared = all_ready(sentences, encoder.prepare(sentences))
    return gather(prepared, encoder.run(prepared), encoder.dimension)


def _label(value: Any) -> str | None:
    return None if value is None else normalize("NFC", str(value))


def _elected(labels: Sequence[str | None], rows: Rows) -> str:
    """Return the label that most of some rows have, (k,) nearest first; `O` where none has one."""
    vote = Vote.of(labels[row] for row in rows.tolist() if row >= 0)
    return OUTSIDE if vote is None else vote.value


def _scores(
    searcher: Searcher, texts: Sequence[_Text], units: Sequence[_Unit], found: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return the scores of tokens and of entities; `found` are the labels of `units`."""
    token, entity = np.zeros(3, np.int64), np.zeros(3, np.int64)  # right, found, true
    # each span is an entity; neighbouring words of one label are one together
    merges = not UNITS[searcher.manifest.unit].is_labelled
    for at, group in groupby(zip(units, found, strict=True), key=lambda pair: pair[0].text):
        labels = texts[at].record.labels
        words = list(group)
        spans = [labels and labels.span_of(unit.start, unit.end) for unit, _ in words]
        said = ["" if label == OUTSIDE else label for _, label in words]
        true = [_label(span.label) or "" if span else "" for span in spans]
        alone = [range(len(words))] * 2  # first and last word
        token += _counts(zip(said, *alone, strict=True), zip(true, *alone, strict=True))
        runs = [(true[first], first, last) for _, first, last in _runs(spans)]
        entity += _counts(_runs(said) if merges else zip(said, *alone, strict=True), runs)
    entity[2] = sum(len(text.record.labels.spans) for text in texts if text.record.labels)
    return {"token": _f1(*token.tolist()), "entity": _f1(*entity.tolist())}


def _runs(values: Sequence[Any]) -> list[tuple[Any, int, int]]:
    """Return each value of neighbours that are the same, and the numbers of the first and the last."""
    ends = [at for at, value in enumerate(values) if at + 1 == len(values) or values[at + 1] != value]
    starts = [0, *(end + 1 for end in ends)]
    return [(values[end], start, end) for start, end in zip(starts, ends, strict=False)]


def _counts(found: Iterable[_Run], true: Iterable[_Run]) -> tuple[int, int, int]:
    """Return how many are right, found and true, those without a label left out."""
    has, wanted = ({each for each in some if each[0]} for some in (found, true))
    return len(has & wanted), len(has), len(wanted)


def _f1(right: int, found: int, true: int) -> dict[str, float]:
    precision, recall = right / max(found, 1), right / max(true, 1)
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return {"precision": round(precision, 4), "recall": round(recall, 4), "f1": round(f1, 4)}
