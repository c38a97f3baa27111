"""The distance scale of an index: all that is measured of it to say what a distance means.

It holds random pairs, for a percentile and a label (`embedsearch.distances.pairs`), and how close the answers
of known queries are, for a verdict (`embedsearch.distances.verdict`): among all items, and among shares of
them, as a filter may keep them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from embedsearch.disk.npy import load_arrays
from embedsearch.distances.pairs import FEW_ITEMS, Closeness, Numbers, Pairs
from embedsearch.distances.verdict import LOST, Answers, Judgement, Strictness, judge, shown_rate
from embedsearch.errors import IndexDamagedError

TOO_FEW = "There is no verdict: the filter keeps too few items to measure one."


@dataclass(frozen=True, eq=False)
class Scale:
    """The distance scale of an index.

    Attributes:
        pairs: random pairs.
        shares: the shares (0 to 1) of the items among which answers were measured, falling from 1.
        answers: how close answers are among each of these shares; arrays of one kind have one length.
        people: human scores as a step function, (2, s) float32: distances, and the score of pairs of that
            distance or more; (2, 0) without human scores.
        strictness: where the limit lies, if a person has chosen.
        unjudged: a sentence that says why there is never a verdict; empty where there may be one.
    """

    pairs: Pairs
    shares: tuple[float, ...]
    answers: tuple[Answers, ...]
    people: Numbers
    strictness: Strictness = field(default_factory=Strictness)
    unjudged: str = ""

    def by_class_names(self, why: str) -> Scale:
        """Return the scale of images that are placed among texts by class names.

        These say what kind of thing is in an image, and not its colour, its number or what it does: the
        nearest are `related` at most. There is no verdict.

        Args:
            why: the sentence that says why there is no verdict.
        """
        return replace(self, unjudged=why, pairs=replace(self.pairs, strongest=Closeness.RELATED))

    def human_score(self, distance: float) -> float | None:
        """Return the human score of pairs at a distance; None without human scores."""
        if not self.people.shape[1]:
            return None
        return float(np.interp(distance, self.people[0], self.people[1]))

    @property
    def limit(self) -> float | None:
        """The largest closeness of an answer that is close, without a filter; None without a verdict."""
        return None if self.unfit else self.answers[0].limit(self.strictness)

    @property
    def unfit(self) -> str:
        """A sentence that says why there is no verdict, without a filter; empty where there is one."""
        return self.unjudged or self.answers[0].unfit(self.strictness)

    @property
    def stated_rate(self) -> float | None:
        """The rate (0 to 1) of unrelated queries that find something close; None likewise."""
        return None if self.limit is None else self.answers[0].rate(self.limit)

    @property
    def lost(self) -> float | None:
        """The rate (0 to 1) of queries that belong and find nothing close, whether a verdict is given or not.

        None where none were measured.
        """
        answers = self.answers[0]
        limit, measured = answers.limit(self.strictness), len(answers.own) or len(answers.items) >= FEW_ITEMS
        return answers.lost(limit) if limit is not None and measured else None

    @property
    def rates(self) -> str:
        """Which shares of queries are told that nothing is close, for people; empty without a verdict."""
        if self.stated_rate is None:
            return ""
        foreign = f"{shown_rate(1 - self.stated_rate)} of unrelated queries are told that nothing is close"
        return foreign if self.lost is None else f"{foreign}, {shown_rate(self.lost)} of those that belong"

    def judge(
        self, distances: Sequence[float], share: float = 1.0, flagged: float | None = None
    ) -> Judgement:
        """Judge an answer; see `embedsearch.distances.verdict.judge`.

        Args:
            distances: of the hits, ascending.
            share: the share (0 to 1) of the items that a filter kept.
            flagged: the rate (0 to 1) of unrelated queries that are to be told that nothing is close; None
                for the scale's own strictness.
        """
        strictness = self.strictness if flagged is None else Strictness(flagged)
        if self.unjudged:
            return Judgement(None, None, None, self.unjudged)
        if not distances:
            share = 1.0  # nothing was found: no limit is needed
        if share < self.shares[-1] and len(self.answers[0].foreign):
            return Judgement(None, None, None, TOO_FEW)
        return judge(distances, self.among(max(share, self.shares[-1])), self.pairs, strictness)

    def among(self, share: float) -> Answers:
        """Return how close answers are among a share of the items, between those that were measured.

        Args:
            share: from the smallest of `shares` to 1.
        """
        after = int(np.searchsorted(-np.array(self.shares), -share))
        if self.shares[after] == share:
            return self.answers[after]
        near, far = self.shares[after - 1], self.shares[after]
        part = float(np.log(near / share) / np.log(near / far))
        return self.answers[after - 1].towards(self.answers[after], part)

    def save(self, path: Path) -> None:
        """Write the scale to an .npz file."""
        flagged = self.strictness.flagged
        np.savez(
            path,
            pairs=self.pairs.distances,
            shares=self.pairs.shares,
            people=self.people,
            kept=np.array(self.shares, np.float64),
            answers=np.stack([each.items for each in self.answers]),  # s x (m,) -> (s, m)
            foreign=np.stack([each.foreign for each in self.answers]),
            own=np.stack([each.own for each in self.answers]),
            strictness=np.array([np.nan if flagged is None else flagged, self.strictness.lost]),
        )

    @classmethod
    def load(cls, path: Path, compared: int, of: str = "", *, general: bool = False) -> Scale:
        """Read a scale; 0.6.0 wrote it without filters and without a choice of strictness.

        Args:
            path: the file.
            compared: see `Pairs`; so are `of` and `general`.
            of: where the pairs are from.
            general: whether they are of general things.

        Raises:
            IndexDamagedError: the file is no scale.
        """
        try:
            arrays = load_arrays(path)
            kept = arrays.get("kept", np.ones(1))
            items, foreign = (np.atleast_2d(arrays[name]) for name in ("answers", "foreign"))
            own = arrays.get("own", np.empty((1, 0), np.float32))
            flagged, lost = arrays["strictness"].tolist() if "strictness" in arrays else (np.nan, LOST)
            return cls(
                Pairs(arrays["pairs"], arrays["shares"], compared, of, general),
                tuple(kept.tolist()),
                tuple(Answers(*each) for each in zip(items, foreign, own, strict=True)),
                arrays["people"],
                Strictness(None if np.isnan(flagged) else flagged, lost),
            )
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise IndexDamagedError(f"{path} can't be read as a scale: {error}.") from None
