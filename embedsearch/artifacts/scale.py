"""What an index's distances are like, measured with every build.

Three samples make a scale: distances of random pairs of items, of items and their nearest, and of what
unrelated queries find. These, the background, are by default 1,000 general sentences of WordNet (see
`general_sentences.LICENSE.txt`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from embedsearch.artifacts import ArtifactContext
from embedsearch.backends import EXACT_UP_TO, Backend, Rows, Take
from embedsearch.disk.npy import load_array
from embedsearch.distances.centring import Centring
from embedsearch.distances.metric import Metric, Vectors, distances
from embedsearch.distances.pairs import FEW_ITEMS, Numbers, pairs_of
from embedsearch.distances.scale import Scale
from embedsearch.distances.verdict import (
    LOST,
    WEIGHTS,
    Answers,
    Strictness,
    closeness_of,
    held_out_rates,
)
from embedsearch.encoders import Encoder, unreadable
from embedsearch.errors import SourceError
from embedsearch.modalities import UNITS, QueryForm
from embedsearch.progress import Progress, report_rejected
from embedsearch.records import Sentence, Unit
from embedsearch.splitters.words import words
from embedsearch.store.build import Records
from embedsearch.store.facts import BackgroundFacts, JudgedFacts, OwnFacts, ScaleFacts
from embedsearch.store.manifest import SCALE

BACKGROUND, OWN = "background.npy", "own.npy"
SENTENCES = Path(__file__).with_name("general_sentences.txt")
GENERAL = "general sentences"  # what the package brings
PAIRED = 1000  # items whose pairs are all compared
SAMPLE = 2000  # items that look for their nearest
LEAST_BACKGROUND = 100
LISTED = 1024  # nearest items that tell what fewer items would give
LISTED_OF_MANY = 256  # the same where finding them takes long
LEAST_LISTED = 8  # that a share of the items must leave


@dataclass(frozen=True, slots=True)
class Known:
    """Queries of which it is known whether they belong to an index, and where the limit lies.

    Attributes:
        foreign: (b, d) float32, unrelated queries, raw; None for none.
        of: what they are, for people.
        own: (o, d) float32, queries that belong and that a person gave, raw; None for none.
        strictness: where the limit lies, if a person has chosen.
    """

    foreign: Vectors | None = None
    of: str = ""
    own: Vectors | None = None
    strictness: Strictness = field(default_factory=Strictness)

    def centred(self, centring: Centring | None) -> Known:
        """Return them as they are compared with the items of an index that is centred so."""
        if centring is None:
            return self
        foreign, own = (None if each is None else centring.apply(each) for each in (self.foreign, self.own))
        return replace(self, foreign=foreign, own=own)


def make_scale(
    backend: Backend,
    vectors: Vectors,
    metric: Metric,
    known: Known | None = None,
    people: Numbers | None = None,
    records: Records | None = None,
    seed: int = 0,
) -> Scale | None:
    """Measure what the distances of an index are like.

    Args:
        backend: the index.
        vectors: (n, d) what it is over, raw.
        metric: which distance.
        known: queries of which it is known whether they belong; None for none.
        people: see `Scale`.
        records: which rows belong to one record; two of these are no pair, and one of them answers. None
            where each row is a record.
        seed: of the samples.

    Returns:
        The scale; None where there are no two items to compare.
    """
    count = len(vectors)
    if count < 2 or (records is not None and len(records.starts) < 2):
        return None
    known = known or Known()
    draw = np.random.default_rng(seed)
    general = count < FEW_ITEMS and known.foreign is not None
    paired = known.foreign if general and known.foreign is not None else vectors
    rows = _drawn(draw, len(paired), PAIRED)
    sample = np.asarray(paired[rows], np.float32)
    above = np.triu(np.ones((len(sample), len(sample)), np.bool_), 1)
    if records is not None and paired is vectors:
        owners = records.of(rows)
        above &= owners[:, None] != owners  # (m, 1) (m,) -> (m, m)
    apart = distances(sample, sample, metric)[above]  # (m, m) -> (m (m - 1) / 2,)
    shares, k = _shares(count), listed(count)
    # without unrelated queries there is no verdict, whatever items find
    items = np.empty((0, k), np.float32)
    if known.foreign is not None:
        items = to_others(backend, vectors, draw, records)
    asked = (_found(backend, each, k, records) for each in (known.foreign, known.own))
    return Scale(
        pairs=pairs_of(apart, known.of if general else "", general=general),
        shares=shares,
        answers=_among((items, *asked), shares, draw),
        people=np.empty((2, 0), np.float32) if people is None else people,
        strictness=known.strictness,
    )


def pairs_scale(take: Take, count: int, metric: Metric, seed: int = 0) -> Scale | None:
    """Measure distances of random pairs alone, as they are by some of the components of vectors.

    Args:
        take: gives vectors of rows, (m,) -> (m, e) float32.
        count: how many there are.
        metric: which distance.
        seed: of the sample.

    Returns:
        A scale that gives labels and no verdict; None where there are no two items to compare.
    """
    if count < 2:
        return None
    sample = take(_drawn(np.random.default_rng(seed), count, PAIRED))
    apart = distances(sample, sample, metric)[np.triu_indices(len(sample), 1)]
    none = np.empty(0, np.float32)
    return Scale(pairs_of(apart), (1.0,), (Answers(none, none, none),), np.empty((2, 0), np.float32))


def cross_scale(
    backend: Backend,
    vectors: Vectors,
    metric: Metric,
    asked: Vectors,
    captions: Vectors | Scale | None = None,
    records: Records | None = None,
    seed: int = 0,
) -> Scale:
    """Measure distances of unrelated texts to images: to any of them, and to the nearest.

    Args:
        backend: the index that is searched.
        vectors: (n, e) what it is over.
        metric: which distance.
        asked: (b, e) float32, where unrelated texts are asked from.
        captions: (c, k) float32 ascending, distances of captions that belong to their nearest (images as
            projected without them, or other captions), k as `listed` says; or a scale whose answers of
            captions are taken over; None without.
        records: see `make_scale`.
        seed: of the sample.
    """
    count = len(vectors)
    draw = np.random.default_rng(seed)
    rows = _drawn(draw, count, PAIRED)
    apart = distances(asked, np.asarray(vectors[rows], np.float32), metric)  # (b, e) (m, e) -> (b, m)
    shares, k = _shares(count), listed(count)
    none = np.empty((0, k), np.float32)
    near = captions if isinstance(captions, np.ndarray) else none
    answers = _among((near, _found(backend, asked, k, records), none), shares, draw)
    if isinstance(captions, Scale):
        kept = [captions.among(max(share, captions.shares[-1])).items for share in shares]
        answers = tuple(replace(each, items=items) for each, items in zip(answers, kept, strict=True))
    return Scale(
        pairs=pairs_of(apart.ravel(), general=True),
        shares=shares,
        answers=answers,
        people=np.empty((2, 0), np.float32),
    )


def listed(count: int) -> int:
    """Return how many of the nearest items are listed to learn what fewer items would give."""
    return min(count, LISTED if count <= EXACT_UP_TO else LISTED_OF_MANY)


def _shares(count: int) -> tuple[float, ...]:
    """Return the shares of `count` items among which answers are measured, falling from 1."""
    halves = (0.5**power for power in range(64))
    return tuple(takewhile(lambda share: share == 1 or share * listed(count) >= LEAST_LISTED, halves))


def _found(backend: Backend, queries: Vectors | None, k: int, records: Records | None) -> Vectors:
    """Return the distances of queries to their nearest items, (q, k) ascending; (0, k) without queries."""
    if queries is None:
        return np.empty((0, k), np.float32)
    far, rows = backend.search(queries, k)
    return far if records is None else _folded(far, records.of(rows))


def _folded(far: Vectors, owners: Rows, own: Rows | None = None) -> Vectors:
    """Return the distance of the nearest item of each record, ascending, (q, k) as `far`.

    Where fewer records than k were found, the farthest stands for the others.

    Args:
        far: (q, k) ascending.
        owners: (q, k) the record of each item.
        own: (q,) a record that is left out; None for none.
    """
    folded = np.empty_like(far)
    for at, (row, numbers) in enumerate(zip(far, owners, strict=True)):
        first = np.sort(np.unique(numbers, return_index=True)[1])
        kept = row[first if own is None else first[numbers[first] != own[at]]]
        folded[at] = row[-1]
        folded[at, : len(kept)] = kept
    return folded


def _among(
    found: tuple[Vectors, ...], shares: tuple[float, ...], draw: np.random.Generator
) -> tuple[Answers, ...]:
    """Return how close answers are among each share of the items.

    Args:
        found: distances of queries to their nearest items, (q, k) ascending, for each array of `Answers`.
        shares: the shares (0 to 1).
        draw: chooses the items that are left.
    """
    return tuple(
        Answers(*(np.sort(closeness_of(_thinned(far, share, draw))) for far in found)) for share in shares
    )


def _thinned(far: Vectors, share: float, draw: np.random.Generator) -> Vectors:
    """Return the nearest three distances (q, 3) where only a share of the items is left, drawn at random.

    Where fewer are left of those listed, the farthest listed stands for the others.
    """
    if share == 1 or not far.size:
        return far[:, : len(WEIGHTS)]
    left = np.where(draw.random(far.shape) < share, far, np.inf)
    first = np.sort(np.partition(left, len(WEIGHTS) - 1, axis=1)[:, : len(WEIGHTS)], axis=1)
    return np.asarray(np.minimum(first, far[:, -1:]), np.float32)  # (q, 3) (q, 1) -> (q, 3)


def refresh(context: ArtifactContext) -> ScaleFacts | None:
    """Make the scale of a build; see `embedsearch.artifacts.refresh`."""
    before = context.artifacts_before.scale if context.same_vectors() else None
    people: Numbers | None = None
    if context.previous is not None and before is not None and before.people and context.readable(SCALE):
        scale = context.previous.build.scale
        people = None if scale is None else scale.people
    context.progress.stage("measuring how far apart things are")
    unit = context.recipe.encoder.unit
    background, described = _background(context)
    own, given = _own(context)
    _report_lost(context, people, described, given)
    chosen = context.artifacts_before.scale
    flagged = chosen.strictness if chosen else None
    known = known_queries(
        unit, background, described, own, Strictness(flagged, given.allowed if given else LOST)
    )
    asked = known.centred(context.centring)
    scale = make_scale(context.backend, context.vectors, context.metric, asked, people, context.records)
    if scale is None:
        return None
    judged = None if people is None or before is None else before.people
    return write_scale(context.folder, unit, scale, known, described, judged, given)


def known_queries(
    unit: Unit,
    foreign: Vectors | None,
    described: BackgroundFacts | None,
    own: Vectors | None,
    strictness: Strictness,
) -> Known:
    """Return the known queries of an index of `unit`; `described` says where the unrelated ones are from."""
    of = ""
    if described is not None:
        of = (
            UNITS[unit].general
            if described.of == GENERAL
            else f"the unrelated {UNITS[unit].plural} of {described.of}"
        )
    return Known(foreign, of, own, strictness)


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


def encoded(encoder: Encoder, items: Sequence[Any], progress: Progress, of: str = GENERAL) -> Vectors:
    """Return the vectors of what can be read of some queries, (b, d) float32.

    Args:
        encoder: of the index.
        items: the queries.
        progress: gets reports of what can't be read.
        of: where they are from.

    Raises:
        SourceError: too little of it can be read.
    """
    bad = unreadable(encoder, items, "query")
    rejected = [(str(getattr(items[at], "text", items[at])), reason) for at, reason in bad.items()]
    report_rejected(progress, f"{len(items):,} queries ({of})", rejected)
    kept = [item for at, item in enumerate(items) if at not in bad]
    if len(kept) < LEAST_BACKGROUND:
        raise SourceError(f"Only {len(kept)} of the queries can be read; {LEAST_BACKGROUND} are needed.")
    return encoder.encode(kept, "query")


def _background(context: ArtifactContext) -> tuple[Vectors | None, BackgroundFacts | None]:
    """Return the background's vectors and what is said of it: of the build before, or of the package."""
    before = context.artifacts_before.scale if context.same_encoder else None
    if before and before.background and context.previous and context.readable(BACKGROUND):
        return load_array(context.previous.build.folder / BACKGROUND), before.background
    unit = context.recipe.encoder.unit
    if not UNITS[unit].general or not context.embeds:
        return None, None
    vectors = encoded(context.encoder, general(unit), context.progress)
    return vectors, BackgroundFacts(GENERAL, len(vectors))


