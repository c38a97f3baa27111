"""The scale of an index, measured again: with known queries, with people's judgements, or stricter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from embedsearch.artifacts import amend
from embedsearch.artifacts.scale import (
    BACKGROUND,
    GENERAL,
    LEAST_BACKGROUND,
    OWN,
    encoded,
    general,
    known_queries,
    make_scale,
    of_unit,
    write_scale,
)
from embedsearch.disk.npy import load_array
from embedsearch.disk.paths import expanded
from embedsearch.distances.metric import Vectors, distances
from embedsearch.distances.pairs import Numbers
from embedsearch.distances.verdict import LOST, Strictness, check_strictness
from embedsearch.encoders import Encoder, open_encoder, unreadable
from embedsearch.encoders.given import QUERY_MODEL
from embedsearch.encoders.query_encoder import query_encoder
from embedsearch.errors import ItemError, MissingExtraError, QueryError, SourceError
from embedsearch.modalities import UNITS, QueryForm, modality_of
from embedsearch.progress import Progress, Silent, report_rejected
from embedsearch.recipe import EncoderRecipe, SourceRecipe
from embedsearch.records import Content, Entry, Modality, Record, Unit, content_of
from embedsearch.sources import open_source
from embedsearch.sources.guess import guess
from embedsearch.sources.judgements import read_pairs
from embedsearch.store.build import Build, open_build
from embedsearch.store.facts import BackgroundFacts, JudgedFacts, OwnFacts, ScaleFacts
from embedsearch.store.manifest import COLUMNS, PROBES

Load = Callable[[EncoderRecipe], Encoder]
MOST_BACKGROUND = 5000
LEAST_PAIRS = 20


def calibrate(
    name: str,
    *,
    pairs: str | Path = "",
    background: str | Path = "",
    own: str | Path = "",
    lost: float | None = None,
    strictness: float | None = None,
    root: Path,
    progress: Progress | None = None,
    load: Load = open_encoder,
) -> Build:
    """Measure the scale of the index `name` again, and publish the build that has it.

    Args:
        name: the index's name.
        pairs: a table of two texts and people's score of how related they are; see `read_pairs`. From then
            on a hit says which score people would give. Empty for the judgements that the index has.
        background: a file of unrelated texts, one on each line, or a table, or a folder of unrelated images;
            empty for what the index has, or the package's general sentences.
        own: the same of queries that belong and are no items; they set the limit of the verdict. Empty for
            those that the index has.
        lost: the share (over 0, under 1) of `own` that may be told that nothing is close; None for 0.05.
        strictness: the share (over 0, under 1) of unrelated queries that are to be told that nothing is
            close, in place of a limit set by `own`; None for what the index has.
        root: the folder of indexes.
        progress: gets reports of what can't be read.
        load: what makes the encoder.

    Raises:
        QueryError: there are judgements of texts for an index of something else, a share is none, or `own`
            and `strictness` are given, or `lost` alone.
        SourceNotFoundError, SourceError: a file is missing, or holds too little.
        MissingExtraError: SciPy is not installed, and there are pairs.
        IndexNotFoundError, IndexDamagedError, IndexBusyError, ModelError: as `open_index`, `amend`.
    """
    check_strictness(strictness)
    check_strictness(lost)
    if own and strictness is not None:
        raise QueryError(
            "Give either your own queries or a strictness, not both: each of them sets the limit."
        )
    if lost is not None and not own:
        raise QueryError(
            "The share that may be lost is a share of your own queries: give these with --own FILE."
        )
    progress = progress or Silent()
    current = open_build(root, name)
    manifest = current.manifest
    if manifest.count < 2:
        raise QueryError(f"The index {name!r} holds one item, so there is no pair to measure.")
    unit = manifest.unit
    if (own or strictness is not None) and UNITS[unit].unjudged:
        raise QueryError(UNITS[unit].unjudged)

    @cache
    def encoder() -> Encoder:
        made, stored = manifest.encoder, manifest.recipe.encoder
        files = (current.folder / PROBES, current.folder / COLUMNS)
        return query_encoder(name, manifest.dimension, made, stored, manifest.version, *files, load)

    before = manifest.artifacts.scale
    judgements, described = (before.people, before.background) if before else (None, None)
    given = before.own if before else None
    flagged = before.strictness if before else None
    people, foreign, belonging = None, None, None
    if pairs:
        people, judgements = _people(current, encoder, Path(pairs), progress)
    if background:
        foreign, described = _queries(Path(background), unit, encoder(), progress)
    elif before is None and UNITS[unit].general:
        foreign = encoded(encoder(), general(unit), progress)
        described = BackgroundFacts(GENERAL, len(foreign))
    if own:
        belonging, of = _queries(Path(own), unit, encoder(), progress)
        given = OwnFacts(of.of, of.count, LOST if lost is None else lost, 0.0, 0.0)
        flagged = None
    elif strictness is not None:
        given, flagged = None, strictness
    if described is None and (given or flagged is not None):
        raise QueryError(f"The index {name!r} has no unrelated queries to measure with: add --foreign.")

    def make(build: Build, folder: Path) -> ScaleFacts:
        asked = foreign if foreign is not None else _kept(build, BACKGROUND)
        ours = belonging if belonging is not None else _kept(build, OWN) if given else None
        judged = people
        if judged is None and before is not None and before.people and build.scale is not None:
            judged = build.scale.people
        chosen = Strictness(flagged, given.allowed if given else LOST)
        known = known_queries(unit, asked, described, ours, chosen)
        placed = known.centred(build.centring)
        scale = make_scale(build.backend, build.vectors, build.manifest.metric, placed, judged, build.records)
        assert scale is not None  # there are two items
        return write_scale(folder, unit, scale, known, described, judgements, given)

    return amend(root, name, "scale", make)


def _kept(build: Build, file: str) -> Vectors | None:
    """Return the vectors of known queries that a build has; None where it has none."""
    kept = build.folder / file
    return load_array(kept) if kept.is_file() else None


def _queries(path: Path, unit: Unit, encoder: Encoder, progress: Progress) -> tuple[Vectors, BackgroundFacts]:
    """Return the vectors of the queries that `path` holds, and what is said of them."""
    # vectors made elsewhere are also asked with texts, where their model is known
    also = (Modality.TEXT,) if QUERY_MODEL in encoder.spec.files else ()
    of = str(expanded(path).resolve())
    vectors = encoded(encoder, read_background(path, unit, progress, also), progress, of)
    return vectors, BackgroundFacts(of, len(vectors))


def read_background(path: Path, unit: Unit, progress: Progress, also: Sequence[Modality] = ()) -> list[Any]:
    """Read queries that are unrelated, or that belong: at most 5,000 of what `path` holds, spread over it.

    Args:
        path: a file or a folder.
        unit: of the index.
        progress: gets reports of what can't be read.
        also: what the queries may be beside what the index holds.

    Raises:
        SourceNotFoundError, SourceError: it is missing, of another kind than the index, or holds too little.
    """
    kind, location = guess(str(path))
    source = open_source(SourceRecipe(kind, location))
    modality = source.modality()
    expected = (modality_of(unit).modality, *also)
    if modality not in expected:
        wanted = " or ".join(f"{each}s" for each in expected)
        raise SourceError(f"{path} holds {modality}s; queries of {wanted} were expected.")
    contents, rejected = _contents(islice(source, 100_000))
    report_rejected(progress, f"{len(contents) + len(rejected):,} entries of {path}", rejected)
    if len(contents) < LEAST_BACKGROUND:
        raise SourceError(
            f"{path} holds {len(contents)} {modality}s; {LEAST_BACKGROUND} or more are needed to measure."
        )
    contents = contents[:: -(-len(contents) // MOST_BACKGROUND)]
    return of_unit(contents, unit)


def _contents(entries: Iterable[Entry]) -> tuple[list[Content], list[tuple[str, str]]]:
    """Return what can be read, and the ids of what can't with the reasons."""
    contents: list[Content] = []
    rejected: list[tuple[str, str]] = []
    for entry in entries:
        try:
            if isinstance(entry, Record):
                contents.append(content_of(entry))
            else:
                rejected.append((entry.id, entry.reason))
        except (ItemError, OSError) as error:
            rejected.append((entry.id, str(error)))
    return contents, rejected


