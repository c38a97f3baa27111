"""The verdict on an answer: whether it is close to its query, and the sentence that says why.

An answer is held against those of queries that belong to the index (its items, or queries that a person gave)
and of queries that do not (the background).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np

from embedsearch.distances.pairs import FEW_ITEMS, Closeness, Numbers, Pairs, shown_nearer
from embedsearch.errors import QueryError

# An answer is as close as its three nearest hits, and the nearest counts most: one lucky hit is no answer,
# and one good hit that stands alone is not lost.
WEIGHTS = (3, 2, 1)
FOREIGN_RATE = 0.1  # the rate of unrelated queries that may find something as close
# Where items are closer to one another than unrelated queries come, the limit moves towards them by this
# share.
TOWARDS_ITEMS = 0.4
LOST = 0.05  # the rate of queries that belong and may be told that nothing is close
UNMEASURED = "There is no verdict: no unrelated queries were measured in this index."


class Verdict(StrEnum):
    """Whether an answer is close to its query."""

    CLOSE = "close"
    NOTHING_CLOSE = "nothing_close"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is said of an answer as a whole.

    Attributes:
        verdict: whether it is close; None where that can't be said.
        foreign_rate: the rate (0 to 1) of unrelated queries that find something as close; None likewise.
        limit: the largest closeness that is close; None likewise.
        reason: a sentence: what the verdict rests on, or why there is none.
    """

    verdict: Verdict | None
    foreign_rate: float | None
    limit: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Strictness:
    """Where the limit lies, if a person has chosen.

    Attributes:
        flagged: the rate (0 to 1) of unrelated queries that are to be told that nothing is close; None to
            choose by the index.
        lost: the same of queries that belong, where a person gave some.
    """

    flagged: float | None = None
    lost: float = LOST


@dataclass(frozen=True, eq=False)
class Answers:
    """How close the answers of known queries are, see `closeness_of`; each array is float32 and ascending.

    Attributes:
        items: of queries that belong and were measured at build time, (m,): items, which find other items, or
            captions that no projection was fitted to; empty where none are known.
        foreign: of unrelated queries, (b,); empty where none are known.
        own: of queries that a person gave and that belong, (o,); empty where none are known.
    """

    items: Numbers
    foreign: Numbers
    own: Numbers

    def limit(self, strictness: Strictness) -> float | None:
        """Return the largest closeness that is close; None where no unrelated queries are known.

        Without a choice `FOREIGN_RATE` of unrelated queries find something within it; it is smaller where
        200 items or more find others much closer.
        """
        if strictness not in self._limits:
            self._limits[strictness] = self._limit(strictness)
        return self._limits[strictness]

    def _limit(self, strictness: Strictness) -> float | None:
        if not len(self.foreign):
            return None
        if strictness.flagged is not None:
            return float(np.quantile(self.foreign, 1 - strictness.flagged))
        if len(self.own):
            return float(np.quantile(self.own, 1 - strictness.lost))
        if len(self.items) < FEW_ITEMS:  # so few say nothing
            return self.reached
        items = float(np.quantile(self.items, 1 - LOST))
        return min(self.reached, self.reached + TOWARDS_ITEMS * (items - self.reached))

    @cached_property
    def _limits(self) -> dict[Strictness, float | None]:
        """The limits asked for so far: quantiles take a tenth of a millisecond."""
        return {}

    @cached_property
    def _unfit(self) -> dict[Strictness, str]:
        """Why there is no verdict, likewise."""
        return {}

    @cached_property
    def reached(self) -> float:
        """The closeness that `FOREIGN_RATE` of unrelated queries do not exceed."""
        return float(np.quantile(self.foreign, FOREIGN_RATE))

    def rate(self, closeness: float) -> float:
        """Return how often (0 to 1) an unrelated query finds something as close."""
        return float(np.searchsorted(self.foreign, closeness, side="right") / len(self.foreign))

    def lost(self, limit: float) -> float:
        """Return how often (0 to 1) a query that belongs finds nothing within the limit.

        Items stand for such queries where a person gave none.
        """
        known = self.own if len(self.own) else self.items
        return float((known > limit).mean())

    def towards(self, other: Answers, part: float) -> Answers:
        """Return answers that lie a part (0 to 1) of the way to other ones."""
        mixed = ((1 - part) * a + part * b for a, b in zip(self.arrays, other.arrays, strict=True))
        return Answers(*mixed)

    @property
    def arrays(self) -> tuple[Numbers, Numbers, Numbers]:
        """The three arrays, in order."""
        return self.items, self.foreign, self.own

    def unfit(self, strictness: Strictness) -> str:
        """Return a sentence that says why there is no verdict; empty where there is one."""
        if strictness not in self._unfit:
            self._unfit[strictness] = self._why_unfit(strictness)
        return self._unfit[strictness]

    def _why_unfit(self, strictness: Strictness) -> str:
        limit = self.limit(strictness)
        if limit is None:
            return UNMEASURED
        if strictness.flagged is not None or len(self.own) or 0 < len(self.items) < FEW_ITEMS:
            return ""  # the rate was chosen; or each item may be the only one of its kind
        if not len(self.items):
            return "There is no verdict: no queries that belong here were measured in this index."
        # two standard errors above what is allowed is no accident
        if self.lost(limit) <= LOST + 2 * (LOST * (1 - LOST) / len(self.items)) ** 0.5:
            return ""
        flagged, lost = shown_rate(1 - self.rate(limit)), shown_rate(self.lost(limit))
        return (
            f"There is no verdict: a limit that catches {flagged} of unrelated queries would also catch "
            f"{lost} of those that belong here."
        )


