"""What an index's distances are like, measured with every build.

Three samples make a scale: distances of random pairs of items, of items and their nearest, and of what
unrelated queries find. These, the background, are by default 1,000 general sentences of WordNet (see
`general_sentences.LICENSE.txt`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from embedsearch.artifacts import ArtifactContext
from embedsearch.backends import Backend, Rows
from embedsearch.disk.npy import load_array
from embedsearch.distances.metric import Metric, Vectors, distances
from embedsearch.distances.scale import WEIGHTS, Numbers, Scale, closeness_of, pairs_and_shares
from embedsearch.encoders import Encoder, readable
from embedsearch.errors import SourceError
from embedsearch.modalities import UNITS, QueryForm
from embedsearch.records import Sentence, Unit
from embedsearch.splitters.words import words
from embedsearch.store.facts import BackgroundFacts, JudgedFacts, ScaleFacts
from embedsearch.store.manifest import SCALE

BACKGROUND = "background.npy"
SENTENCES = Path(__file__).with_name("general_sentences.txt")
GENERAL = "general sentences"  # what the package brings
PAIRED = 1000  # items whose pairs are all compared
SAMPLE = 2000  # items that look for their nearest
LEAST_BACKGROUND = 100


def make_scale(
    backend: Backend,
    vectors: Vectors,
    metric: Metric,
    background: Vectors | None,
    people: Numbers | None = None,
    seed: int = 0,
) -> Scale | None:
    """Measure what the distances of an index are like.

    Args:
        backend: the index.
        vectors: (n, d) what it is over, raw.
        metric: which distance.
        background: (b, d) float32 unrelated queries, raw; None for none.
        people: see `Scale`.
        seed: of the samples.

    Returns:
        The scale; None where there are no two items to compare.
    """
    count = len(vectors)
    if count < 2:
        return None
    draw = np.random.default_rng(seed)
    some = _drawn(draw, count, PAIRED)
    sample = np.asarray(vectors[some], np.float32)
    above = np.triu(np.ones((len(some), len(some)), np.bool_), 1)
    apart = distances(sample, sample, metric)[above]  # (m, m) -> (m (m - 1) / 2,)
    rows = _drawn(draw, count, SAMPLE)
    nearest = _to_others(backend, np.asarray(vectors[rows], np.float32), rows)
    foreign = np.empty(0, np.float32)
    if background is not None:
        found, _ = backend.search(background, len(WEIGHTS))
        foreign = np.sort(closeness_of(found))
    pairs, shares = pairs_and_shares(apart)
    return Scale(
        pairs=pairs,
        shares=shares,
        nearest=np.sort(nearest[:, 0]),
        answers=np.sort(closeness_of(nearest)),
        foreign=foreign,
        people=np.empty((2, 0), np.float32) if people is None else people,
    )


def cross_scale(backend: Backend, vectors: Vectors, metric: Metric, asked: Vectors, seed: int = 0) -> Scale:
    """Measure distances of unrelated texts to images: to any of them, and to the nearest.

    Args:
        backend: the index that is searched.
        vectors: (n, e) what it is over.
        metric: which distance.
        asked: (b, e) float32, where unrelated texts are asked from.
        seed: of the sample.
    """
    rows = _drawn(np.random.default_rng(seed), len(vectors), PAIRED)
    apart = distances(asked, np.asarray(vectors[rows], np.float32), metric)  # (b, e) (m, e) -> (b, m)
    pairs, shares = pairs_and_shares(apart.ravel())
    none = np.empty(0, np.float32)
    found, _ = backend.search(asked, len(WEIGHTS))
    return Scale(pairs, shares, none, none, np.sort(closeness_of(found)), np.empty((2, 0), np.float32))


def refresh(context: ArtifactContext) -> ScaleFacts | None:
    """Make the scale of a build; see `embedsearch.artifacts.refresh`."""
    before = context.artifacts_before.scale if context.same_vectors() else None
    people: Numbers | None = None
    if context.previous is not None and before is not None and before.people and context.readable(SCALE):
        people = Scale.load(context.previous.build.folder / SCALE).people
    context.progress.stage("measuring how far apart things are")
    background, told = _background(context)
    _tell_lost(context, people, told)
    scale = make_scale(context.backend, context.vectors, context.metric, background, people)
    if scale is None:
        return None
    judged = None if people is None or before is None else before.people
    return write_scale(context.folder, len(context.vectors), scale, background, told, judged)


def general(unit: Unit) -> list[Any]:
    """Return the package's background for texts, words or tokens: general sentences, or a word of each."""
    return of_unit(SENTENCES.read_text(encoding="utf-8").splitlines(), unit)


