"""Cross-validation of an alignment: how well captions find images by maps that never saw them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise, repeat

import numpy as np
import numpy.typing as npt

from embedsearch.backends import Rows
from embedsearch.crossmodal.ridge import Fit, Sums
from embedsearch.distances.metric import Vectors, normalized

FOLDS = 5
STRENGTHS = tuple(float(10**power) for power in np.arange(-3, 1.1, 0.5))
SHARES = tuple(round(0.1 * step, 1) for step in range(1, 11))
AT_MOST = 4000  # pairs for cross-validation
BLOCK = 128  # captions ranked together: their scores stay in the cache

Ranks = npt.NDArray[np.int64]
Measured = dict[str, float]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Images and their captions.

    Attributes:
        images: (p, d) float32, vectors of the images, of unit length.
        captions: (c, e) float32, vectors of the captions as passages, of unit length.
        queries: (c, e) float32, vectors of the same captions as queries, of unit length.
        image: (n,) the image of each pair.
        caption: (n,) the caption of each pair.
    """

    images: Vectors
    captions: Vectors
    queries: Vectors
    image: Rows
    caption: Rows

    def some(self, pairs: Rows) -> Pairs:
        """Return some of the pairs, with only their images and captions."""
        images, image = np.unique(self.image[pairs], return_inverse=True)
        captions, caption = np.unique(self.caption[pairs], return_inverse=True)
        return Pairs(self.images[images], self.captions[captions], self.queries[captions], image, caption)

    def fit(self) -> Fit:
        """Return the regression from images to captions over all pairs."""
        return Fit.of(self.images[self.image], self.captions[self.caption])

    def fits_without(self, fold: Rows) -> Iterator[tuple[int, Fit]]:
        """Yield the number of each fold, and the regression over all pairs but its own.

        Each pair is summed up once.

        Args:
            fold: (n,) the fold of each pair.
        """
        sizes = np.bincount(fold)
        folds = np.flatnonzero(sizes).tolist()
        if len(fold) - sizes.max() < self.images.shape[1]:  # sums would take more than they save
            yield from ((each, self.some(np.flatnonzero(fold != each)).fit()) for each in folds)
            return
        parts = [
            Sums.of(self.images[self.image[fold == each]], self.captions[self.caption[fold == each]])
            for each in folds
        ]
        every = reduce(Sums.__add__, parts)
        yield from ((each, Fit.from_sums(every - part)) for each, part in zip(folds, parts, strict=True))


@dataclass(frozen=True, slots=True)
class Chosen:
    """What cross-validation found.

    Attributes:
        strength: λ of the ridge regression.
        share: weight of the ridge regression in a projection, (0, 1]; ConSE has the rest.
        measured: for `ridge`, and with a class head for `conse` and `both`: recall@1, 5 and 10 (0 to 1) and
            the median rank, over `captions` queries and `answers` different answers.
        worse: whether class names alone find more than both, by more than two standard errors.
    """

    strength: float
    share: float
    measured: dict[str, Measured]
    captions: int
    answers: int
    worse: bool = False


def groups_of(image: Rows, caption: Rows) -> Rows:
    """Return the group of each pair, (n,) from 0: pairs that share a caption or an image are in one group."""
    parent = list(range(int(image.max()) + int(caption.max()) + 2))
    beyond = int(image.max()) + 1

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in zip(image.tolist(), (caption + beyond).tolist(), strict=True):
        parent[root(one)] = root(other)
    _, group = np.unique([root(each) for each in image.tolist()], return_inverse=True)
    return np.asarray(group, np.int64)


def folds_of(image: Rows, caption: Rows, seed: int = 0) -> Rows:
    """Return the fold of each pair, (n,); the pairs of a group are in one fold.

    Fewer than `FOLDS` groups give fewer folds.
    """
    group = groups_of(image, caption)
    order = np.random.default_rng(seed).permutation(int(group.max()) + 1)
    return np.asarray(order[group] % FOLDS, np.int64)


