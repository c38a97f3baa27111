"""What a search answers with."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from embedsearch.distances.scale import Closeness, Verdict
from embedsearch.records import Modality, Scalar


@dataclass(frozen=True, slots=True)
class Hit:
    """One neighbour.

    Attributes:
        rank: from 1.
        id: the item's identity.
        row: where the item stands in this build; no part of the JSON, as the next build may move it.
        distance: to the query, in the index's metric; smaller is more related.
        modality: `text` or `image`.
        text: the text, or the sentence that holds the word; None for pictures.
        path: the picture's file, where it is one.
        span: the word's `[start, end)` in `text`; None for whole texts and pictures.
        fields: what the source knows of it.
        picture: bytes of a picture that no file of its own holds.
        percentile: percent (0 to 100) of random pairs of the index that are farther apart; None where the
            index has no scale.
        closeness: a word for the distance; None likewise.
        score: what people would score it, where the index was calibrated with judgements; None elsewhere.
    """

    rank: int
    id: str
    row: int
    distance: float
    modality: Modality
    text: str | None
    path: str | None
    span: tuple[int, int] | None
    fields: dict[str, Scalar]
    picture: bytes | None = None
    percentile: float | None = None
    closeness: Closeness | None = None
    score: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the hit as plain JSON values, without its row and the picture's bytes."""
        values = {name: value for name, value in asdict(self).items() if name not in ("row", "picture")}
        values["fields"] = {
            name: value.isoformat() if isinstance(value, date) else value
            for name, value in self.fields.items()
        }
        for name, value in self.fields.items():
            if isinstance(value, float) and not math.isfinite(value):
                values["fields"][name] = None  # JSON has no NaN and no infinity
        values["span"] = list(self.span) if self.span else None
        return values


@dataclass(frozen=True, slots=True)
class Answer:
    """The hits of a query, and whether they are anything to look at.

    Attributes:
        hits: nearest first.
        verdict: `close` or `nothing_close`; None where the index has no background to tell by.
        foreign_rate: how often (0 to 1) an unrelated query finds something as close; None likewise.
        by: what let a text find pictures, or a picture texts: `towers`, `conse` or `align`, see
            `embedsearch.crossmodal`; the distances are of its space then. Empty for what the index holds.
        limit: how far a hit may be to count as close by itself; None without a background.
        truncated: whether a text that texts were asked with is longer than their model reads, and its end did
            not count.
    """

    hits: list[Hit]
    verdict: Verdict | None
    foreign_rate: float | None
    by: str = ""
    limit: float | None = None
    truncated: bool = False

    def is_far(self, hit: Hit) -> bool:
        """Whether a hit is called not close: nothing is, and it is no exception."""
        return self.verdict is Verdict.NOTHING_CLOSE and self.limit is not None and hit.distance > self.limit