def of_unit(contents: Sequence[Any], unit: Unit) -> list[Any]:
    """Return contents as an index of `unit` is asked: as they are, or one word in each text."""
    if UNITS[unit].form is not QueryForm.WORD:
        return list(contents)
    draw = np.random.default_rng(0)
    found = [(text, words(text)) for text in map(str, contents)]
    return [Sentence(text, (spans[int(draw.integers(len(spans)))],)) for text, spans in found if spans]


def encoded(encoder: Encoder, items: Sequence[Any]) -> Vectors:
    """Return the vectors of what can be read of a background, (b, d) float32.

    Raises:
        SourceError: too little of it can.
    """
    kept = list(compress(items, readable(encoder, items, "query")))
    if len(kept) < LEAST_BACKGROUND:
        raise SourceError(f"Only {len(kept)} of the background can be read; {LEAST_BACKGROUND} are needed.")
    return encoder.encode(kept, "query")


def _background(context: ArtifactContext) -> tuple[Vectors | None, BackgroundFacts | None]:
    """Return the background's vectors and what is said of it: of the build before, or of the package."""
    before = context.artifacts_before.scale if context.same_vectors(any_metric=True) else None
    if before and before.background and context.previous and context.readable(BACKGROUND):
        return load_array(context.previous.build.folder / BACKGROUND), before.background
    unit = context.recipe.encoder.unit
    if not UNITS[unit].general or not context.embeds:
        return None, None
    vectors = encoded(context.encoder, general(unit))
    return vectors, BackgroundFacts(GENERAL, len(vectors))


def _tell_lost(context: ArtifactContext, people: Numbers | None, background: BackgroundFacts | None) -> None:
    """Tell of judgements and a background that were measured with another model, or are damaged."""
    had = context.artifacts_before.scale
    lost: list[tuple[str, str]] = []
    if had and had.people and people is None:
        lost.append(("--pairs", had.people.of))
    if had and had.background and background != had.background:
        lost.append(("--background", had.background.of))
    options = [f" {option} {of}" for option, of in lost if of != GENERAL]
    if lost:
        context.progress.stage(
            f"to measure anew: embedsearch calibrate {context.recipe.name}{''.join(options)}"
        )


def write_scale(
    folder: Path,
    count: int,
    scale: Scale,
    background: Vectors | None,
    told: BackgroundFacts | None,
    people: JudgedFacts | None,
) -> ScaleFacts:
    """Write the scale of `count` items and its background into a build's folder; return its facts."""
    paired = min(PAIRED, count)
    scale.save(folder / SCALE)
    if background is not None:
        np.save(folder / BACKGROUND, background)
    limit = scale.limit
    return ScaleFacts(
        pairs=paired * (paired - 1) // 2,
        background=told,
        limit=None if limit is None else round(limit, 6),
        stated_rate=scale.stated_rate,
        people=people,
    )


def _drawn(draw: np.random.Generator, count: int, wanted: int) -> Rows:
    return np.sort(draw.choice(count, min(count, wanted), replace=False))


def _to_others(backend: Backend, queries: Vectors, rows: Rows) -> Vectors:
    """Return the distances of items to their nearest other items, (m, k) ascending."""
    far, found = backend.search(queries, len(WEIGHTS) + 1)
    own = found == rows[:, None]
    own[~own.any(1), -1] = True  # copies came before it: leave out the last
    others: Vectors = far[~own].reshape(len(rows), -1)  # (m, k + 1) -> (m, k)
    return others
