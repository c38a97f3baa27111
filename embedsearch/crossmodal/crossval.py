"""Cross-validation of an alignment: how well captions find images by maps that never saw them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedsearch.backends import Rows
from embedsearch.crossmodal.ridge import Fit
from embedsearch.distances.metric import Vectors, normalized

FOLDS = 5
STRENGTHS = tuple(float(10**power) for power in np.arange(-3, 1.1, 0.5))
SHARES = tuple(round(0.1 * step, 1) for step in range(1, 11))
AT_MOST = 4000  # pairs for cross-validation
BLOCK = 512  # captions ranked together

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
        return Fit(self.images[self.image], self.captions[self.caption])


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


def answers_of(image: Rows, caption: Rows) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Number the answers: images with the same captions are one answer.

    Returns:
        The answer of each image (p,), and which answers are right for each caption (c, a).
    """
    said: list[set[int]] = [set() for _ in range(int(image.max()) + 1)]
    for one, other in zip(image.tolist(), caption.tolist(), strict=True):
        said[one].add(other)
    numbers: dict[frozenset[int], int] = {}
    answer = np.array([numbers.setdefault(frozenset(each), len(numbers)) for each in said], np.int64)
    right = np.zeros((int(caption.max()) + 1, len(numbers)), np.bool_)
    right[caption, answer[image]] = True
    return answer, right


def ranks_of(scores: Vectors, answer: Rows, right: npt.NDArray[np.bool_]) -> Ranks:
    """Return the rank of the best right answer of each query, (q,), from 1.

    Args:
        scores: (q, p), larger is nearer.
        answer: (p,) the answer of each image.
        right: (q, a) which answers are right.
    """
    order = np.argsort(answer, kind="stable")
    starts = np.searchsorted(answer[order], np.arange(right.shape[1]))
    best = np.maximum.reduceat(scores[:, order], starts, axis=1)  # (q, p) -> (q, a)
    own = np.where(right, best, -np.inf).max(1)
    ranks: Ranks = 1 + (best > own[:, None]).sum(1)
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
    fold = folds_of(pairs.image, pairs.caption)
    answer, right = answers_of(pairs.image, pairs.caption)
    fold_of_query = _first(pairs.caption, fold)
    shares = (1.0,) if conse is None else SHARES
    tried: dict[tuple[float, float], Ranks] = {
        (strength, share): np.empty(len(right), np.int64) for strength in STRENGTHS for share in shares
    }
    fits = {each: pairs.some(np.flatnonzero(fold != each)).fit() for each in np.unique(fold).tolist()}
    for strength in STRENGTHS:
        projected = np.empty((len(pairs.images), pairs.captions.shape[1]), np.float32)
        queries = np.empty_like(pairs.queries)
        for each, fit in fits.items():
            ridge = fit.ridge(strength)
            held = _first(pairs.image, fold) == each
            projected[held] = ridge(pairs.images[held])
            asked = fold_of_query == each
            queries[asked] = normalized(pairs.queries[asked] - ridge.target)
        for start in range(0, len(queries), BLOCK):
            part = slice(start, start + BLOCK)
            for share in shares:
                scores = _mixed(queries[part], projected, conse, share)
                tried[strength, share][part] = ranks_of(scores, answer, right[part])
    best = _best(tried, np.ones(len(right), np.bool_))
    ridges = {key: ranks for key, ranks in tried.items() if key[1] == 1}
    measured, worse = {"ridge": measure(_held_out(ridges, fold_of_query))}, False
    if conse is not None and centre is not None:
        scores = normalized(pairs.queries - centre) @ conse.T  # (c, e) (e, p) -> (c, p)
        classes, both = ranks_of(scores, answer, right), _held_out(tried, fold_of_query)
        measured = {"conse": measure(classes), **measured, "both": measure(both)}
        worse = _is_worse(both, classes)
    return Chosen(*best, measured, len(right), right.shape[1], worse)


def mix(ridge: Vectors, conse: Vectors | None, share: float) -> Vectors:
    """Add two projections of the same images, (n, e) of unit length; the first has a share in (0, 1]."""
    return ridge if conse is None else normalized(share * ridge + (1 - share) * conse)


def _mixed(queries: Vectors, ridge: Vectors, conse: Vectors | None, share: float) -> Vectors:
    return queries @ mix(ridge, conse, share).T  # (q, e) (e, p) -> (q, p)


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


def _held_out(tried: dict[tuple[float, float], Ranks], fold: Rows) -> Ranks:
    """Return the rank of each query with the strength and share that the other folds choose."""
    ranks = np.empty(len(fold), np.int64)
    for each in np.unique(fold):
        own = fold == each
        ranks[own] = tried[_best(tried, ~own)][own]
    return ranks