def _own(context: ArtifactContext) -> tuple[Vectors | None, OwnFacts | None]:
    """Return the vectors of queries that belong, of the build before, and what is said of them."""
    before = context.artifacts_before.scale if context.same_encoder else None
    if before and before.own and context.previous and context.readable(OWN):
        return load_array(context.previous.build.folder / OWN), before.own
    return None, None


def _report_lost(
    context: ArtifactContext,
    people: Numbers | None,
    background: BackgroundFacts | None,
    own: OwnFacts | None,
) -> None:
    """Report judgements and queries that were measured with another model, or are damaged."""
    had = context.artifacts_before.scale
    lost: list[tuple[str, str]] = []
    if had and had.people and people is None:
        lost.append(("--pairs", had.people.of))
    if had and had.background and background != had.background:
        lost.append(("--foreign", had.background.of))
    if had and had.own and own is None:
        lost.append(("--own", had.own.of))
    options = [f" {option} {of}" for option, of in lost if of != GENERAL]
    if lost:
        context.progress.stage(
            f"to measure it again: embedsearch calibrate {context.recipe.name}{''.join(options)}"
        )


def write_scale(
    folder: Path,
    unit: Unit,
    scale: Scale,
    known: Known,
    described: BackgroundFacts | None,
    people: JudgedFacts | None,
    own: OwnFacts | None,
) -> ScaleFacts:
    """Write the scale of an index of `unit` and its known queries into a build's folder; return its facts."""
    scale.save(folder / SCALE)
    for name, vectors in ((BACKGROUND, known.foreign), (OWN, known.own)):
        if vectors is not None:
            np.save(folder / name, vectors)
    judging = replace(scale, unjudged=UNITS[unit].unjudged)
    if own is not None:
        lost, flagged = held_out_rates(scale.answers[0], own.allowed)
        own = replace(own, lost=round(lost, 4), flagged=round(flagged, 4))
    facts = ScaleFacts(
        pairs=scale.pairs.compared,
        background=described,
        limit=None,
        stated_rate=None,
        people=people,
        pairs_of=scale.pairs.of,
        strictness=scale.strictness.flagged,
        own=own,
    )
    return with_rates(facts, judging)