class Answers:
    """What captions find: images with the same captions are one answer.

    Attributes:
        count: the number of answers.
        order: (p,) the images in layers: the first image of each answer, then the second of each that has
            two, and so on. A layer is thus a slice, and the best image of each answer the maximum of slices.
    """

    def __init__(self, image: Rows, caption: Rows) -> None:
        """Number the answers, those of many images first.

        Args:
            image: (n,) the image of each pair.
            caption: (n,) the caption of each pair.
        """
        said: list[set[int]] = [set() for _ in range(int(image.max()) + 1)]
        for one, other in zip(image.tolist(), caption.tolist(), strict=True):
            said[one].add(other)
        images: dict[frozenset[int], list[int]] = {}
        for number, each in enumerate(said):
            images.setdefault(frozenset(each), []).append(number)
        answers = sorted(images.items(), key=lambda each: -len(each[1]))
        self.count = len(answers)
        layers = [[own[m] for _, own in answers if len(own) > m] for m in range(len(answers[0][1]))]
        self.order = np.array([each for layer in layers for each in layer], np.int64)
        self._ends = np.cumsum([len(layer) for layer in layers]).tolist()
        right = sorted((each, answer) for answer, (own, _) in enumerate(answers) for each in own)
        self._caption, self._answer = np.array(right, np.int64).T  # (r,) which answers are right for it

    def ranks(self, scores: Vectors, start: int) -> Ranks:
        """Return the rank of the best right answer of each caption, (q,), from 1.

        Args:
            scores: (p, q), larger is nearer; the images in their `order`. It is written to.
            start: the first of these q captions.
        """
        best = scores[: self.count]
        for above, end in pairwise(self._ends):
            layer = best[: end - above]
            np.maximum(layer, scores[above:end], out=layer)
        first, last = np.searchsorted(self._caption, [start, start + scores.shape[1]])
        asked = self._caption[first:last] - start
        starts = np.flatnonzero(np.diff(asked, prepend=-1))
        own = np.maximum.reduceat(best[self._answer[first:last], asked], starts)  # (r,) -> (q,)
        ranks: Ranks = 1 + np.count_nonzero(best > own, axis=0)
        return ranks


def measure(ranks: Ranks) -> Measured:
    """Return recall@1, 5 and 10 (0 to 1), and the median rank."""
    recalls = {f"recall@{k}": round(float((ranks <= k).mean()), 4) for k in (1, 5, 10)}
    return {**recalls, "median_rank": float(np.median(ranks))}


def choose(pairs: Pairs, conse: Vectors | None, centre: Vectors | None) -> Chosen:
    """Choose strength and share by cross-validation, and measure the recall.

    Each image is projected by the map that was fitted without its captions. The strength and share with the
    highest mean of recall@1, 5 and 10 are chosen. Each fold is measured with what the other folds choose.

    Args:
        pairs: the images and captions; at most `AT_MOST` pairs are taken, evenly.
        conse: (p, e) float32, projections of the images by class names, of unit length; None without them.
        centre: (e,) float32, the origin of these.
    """
    if len(pairs.image) > AT_MOST:
        rows = np.unique(np.linspace(0, len(pairs.image) - 1, AT_MOST).astype(np.int64))
        conse = None if conse is None else conse[np.unique(pairs.image[rows])]
        pairs = pairs.some(rows)
    fold, answers = folds_of(pairs.image, pairs.caption), Answers(pairs.image, pairs.caption)
    fold_of_query = _first(pairs.caption, fold)
    projected, queries = _held_out(pairs, fold, fold_of_query)
    shares = (1.0,) if conse is None else SHARES
    tried: dict[tuple[float, float], Ranks] = {
        (strength, share): np.empty(len(queries), np.int64) for strength in STRENGTHS for share in shares
    }
    blocks = [slice(start, start + BLOCK) for start in range(0, len(queries), BLOCK)]
    classes = None if conse is None else conse[answers.order]
    # the same for each strength: b x ((p, e) (e, q)) -> b x (p, q)
    by_classes = [] if classes is None else [classes @ queries[part].T for part in blocks]

    def rank(at: int, strength: float, ridge: Vectors, lengths: dict[float, Vectors]) -> None:
        """Rank the captions of a block for each share."""
        part = blocks[at]
        scores = ridge @ queries[part].T  # (p, e) (e, q) -> (p, q)
        if classes is None:
            tried[strength, 1.0][part] = answers.ranks(scores, part.start)
            return
        both = np.empty_like(scores)
        for share in shares:
            np.multiply(by_classes[at], (1 - share) / share, out=both)
            both += scores
            both *= share / lengths[share]
            tried[strength, share][part] = answers.ranks(both, part.start)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for strength in STRENGTHS:
            ridge = projected[strength][answers.order]
            lengths = {} if classes is None else {share: _length(ridge, classes, share) for share in shares}
            given = (repeat(each) for each in (strength, ridge, lengths))
            list(threads.map(rank, range(len(blocks)), *given))
    best = _best(tried, np.ones(len(queries), np.bool_))
    ridges = {key: ranks for key, ranks in tried.items() if key[1] == 1}
    measured, worse = {"ridge": measure(_by_other_folds(ridges, fold_of_query))}, False
    if conse is not None and centre is not None:
        scores = conse[answers.order] @ normalized(pairs.queries - centre).T  # (p, e) (e, c) -> (p, c)
        named, both = answers.ranks(scores, 0), _by_other_folds(tried, fold_of_query)
        measured = {"conse": measure(named), **measured, "both": measure(both)}
        worse = _is_worse(both, named)
    return Chosen(*best, measured, len(queries), answers.count, worse)


