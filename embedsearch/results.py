"""What a search returns."""

from __future__ import annotations

import csv
import json
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

from embedsearch.distances.metric import Metric
from embedsearch.distances.pairs import Closeness
from embedsearch.distances.verdict import Verdict
from embedsearch.errors import MissingExtraError, UsageError
from embedsearch.query import TOKENS, Mode
from embedsearch.records import HEADING_PATH, LABEL, PAGE, Content, Modality, Span, Value, as_text

if TYPE_CHECKING:
    import pyarrow as pa


DISTANCE, DIVERSE = "distance", "diverse"  # orders of hits
CAPTION = "caption"  # what found a hit, where a text is compared with captions too


def order_sentences(results: Results) -> list[str]:
    """Return sentences on what was searched, and on the order of the hits."""
    found = "vectors"
    if results.mode == "hybrid" and results.weight is not None:
        found = f"vectors ({100 * results.weight:.0f} %) and words ({100 - 100 * results.weight:.0f} %)"
    elif results.mode == "lexical":
        found = "words (BM25)"
    said = [f"Searched by {found}."]
    if results.feedback:
        said.append("The mean of the first 3 hits was added to the query.")
    if results.order == TOKENS:
        said.append("The first hits are re-ranked by their tokens.")
    elif results.order == DIVERSE:
        said.append("Each hit is near the query and unlike the hits before it.")
    elif any(hit.rerank_score is not None for hit in results):
        said.append(f"The first hits are re-ranked by {results.order}.")
    elif results.order == results.mode == "hybrid":
        said.append("The order is by both, not by distance alone.")
    elif results.order == results.mode == "lexical":
        said.append("The order is by BM25, not by distance.")
    elif results.order != DISTANCE:
        descends = ", descending" if results.order.startswith("-") else ""
        said.append(f"Sorted by {results.order.removeprefix('-')}{descends}.")
    elif any(hit.found_by == CAPTION for hit in results) and any(
        before.distance > after.distance for before, after in pairwise(results)
    ):
        said.append(
            "Distances to images and to captions are of two scales: the hits are in the order of their "
            "percentiles."
        )
    return said


def found_by_phrase(found_by: str) -> str:
    """Return the words that say what found a hit, by `Hit.found_by`."""
    known = {
        "vector": "found by its vector",
        "lexical": "found by its words",
        "both": "found by vector and words",
    }
    return known.get(found_by, f"found by its {found_by}")


