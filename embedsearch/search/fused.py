"""What was found, before hits are made of it: in one place, or in two as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from embedsearch.distances.scale import Scale
from embedsearch.distances.verdict import Judgement, Verdict
from embedsearch.records import Span
from embedsearch.store.build import Records


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What was found in one place.

    Attributes:
        place: its name, for `Hit.found_by`; empty where only one place was looked in.
        distances: ascending.
        rows: of the same length.
        scale: of the distances; None where they have none.
        judgement: on the whole.
        is_labelled: whether the hits may have percentiles, labels and scores.
    """

    place: str
    distances: list[float]
    rows: list[int]
    scale: Scale | None
    judgement: Judgement
    is_labelled: bool = True


@dataclass(slots=True, eq=False)  # a frozen one takes five times as long to make
class Candidate:
    """An item that may become a hit. It is not changed once it is made.

    Attributes:
        row: the item.
        distance: how far it is, in the place where it was found.
        looked: that place.
        copies: how many others of the same content it stands for.
        score: by which it was re-ranked, larger is better; None where it was not.
        lit: the spans of its text that answer the query best; empty where it was not re-ranked by tokens.
        bm25: its score by words; None where words were not searched.
        fused: its score by vector and words together; None where words were not searched.
        found_by: what found it, for `Hit.found_by`; empty for the place.
    """

    row: int
    distance: float
    looked: Looked
    copies: int = 0
    score: float | None = None
    lit: tuple[Span, ...] = ()
    bm25: float | None = None
    fused: float | None = None
    found_by: str = ""


def fused(places: Sequence[Looked], records: Records | None = None) -> list[Candidate]:
    """Return what was found in order: nearest first, or from two places the highest percentile first.

    Distances of two places can't be compared, percentiles can. An item, or a record of several, is there
    once, where its percentile is the highest.
    """
    if len(places) == 1:
        (looked,) = places
        return [Candidate(row, far, looked) for far, row in zip(looked.distances, looked.rows, strict=True)]
    best: dict[int, tuple[float, Candidate]] = {}
    for looked in places:
        assert looked.scale is not None  # distances of two places are compared by their scales alone
        shares = looked.scale.pairs.percentiles(looked.distances).tolist()
        owners = looked.rows if records is None else records.of(looked.rows).tolist()
        for row, far, share, owner in zip(looked.rows, looked.distances, shares, owners, strict=True):
            if owner not in best or (best[owner][0], best[owner][1].distance) > (-share, far):
                best[owner] = -share, Candidate(row, far, looked)
    ranked = sorted(best.values(), key=lambda each: (each[0], each[1].distance, each[1].row))
    return [candidate for _, candidate in ranked]


def judged(places: Sequence[Looked]) -> tuple[Looked, Judgement]:
    """Return the place whose judgement is that of the whole, and the judgement with the rates of all.

    An answer is close where one of them is, and nothing is close where that is so in all; the rates of
    unrelated queries are added, which is the most that they can be together.
    """
    every = [each.judgement for each in places]
    closest = (
        each for verdict in (Verdict.CLOSE, None) for each in places if each.judgement.verdict is verdict
    )
    decisive = next(closest, places[0])
    if decisive.judgement.verdict is None:
        return decisive, decisive.judgement
    rates = [each.foreign_rate for each in every if each.foreign_rate is not None]
    limits = [each.limit for each in every if each.limit is not None]
    rate, limit = min(1.0, sum(rates)), min(limits, default=None)
    return decisive, replace(decisive.judgement, foreign_rate=rate, limit=limit)