def _people(
    build: Build, encoder: Callable[[], Encoder], path: Path, progress: Progress
) -> tuple[Numbers, JudgedFacts]:
    """Fit people's scores by distance: the nearest falling function (isotonic regression).

    Source: Barlow et al. 1972, Statistical Inference under Order Restrictions.
    """
    try:
        from scipy.optimize import isotonic_regression
        from scipy.stats import spearmanr
    except ImportError:
        raise MissingExtraError("Judged pairs need SciPy: pip install 'embedsearch[eval]'") from None
    manifest = build.manifest
    if UNITS[manifest.unit].form is not QueryForm.TEXT:
        raise QueryError(f"Judged pairs are texts, and the index {manifest.name!r} holds {manifest.unit}s.")
    rows = list(read_pairs(path))
    if len(rows) < LEAST_PAIRS or len({row[2] for row in rows}) < 2:
        raise SourceError(
            f"{path}: {LEAST_PAIRS} pairs or more, of different scores, were expected; it has {len(rows)}."
        )
    left_bad, right_bad = (unreadable(encoder(), [row[side] for row in rows]) for side in (0, 1))
    bad = {at: (rows[at][1], why) for at, why in right_bad.items()}
    bad |= {at: (rows[at][0], why) for at, why in left_bad.items()}
    report_rejected(progress, f"{len(rows):,} pairs of {path}", [bad[at] for at in sorted(bad)])
    rows = [row for at, row in enumerate(rows) if at not in bad]
    if len(rows) < LEAST_PAIRS:
        raise SourceError(f"{path}: the model can read {len(rows)} pairs; {LEAST_PAIRS} are needed.")
    left, right = (build.placed(encoder().encode([row[side] for row in rows])) for side in (0, 1))
    metric = manifest.metric
    far = np.array([distances(a[None], b[None], metric)[0, 0] for a, b in zip(left, right, strict=True)])
    scores = np.array([row[2] for row in rows])
    order = np.lexsort((-scores, far))
    fitted = isotonic_regression(scores[order], increasing=False)
    ends = np.flatnonzero(np.diff(fitted.x, append=-np.inf) < 0)  # the last pair of each step
    starts = np.concatenate([[0], ends[:-1] + 1])
    middles = (far[order][starts] + far[order][ends]) / 2
    facts = JudgedFacts(
        of=str(expanded(path).resolve()),
        pairs=len(rows),
        spearman=round(float(spearmanr(-far, scores).statistic), 4),
        lowest=float(scores.min()),
        highest=float(scores.max()),
    )
    return np.array([middles, fitted.x[ends]], np.float32), facts