def _renamed(old: str, new: str) -> property:
    """Return a property of 0.6 that warns and reads the attribute that replaces it."""

    def value(hit: Hit) -> Any:
        warnings.warn(
            f"Hit.{old} is now Hit.{new}; the old name goes with 1.0.",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(hit, new)

    return property(value, doc=f"The name of `{new}` in 0.6.")


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a long text.

    Attributes:
        text: what it says.
        span: its `[start, end)` in the whole text, in characters.
        page: the page of a document on which it begins, from 1; None without pages.
        heading: the headings above it, as in "Usage > Options"; empty without.
    """

    text: str
    span: tuple[int, int]
    page: int | None = None
    heading: str = ""

    @classmethod
    def of(cls, text: str, span: Span | None, fields: Mapping[str, Value]) -> Self | None:
        """Return the passage that an item is; None for an item without a span, which is a whole text."""
        if span is None:
            return None
        page, heading = fields.get(PAGE), fields.get(HEADING_PATH)
        return cls(text, span, page if isinstance(page, int) else None, str(heading or ""))


@dataclass(slots=True)  # a frozen one takes seven times as long to make, a tenth of a search
class Hit:
    """One item that a search found.

    Attributes:
        rank: from 1; 0 for an item that was not searched for.
        id: the item's identity.
        row: the item's row in this build; it changes from build to build.
        distance: to the query, in the metric of the results; smaller is more related.
        similarity: the same, larger is more related; see `embedsearch.distances.metric.similarity`.
        modality: what the item is, `text` or `image` for example.
        text: the text, or the nearest passage of a long one, or the sentence that holds the word; None for
            what is not a text.
        path: the item's file; None where it has none of its own.
        span: the word's `[start, end)` in `text`; None for anything but words and tokens.
        fields: the item's other columns, by name.
        image: the bytes of an image that has no file of its own.
        percentile: percent (0 to 100) of random pairs of the index that are farther apart; None where the
            index has no scale.
        label: a word for the distance; None where the index has no scale, or too few random pairs.
        human_score: the score that people would give, where the index was calibrated with judgements; else
            None.
        unknown: share (0 to 1) of its text that the model does not know. Over a third the hit has no
            percentile, no label and no score.
        found_by: `image` or `caption` where a text was compared with both: the distance is to that one. In
            the modes `lexical` and `hybrid` what found it: `vector`, `lexical` (its words) or `both`. Else
            empty.
        copies: how many other items with the same content were found and are not among the hits; 0
            where copies are not folded.
        moment: for a sound or a video, the nearest stretch of time, start and end in seconds; None for
            anything else.
        rerank_score: by which it was re-ranked, larger is better: of tokens the weighted mean of their
            largest cosines, which orders it together with its distance or its score by words; of a
            cross-encoder its own score; None where it was not.
        lit: `[start, end)` in `text` of the tokens that answer the query best, where it was re-ranked by
            tokens.
        bm25: how well its words answer the query, 0 or more, larger is better; None where words were not
            searched.
        passage: of a long text that is split, the nearest passage; None for anything else.
    """

    rank: int
    id: str
    row: int
    distance: float
    similarity: float
    modality: Modality
    text: str | None
    path: str | None
    span: tuple[int, int] | None
    fields: dict[str, Value]
    image: bytes | None = None
    percentile: float | None = None
    label: Closeness | None = None
    human_score: float | None = None
    unknown: float = 0.0
    found_by: str = ""
    copies: int = 0
    moment: tuple[float, float] | None = None
    rerank_score: float | None = None
    lit: tuple[tuple[int, int], ...] = ()
    bm25: float | None = None
    passage: Passage | None = None

    closeness = _renamed("closeness", "label")
    score = _renamed("score", "human_score")
    picture = _renamed("picture", "image")

    @property
    def is_gone(self) -> bool:
        """Whether the item has a file, and that is no longer there; it is looked up now."""
        # `Path.exists` raises where a folder above may not be entered
        return self.path is not None and not os.path.exists(self.path)  # noqa: PTH110

    @property
    def item(self) -> str:
        """The id of the item that was found: of a moment that of its record, with `#` and the millisecond.

        Of a passage, with `#` and its first character.
        """
        if self.passage is not None:
            return f"{self.id}#{self.passage.span[0]}"
        return self.id if self.moment is None else f"{self.id}#{round(1000 * self.moment[0])}"

    @property
    def content(self) -> Content | None:
        """The item itself: its text (str), its file (`Path`) or its bytes; None for a vector alone."""
        if self.text is not None:
            return self.text
        if self.image is not None:
            return self.image
        return None if self.path is None else Path(self.path)


@dataclass(frozen=True, slots=True)
class Vote:
    """What neighbours say that a query is, by their labels.

    Attributes:
        value: the most frequent label; if two are as frequent, the one of the nearer neighbour.
        counts: how many have each label, most first.
    """

    value: str
    counts: dict[str, int]

    @classmethod
    def of(cls, labels: Iterable[str | None]) -> Self | None:
        """Count labels, those of the nearest first; None where none is there."""
        counts = dict(Counter(label for label in labels if label is not None).most_common())
        return cls(next(iter(counts)), counts) if counts else None

    @property
    def count(self) -> int:
        """How many have the winning label."""
        return self.counts[self.value]

    @property
    def total(self) -> int:
        """How many have a label."""
        return sum(self.counts.values())


# of each field its values, with the number of items that have them; None stands for no value
Facets = dict[str, list[tuple[Value | None, int]]]
EXPORTS = (".csv", ".jsonl", ".parquet")

# the columns of `Results.to_arrow` before the fields
_COLUMNS = (
    ("rank", "int64"), ("id", "string"), ("row", "int64"), ("distance", "double"), ("similarity", "double"),
    ("percentile", "double"), ("label", "string"), ("human_score", "double"), ("modality", "string"),
    ("text", "string"), ("path", "string"), ("image", "binary"), ("found_by", "string"), ("bm25", "double"),
    ("rerank_score", "double"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Results(Sequence[Hit]):
    """The hits of one query, nearest first, and whether any of them is close. A sequence of `Hit`.

    Where a text was compared with images and with their captions, whose distances are of two scales, the hits
    are in the order of their percentiles. In the mode `lexical` they are in the order of `bm25`, in the mode
    `hybrid` in that of both scores; the verdict rests on the vectors in each mode.

    Attributes:
        hits: the same, as a list.
        metric: the distance of the hits.
        verdict: `close` or `nothing_close`; None where that can't be said.
        foreign_rate: how often (0 to 1) an unrelated query finds something as close; None where there is no
            verdict.
        reason: a sentence: what the verdict rests on, or why there is none; empty where the index has no
            scale.
        note: a sentence that says where the random pairs are from if not from the index, or why the hits have
            no labels; else empty.
        by: what let a text find images, or an image texts: `towers`, `conse` or `align`, see
            `embedsearch.crossmodal`. The distances are those of its space then. Else empty.
        limit: the largest closeness that is close, where closeness is the mean of the three smallest
            distances, weighted 3, 2, 1; None without a verdict.
        truncated: whether a text of the query is longer than the model reads, so that its end did not count.
        unknown: share (0 to 1) of a text of the query that the model does not know, so that it did not count;
            the largest of several. Over a third no hit has a percentile, a label or a score, and there is no
            verdict.
        close: whether the hits are all that lies within the limit, and not the `k` nearest.
        found: how many items were found; the hits are the first of them. Without `close` that is as many.
        order: what the hits are ordered by: `distance`, `lexical` or `hybrid` (see `mode`), `diverse`,
            `tokens`, the name of a model that re-ranked them, or the field that they were sorted by, with `-`
            before it where they descend.
        feedback: whether the first hits of a first search were added to the query.
        facets: of each field asked for its values, with the number of items found that have them, the most
            frequent first; None stands for no value.
        mode: what was searched: `vector`, `lexical` (words) or `hybrid` (both).
        weight: of vectors in the mode `hybrid`, 0 to 1; None in the others.
    """

    hits: list[Hit]
    metric: Metric
    verdict: Verdict | None = None
    foreign_rate: float | None = None
    reason: str = ""
    note: str = ""
    by: str = ""
    limit: float | None = None
    truncated: bool = False
    unknown: float = 0.0
    close: bool = False
    found: int = 0
    order: str = DISTANCE
    feedback: bool = False
    facets: Facets = field(default_factory=dict)
    mode: Mode = "vector"
    weight: float | None = None

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    @overload
    def __getitem__(self, at: int) -> Hit: ...
    @overload
    def __getitem__(self, at: slice) -> list[Hit]: ...
    def __getitem__(self, at: int | slice) -> Hit | list[Hit]:
        return self.hits[at]

    def vote(self, field: str = LABEL) -> Vote | None:
        """Return what the hits say that the query is, by a field of theirs; None where none has a value."""
        return Vote.of(
            None if (value := hit.fields.get(field)) is None else as_text(value) for hit in self.hits
        )

    def to_arrow(self) -> pa.Table:
        """Return the hits as an Arrow table, a row each.

        The columns are rank, id, row, distance, similarity, percentile, label, human_score, modality, text,
        path, image (bytes), found_by, bm25 and rerank_score, then `start` and `end` of words and passages
        (characters) and of moments (seconds), then a column for each field. A field whose name is one of
        these is called `fields.NAME`.
        """
        import pyarrow as pa

        columns = {name: pa.array([getattr(hit, name) for hit in self.hits], kind) for name, kind in _COLUMNS}
        for at, name in enumerate(("start", "end")):
            if any(hit.moment for hit in self.hits):
                columns[name] = pa.array([hit.moment and hit.moment[at] for hit in self.hits], pa.float64())
            else:
                spans = [hit.passage.span if hit.passage else hit.span for hit in self.hits]
                columns[name] = pa.array([span and span[at] for span in spans], pa.int64())
        own = set(columns)
        for name in dict.fromkeys(name for hit in self.hits for name in hit.fields):
            values = pa.array([hit.fields.get(name) for hit in self.hits])
            columns[f"fields.{name}" if name in own else name] = values
        return pa.table(columns)

    def to_pandas(self) -> Any:
        """Return the hits as a pandas data frame with the columns of `to_arrow`.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            return self.to_arrow().to_pandas()
        except ImportError:
            raise MissingExtraError(
                "pandas is not installed: pip install pandas, or use to_arrow()."
            ) from None

    def export(self, path: str | Path) -> Path:
        """Write the hits to a file with the columns of `to_arrow`, and return its path.

        A .csv and a .jsonl file hold no bytes of images; a .csv file holds lists as JSON.

        Args:
            path: ends with .csv, .jsonl or .parquet; the file is replaced.

        Raises:
            UsageError: the path ends in another way.
            OSError: the file can't be written.
        """
        to = Path(path)
        if to.suffix.lower() not in EXPORTS:
            raise UsageError(f"Hits are exported to {', '.join(EXPORTS)} files; got {to.name!r:.80}.")
        table = self.to_arrow()
        if to.suffix.lower() == ".parquet":
            from pyarrow import parquet

            parquet.write_table(table, to)
            return to
        rows = table.drop_columns("image").to_pylist()
        with to.open("w", newline="", encoding="utf-8") as file:
            if to.suffix.lower() == ".jsonl":
                file.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
            else:
                writer = csv.writer(file)
                writer.writerow(name for name in table.column_names if name != "image")
                writer.writerows(map(_cell, row.values()) for row in rows)
        return to


def _cell(value: Any) -> Any:
    """Return a value as it stands in a CSV file."""
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list) else value
