"""Two answers to one query, from two places that are looked in, as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from embedsearch.distances.pairs import not_close
from embedsearch.distances.scale import Scale
from embedsearch.distances.verdict import Verdict
from embedsearch.results import Results


@dataclass(frozen=True, slots=True)
class Looked:
    """The answer from one place.

    Attributes:
        place: its name, for `Hit.found_by`.
        results: what was found there.
        scale: of its distances.
    """

    place: str
    results: Results
    scale: Scale


def fused(answers: Sequence[Looked], k: int) -> Results:
    """Return the `k` items of the highest percentile in any of the answers, each once, highest first.

    Distances of two places can't be compared, percentiles can. An answer is close where one of them is, and
    nothing is close where that is so in all; the rates of unrelated queries are added, which is the most that
    they can be together. Labels agree with the verdict on the whole.
    """
    best: dict[str, tuple[float, float, Looked, int]] = {}
    for looked in answers:
        hits = looked.results.hits
        shares = looked.scale.pairs.percentiles([hit.distance for hit in hits])
        for at, (hit, share) in enumerate(zip(hits, shares, strict=True)):
            if hit.id not in best or best[hit.id][:2] > (-share, hit.distance):
                best[hit.id] = (-share, hit.distance, looked, at)
    ranked = sorted(best.values(), key=lambda each: (*each[:2], each[2].results.hits[each[3]].row))[:k]
    every = [looked.results for looked in answers]
    closest = (each for verdict in (Verdict.CLOSE, None) for each in every if each.verdict is verdict)
    judged = next(closest, every[0])
    merged = []
    for rank, (_, _, looked, at) in enumerate(ranked, 1):
        hit = looked.results.hits[at]
        label = hit.label and looked.scale.pairs.label(hit.distance)
        label = not_close(label) if judged.verdict is Verdict.NOTHING_CLOSE else label
        merged.append(replace(hit, rank=rank, label=label, found_by=looked.place))
    rates = [each.foreign_rate for each in every if each.foreign_rate is not None]
    limits = [each.limit for each in every if each.limit is not None]
    if judged.verdict is None:
        return replace(judged, hits=merged)
    return replace(judged, hits=merged, foreign_rate=min(1.0, sum(rates)), limit=min(limits, default=None))