def judge(
    distances: Sequence[float], answers: Answers, pairs: Pairs, strictness: Strictness | None = None
) -> Judgement:
    """Judge an answer.

    An answer is close if its closeness is within the limit, and its nearest hit is not called unrelated. A
    hit that is the same as the query is always close.

    Args:
        distances: of the hits, ascending; the first three count.
        answers: of known queries.
        pairs: the random pairs that labels rest on.
        strictness: where the limit lies; None to choose by the index.
    """
    chosen = strictness or Strictness()
    limit = answers.limit(chosen)
    if (unfit := answers.unfit(chosen)) or limit is None:
        return Judgement(None, None, None, unfit)
    if not len(distances):
        return Judgement(Verdict.NOTHING_CLOSE, 1.0, limit, "No item passes the filter.")
    closeness = float(closeness_of(np.array([distances[: len(WEIGHTS)]], np.float32))[0])
    rate = answers.rate(closeness)
    if distances[0] <= pairs.same:
        return Judgement(Verdict.CLOSE, rate, limit, "The nearest item is the same as the query.")
    if pairs.label(distances[0]) is Closeness.UNRELATED:
        nearer = shown_nearer(pairs.percentile(distances[0]))
        reason = f"{nearer} % of random pairs are closer than the nearest item."
        return Judgement(Verdict.NOTHING_CLOSE, rate, limit, reason)
    verdict = Verdict.CLOSE if closeness <= limit else Verdict.NOTHING_CLOSE
    return Judgement(verdict, rate, limit, _reason(verdict, closeness, answers, chosen))


def _reason(verdict: Verdict, closeness: float, answers: Answers, strictness: Strictness) -> str:
    """Return the sentence that a verdict by the limit rests on."""
    close, rate = verdict is Verdict.CLOSE, answers.rate(closeness)
    foreign = f"{shown_rate(rate)} of unrelated queries find something {'this' if close else 'as'} close"
    foreign = foreign[0].upper() + foreign[1:]
    if strictness.flagged is not None and not close:
        return f"{foreign}; with the strictness asked for, {shown_rate(1 - strictness.flagged)} may."
    if strictness.flagged is None and len(answers.own):
        if close:
            return f"The limit accepts {shown_rate(1 - strictness.lost)} of your own queries."
        return f"{_closer(answers.own, closeness)} of your own queries find something closer."
    if close and not rate:
        return f"None of {len(answers.foreign):,} unrelated queries finds something this close."
    if close or closeness > answers.reached:
        return f"{foreign}."
    return f"{_closer(answers.items, closeness)} of the queries that belong here find something closer."


def _closer(known: Numbers, closeness: float) -> str:
    return shown_rate(float((known < closeness).mean()))


def check_strictness(strictness: float | None) -> None:
    """Check that a strictness is a share over 0 and under 1, or None.

    Raises:
        QueryError: it is not.
    """
    if strictness is not None and not (isinstance(strictness, float) and 0 < strictness < 1):
        raise QueryError(
            f"The strictness is a share over 0 and under 1, such as 0.95; got {strictness!r:.40}."
        )


def shown_rate(rate: float) -> str:
    """Return a rate (0 to 1) as text."""
    if 0 < rate < 0.001:
        return "fewer than 0.1 %"
    if 0.99 < rate < 1:
        return f"{math.floor(1000 * rate) / 10:.1f} %"
    return f"{100 * rate:.1f} %" if rate < 0.1 else f"{100 * rate:.0f} %"


def held_out_rates(answers: Answers, allowed: float, seed: int = 0) -> tuple[float, float]:
    """Return which rates of queries are told that nothing is close, by limits that were set without them.

    The limit is set with a half of the queries that belong, drawn at random, and measured with the other
    half; then the halves change places.

    Args:
        answers: of known queries, two or more of which belong.
        allowed: the rate (0 to 1) of those that may be lost.
        seed: of the halves.

    Returns:
        The rates (0 to 1) of queries that belong, and of unrelated ones.
    """
    own = np.random.default_rng(seed).permutation(answers.own)
    halves = own[: len(own) // 2], own[len(own) // 2 :]
    lost, flagged = [], []
    for fitted, held in (halves, halves[::-1]):
        limit = np.quantile(fitted, 1 - allowed)
        lost.append((held > limit).mean())
        flagged.append((answers.foreign > limit).mean())
    return float(np.mean(lost)), float(np.mean(flagged))


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
