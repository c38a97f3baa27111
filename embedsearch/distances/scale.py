"""The distance scale of an index: a percentile and a label for a distance, and a verdict for an answer.

A distance means nothing by itself: 0.4 is near in one index and far in another. A scale holds distances of
the index to compare with: those of random pairs of items, of items to their nearest neighbours, and of
unrelated queries (the background) to what they find.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedsearch.disk.npy import load_arrays
from embedsearch.errors import IndexDamagedError

Numbers = npt.NDArray[np.float32]

# An answer is as close as its three nearest hits, and the nearest counts most: one lucky hit is no answer,
# and one good hit that stands alone is not lost.
WEIGHTS = (3, 2, 1)
# The rate of unrelated queries that may find something as close; chosen by tests.benchmarks.nothing_close.
FOREIGN_RATE = 0.17
# Where items are closer to one another than unrelated queries come, the limit moves towards them by this
# share.
TOWARDS_ITEMS = 0.4
FAR_ITEMS = 0.95  # share of items whose nearest lie within the distance that the limit moves towards
KEPT = 500  # distances of pairs that are stored
AT_MOST = (0.0025, 0.005)  # share of random pairs that may be called (very) similar
SAME = 1e-3  # share of the median distance of random pairs that counts as identical
ROUNDING = 1e-6  # a distance that float32 can't tell from 0


class Verdict(StrEnum):
    """Whether an answer is close to its query."""

    CLOSE = "close"
    NOTHING_CLOSE = "nothing_close"


class Closeness(StrEnum):
    """A label for a distance, from near to far; see `Scale.labels`."""

    SAME = "the same"
    VERY_SIMILAR = "very similar"
    SIMILAR = "similar"
    RELATED = "related"
    LOOSELY = "loosely related"
    UNRELATED = "unrelated"


@dataclass(frozen=True)
class Scale:
    """The distance scale of an index. All arrays are float32 and ascending.

    Attributes:
        pairs: distances of random pairs of different items, (p,): some of them, all different.
        shares: share of random pairs (0 to 1) that are no farther apart than each of `pairs`, (p,).
        nearest: distances of items to their nearest other item, (m,); empty for texts that find images, as no
            item is a query there.
        answers: how close the other items are that items find, see `closeness_of`, (m,); empty likewise.
        foreign: the same for unrelated queries, (b,); empty without a background.
        people: human scores as a step function, (2, s): distances, and the score of pairs of that distance or
            more; (2, 0) without human scores.
    """

    pairs: Numbers
    shares: Numbers
    nearest: Numbers
    answers: Numbers
    foreign: Numbers
    people: Numbers

    def percentile(self, distance: float) -> float:
        """Return the percent (0 to 100) of random pairs that are farther apart."""
        return self.percentiles([distance])[0]

    def percentiles(self, distances: Sequence[float]) -> list[float]:
        """Return the percentile of each distance."""
        found: list[float] = percentiles(np.asarray(distances), self.pairs, self.shares).tolist()
        return found

    def _pair(self, share: float) -> float:
        """Return the distance that this share of random pairs does not exceed."""
        return float(np.interp(share, self.shares, self.pairs))

    @cached_property
    def labels(self) -> tuple[tuple[float, Closeness], ...]:
        """The largest distance of each label but the last, ascending.

        `the same`: hardly any distance. `very similar`: as near as half of the items have their nearest.
        `similar`: as near as 95 percent of the items have their nearest. `related` and `loosely related`:
        nearer than 99 and than 90 percent of random pairs. `very similar` and `similar` are also nearer than
        99.75 and than 99.5 percent of random pairs, so that they mean more where items lie far apart. Pairs
        of copies are not counted.
        """
        near = np.quantile(self.nearest, (0.5, FAR_ITEMS)) if len(self.nearest) else (-np.inf, -np.inf)
        same = max(SAME * self._pair(0.5), ROUNDING) if self.pairs[0] >= 0 else -np.inf
        # copies say nothing of what is related
        copies = float(np.interp(same, self.pairs, self.shares, left=0))
        # in an index of few items no pair is within so small a share
        first = float(self.pairs[np.argmax((self.shares > 0) & (self.pairs > same))])

        def apart(share: float) -> float:
            return self._pair(copies + share * (1 - copies))

        ends = [
            same,
            *(min(end, max(apart(share), first)) for end, share in zip(near, AT_MOST, strict=True)),
            apart(0.01),
            apart(0.1),
        ]
        return tuple(zip(np.maximum.accumulate(ends).tolist(), list(Closeness)[:-1], strict=True))

    def label(self, distance: float) -> Closeness:
        """Return the label of a distance; a smaller distance never gets a weaker one."""
        return next((label for end, label in self.labels if distance <= end), Closeness.UNRELATED)

    def human_score(self, distance: float) -> float | None:
        """Return the human score of pairs at a distance; None without human scores."""
        if not self.people.shape[1]:
            return None
        return float(np.interp(distance, self.people[0], self.people[1]))

    @cached_property
    def limit(self) -> float | None:
        """The largest distance of an answer that counts as close; None without a background.

        `FOREIGN_RATE` of unrelated queries find something within it; it is smaller where items find others
        much closer.
        """
        if not len(self.foreign):
            return None
        reached = float(np.quantile(self.foreign, FOREIGN_RATE))
        if not len(self.answers):
            return reached
        items = float(np.quantile(self.answers, FAR_ITEMS))
        return min(reached, reached + TOWARDS_ITEMS * (items - reached))

    @property
    def stated_rate(self) -> float | None:
        """The rate (0 to 1) of unrelated queries that find something close; None without a background."""
        return None if self.limit is None else self.rate(self.limit)

    def rate(self, closeness: float) -> float:
        """Return how often (0 to 1) an unrelated query finds something as close."""
        return float(np.searchsorted(self.foreign, closeness, side="right") / len(self.foreign))

    def verdict(self, distances: Sequence[float]) -> tuple[Verdict, float] | None:
        """Judge an answer by its distances, ascending.

        Returns:
            The verdict, and the rate (0 to 1) of unrelated queries that find something as close; None without
            a background.
        """
        if self.limit is None:
            return None
        if not len(distances):
            return Verdict.NOTHING_CLOSE, 1.0
        closeness = float(closeness_of(np.array([distances[: len(WEIGHTS)]], np.float32))[0])
        verdict = Verdict.CLOSE if closeness <= self.limit else Verdict.NOTHING_CLOSE
        return verdict, self.rate(closeness)

    def save(self, path: Path) -> None:
        """Write the scale to an .npz file."""
        np.savez(
            path,
            pairs=self.pairs,
            shares=self.shares,
            nearest=self.nearest,
            answers=self.answers,
            foreign=self.foreign,
            people=self.people,
        )

    @classmethod
    def load(cls, path: Path) -> Scale:
        """Read a scale.

        Raises:
            IndexDamagedError: the file is no scale.
        """
        try:
            arrays = load_arrays(path)
            return cls(**{name: arrays[name] for name in cls.__dataclass_fields__})
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise IndexDamagedError(f"{path} can't be read as a scale: {error}.") from None


def closeness_of(nearest: Any) -> Numbers:
    """Return how close answers are: the mean of their first three distances, weighted 3, 2, 1.

    Args:
        nearest: distances (q, k) ascending; further columns do not count.

    Returns:
        (q,) float32.
    """
    counted = np.asarray(nearest, np.float32)[:, : len(WEIGHTS)]
    weights = np.array(WEIGHTS[: counted.shape[1]], np.float32)
    closeness: Numbers = counted @ (weights / weights.sum())  # (q, 3) (3,) -> (q,)
    return closeness


def pairs_and_shares(apart: Numbers) -> tuple[Numbers, Numbers]:
    """Return `Scale.pairs` and `Scale.shares` of the distances of random pairs, (n,) in any order.

    All of the nearest pairs are kept, and some of the others, which may be a million. From the distance 0 the
    share grows linearly to that of the nearest pair.
    """
    pairs, counts = np.unique(apart, return_counts=True)
    shares = np.cumsum(counts) / len(apart)
    kept = np.unique([*range(min(KEPT, len(pairs))), *np.linspace(0, len(pairs) - 1, KEPT).astype(int)])
    pairs, shares = pairs[kept], shares[kept]
    if pairs[0] > 0:
        pairs, shares = np.concatenate([[0], pairs]), np.concatenate([[0], shares])
    return pairs.astype(np.float32), shares.astype(np.float32)


def percentiles(far: float | Numbers, pairs: Numbers, shares: Numbers) -> Numbers:
    """Return the percent (0 to 100) of random pairs that are farther apart than each distance.

    Args:
        far: distances, of any shape.
        pairs: see `Scale.pairs`, (p,).
        shares: see `Scale.shares`, (p,).

    Returns:
        float32 of the shape of `far`, interpolated between pairs.
    """
    return np.asarray(100 * (1 - np.interp(far, pairs, shares, left=0)), np.float32)


def percentile_phrase(closeness: Closeness, percentile: float) -> str:
    """Return a percentile as half a sentence that agrees with the label."""
    if closeness is Closeness.UNRELATED:
        nearer = math.ceil(100 - percentile)
        return f"{nearer} % of random pairs are closer"
    return f"closer than {shown_percentile(percentile)} % of random pairs"


def shown_percentile(percentile: float) -> str:
    """Return a percentile as text, rounded down."""
    if percentile >= 99.99:
        return "99.99"
    digits = 2 if percentile >= 99 else 1 if percentile >= 90 else 0
    return f"{np.floor(percentile * 10**digits) / 10**digits:.{digits}f}"