def _held_out(pairs: Pairs, fold: Rows, fold_of_query: Rows) -> tuple[dict[float, Vectors], Vectors]:
    """Project the images of each fold by the maps of each strength that were fitted to the other folds.

    Returns:
        The images by strength, (p, e) of unit length; and the queries around the centre of the same maps,
        (c, e) of unit length.
    """
    projected = {
        strength: np.empty((len(pairs.images), pairs.captions.shape[1]), np.float32) for strength in STRENGTHS
    }
    queries = np.empty_like(pairs.queries)
    fold_of_image = _first(pairs.image, fold)
    for each, fit in pairs.fits_without(fold):
        held, asked = fold_of_image == each, fold_of_query == each
        for strength in STRENGTHS:
            ridge = fit.ridge(strength)
            projected[strength][held] = ridge(pairs.images[held])
        queries[asked] = normalized(pairs.queries[asked] - ridge.target)
    return projected, queries


def _length(ridge: Vectors, conse: Vectors, share: float) -> Vectors:
    """Return the lengths of two projections added by `mix`, (p, 1), before they are scaled to unit length."""
    lengths = np.linalg.norm(share * ridge + (1 - share) * conse, axis=1, keepdims=True)
    return np.asarray(np.where(lengths > 0, lengths, 1), np.float32)


def mix(ridge: Vectors, conse: Vectors | None, share: float) -> Vectors:
    """Add two projections of the same images, (n, e) of unit length; the first has a share in (0, 1]."""
    return ridge if conse is None else normalized(share * ridge + (1 - share) * conse)


def _first(of: Rows, fold: Rows) -> Rows:
    """Return the fold of each image or caption: `of` (n,) is that of each pair, whose folds are given."""
    folds = np.empty(int(of.max()) + 1, np.int64)
    folds[of] = fold
    return folds


def _scores(ranks: Ranks) -> npt.NDArray[np.float64]:
    """Return the mean of recall@1, 5 and 10 of each query, (q,)."""
    return np.asarray(np.mean([ranks <= k for k in (1, 5, 10)], axis=0))


def _is_worse(ranks: Ranks, others: Ranks) -> bool:
    """Whether the same queries get worse ranks than in `others`, by more than two standard errors."""
    gained = _scores(ranks) - _scores(others)  # (q,)
    return bool(gained.mean() + 2 * gained.std() / len(gained) ** 0.5 < 0)


def _best(tried: dict[tuple[float, float], Ranks], among: npt.NDArray[np.bool_]) -> tuple[float, float]:
    return max(tried, key=lambda key: float(_scores(tried[key][among]).mean()))


def _by_other_folds(tried: dict[tuple[float, float], Ranks], fold: Rows) -> Ranks:
    """Return the rank of each query with the strength and share that the other folds choose."""
    ranks = np.empty(len(fold), np.int64)
    for each in np.unique(fold):
        own = fold == each
        ranks[own] = tried[_best(tried, ~own)][own]
    return ranks
