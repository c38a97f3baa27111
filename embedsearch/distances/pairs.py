"""Random pairs, which distances are compared with: a percentile, and a label that rests on it alone.

A distance means nothing by itself: 0.4 is near in one index and far in another. Its percentile says how many
random pairs are farther apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float32]

KEPT = 500  # distances of pairs that are stored
FEW_ITEMS = 200  # under so many items, random pairs of them say nothing
LEAST_PAIRS = 1000  # of general texts, for a label
SAME = 1e-3  # share of the median distance of random pairs that counts as identical
ROUNDING = 1e-6  # a distance that float32 can't tell from 0


class Closeness(StrEnum):
    """A label for a distance, from near to far; see `Pairs.labels`."""

    SAME = "the same"
    VERY_SIMILAR = "very similar"
    SIMILAR = "similar"
    RELATED = "related"
    LOOSELY = "loosely related"
    NOT_CLOSE = "not close"  # in an answer of which the verdict says that nothing is close
    UNRELATED = "unrelated"


# the largest share of random pairs that are as near as a distance of each label; chosen by
# tests.benchmarks.stsb_words
AT_MOST = {
    Closeness.VERY_SIMILAR: 0.0005,
    Closeness.SIMILAR: 0.0025,
    Closeness.RELATED: 0.01,
    Closeness.LOOSELY: 0.1,
}


@dataclass(frozen=True, eq=False)
class Pairs:
    """The distances of random pairs.

    Attributes:
        distances: some of the distances, ascending, all different, (p,) float32.
        shares: share of all pairs (0 to 1) that are no farther apart than each, (p,) float32.
        compared: the number of all pairs.
        of: where they are from, for people, such as "general sentences"; empty for the index's own.
        general: whether they are of general things, and not of an index's items, which may be few.
        strongest: the label that the nearest get, where no stronger one is warranted.
    """

    distances: Numbers
    shares: Numbers
    compared: int
    of: str = ""
    general: bool = False
    strongest: Closeness = Closeness.SAME

    @cached_property
    def enough(self) -> bool:
        """Whether a label can rest on them."""
        return self.compared >= (LEAST_PAIRS if self.general else FEW_ITEMS * (FEW_ITEMS - 1) // 2)

    @cached_property
    def note(self) -> str:
        """A sentence that says where they are from if not from the index, or why there are no labels."""
        if not self.enough:
            return (
                f"Hits have no labels: the index has under {FEW_ITEMS} items, too few to measure random "
                "pairs. For images and sounds, measure pairs of others: "
                "embedsearch calibrate NAME --foreign FOLDER."
            )
        few = f"The random pairs are of {self.of}, as the index has under {FEW_ITEMS} items."
        return few if self.of else ""

    def percentiles(self, far: Sequence[float] | Numbers) -> Numbers:
        """Return the percent (0 to 100) of random pairs that are farther apart than each distance.

        Args:
            far: distances, of any shape.

        Returns:
            float32 of the shape of `far`, interpolated between pairs.
        """
        return np.asarray(100 * (1 - np.interp(far, self.distances, self.shares, left=0)), np.float32)

    def percentile(self, distance: float) -> float:
        """Return the percentile of one distance."""
        return float(self.percentiles([distance])[0])

    def distances_at(self, percentiles: Sequence[float] | Numbers) -> Numbers:
        """Return the distance of each percentile, the inverse of `percentiles`, float32 of the same shape."""
        shares = 1 - np.asarray(percentiles, np.float64) / 100
        return np.asarray(np.interp(shares, self.shares, self.distances), np.float32)

    @cached_property
    def same(self) -> float:
        """The largest distance of what is the same; without end below for inner products, which have none."""
        return max(SAME * self._pair(0.5), ROUNDING) if self.distances[0] >= 0 else -np.inf

    @cached_property
    def labels(self) -> tuple[tuple[float, Closeness], ...]:
        """The largest distance of each label but the farthest, ascending; none where pairs are too few.

        `the same`: hardly any distance. All others rest on the share of random pairs that are as near, see
        `AT_MOST`; pairs of copies are not counted, as they say nothing of what is related.
        """
        if not self.enough:
            return ()
        copies = float(np.interp(self.same, self.distances, self.shares, left=0))
        ends = [self.same, *(self._pair(copies + share * (1 - copies)) for share in AT_MOST.values())]
        names = [Closeness.SAME, *AT_MOST]
        labels = zip(np.maximum.accumulate(ends).tolist(), names, strict=True)
        return tuple(labels)[names.index(self.strongest) :]

    def label(self, distance: float) -> Closeness | None:
        """Return the label of a distance, no weaker at a smaller distance; None where pairs are too few."""
        for end, label in self.labels:
            if distance <= end:
                return label
        return Closeness.UNRELATED if self.enough else None

    def histogram(self, edges: Numbers) -> Numbers:
        """Return the share of the pairs in each bin; nearer pairs count to the first bin.

        Args:
            edges: of the bins, ascending, (b + 1,).

        Returns:
            (b,) float32; the sum is 1 if no pair is farther apart than the last edge.
        """
        reached = np.interp(edges, self.distances, self.shares)
        reached[0] = 0
        return np.diff(reached).astype(np.float32)  # (b + 1,) -> (b,)

    def _pair(self, share: float) -> float:
        """Return the distance that this share of random pairs does not exceed."""
        return float(np.interp(share, self.shares, self.distances))


def not_close(label: Closeness | None) -> Closeness | None:
    """Return a hit's label where the verdict is that nothing is close, so that the two do not contradict."""
    return label if label in (None, Closeness.UNRELATED) else Closeness.NOT_CLOSE


def pairs_of(apart: Numbers, of: str = "", *, general: bool = False) -> Pairs:
    """Return the random pairs of these distances, (n,) in any order.

    All of the nearest pairs are kept, and some of the others, which may be a million. From the distance 0 the
    share grows linearly to that of the nearest pair.
    """
    near, counts = np.unique(apart, return_counts=True)
    shares = np.cumsum(counts) / len(apart)
    kept = np.unique([*range(min(KEPT, len(near))), *np.linspace(0, len(near) - 1, KEPT).astype(int)])
    near, shares = near[kept], shares[kept]
    if near[0] > 0:
        near, shares = np.concatenate([[0], near]), np.concatenate([[0], shares])
    return Pairs(near.astype(np.float32), shares.astype(np.float32), len(apart), of, general)


def percentile_phrase(label: Closeness, percentile: float) -> str:
    """Return a percentile as half a sentence that agrees with the label."""
    if label in (Closeness.NOT_CLOSE, Closeness.UNRELATED):
        return f"{shown_nearer(percentile)} % of random pairs are closer"
    return f"closer than {shown_percentile(percentile)} % of random pairs"


def shown_percentile(percentile: float) -> str:
    """Return a percentile as text, rounded down, and never 100."""
    if percentile >= 99.99:
        return "99.99"
    digits = 2 if percentile >= 99 else 1 if percentile >= 90 else 0
    # float32 has 7 digits, so 99.95 may be held as 99.94999
    return f"{math.floor(round(percentile * 10**digits, 2)) / 10**digits:.{digits}f}"


def shown_nearer(percentile: float) -> str:
    """Return the percent of random pairs that are as near, as text, rounded up; never 0 and never 100."""
    nearer = max(100 - percentile, 0.01)
    digits = 2 if nearer < 1 else 1 if nearer < 10 else 0
    return f"{min(math.ceil(round(nearer * 10**digits, 3)) / 10**digits, 99):.{digits}f}"