def with_rates(facts: ScaleFacts, scale: Scale) -> ScaleFacts:
    """Return the facts of a scale with its limit and rates as they are computed now.

    The manifest of an older build has those of the version that made it.
    """
    return replace(
        facts,
        limit=None if scale.limit is None else round(scale.limit, 6),
        stated_rate=scale.stated_rate,
        lost=None if scale.lost is None else round(scale.lost, 4),
        unjudged=scale.unfit,
    )


def _drawn(draw: np.random.Generator, count: int, wanted: int) -> Rows:
    return np.sort(draw.choice(count, min(count, wanted), replace=False))


def to_others(
    backend: Backend,
    vectors: Vectors,
    draw: np.random.Generator | None = None,
    records: Records | None = None,
) -> Vectors:
    """Return the distances of some items to their nearest other items, (m, k) ascending, k as `listed` says.

    Args:
        backend: the index.
        vectors: (n, d) what it is over, raw; two or more.
        draw: chooses the items; None for the same each time.
        records: see `make_scale`.
    """
    rows = _drawn(draw or np.random.default_rng(0), len(vectors), SAMPLE)
    far, found = backend.search(np.asarray(vectors[rows], np.float32), listed(len(vectors)) + 1)
    if records is not None:
        return _folded(far, records.of(found), records.of(rows))[:, :-1]
    own = found == rows[:, None]
    own[~own.any(1), -1] = True  # copies came before it: leave out the last
    others: Vectors = far[~own].reshape(len(rows), -1)  # (m, k + 1) -> (m, k)
    return others
