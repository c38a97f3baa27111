"""Compares several things by one model: the distance of each to each, and its percentile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from embedsearch.artifacts.scale import PAIRED, encoded, general
from embedsearch.disk.cache import kept_vectors
from embedsearch.distances.metric import Metric, Vectors, distances
from embedsearch.distances.pairs import Pairs, pairs_of
from embedsearch.encoders import Encoder, all_ready, gather, load_encoder
from embedsearch.encoders.engines import QUERY
from embedsearch.encoders.vision.crop import asked_image
from embedsearch.errors import QueryError
from embedsearch.modalities import UNITS, QueryForm, unit_of
from embedsearch.models.spec import EncoderSpec
from embedsearch.progress import Silent
from embedsearch.query import Image, Single, Sound, Text, as_single
from embedsearch.recipe import layers_of
from embedsearch.records import MOST_UNKNOWN, Unit
from embedsearch.search.query_vectors import sound_vector
from embedsearch.search.searcher import Searcher
from embedsearch.sources.folder import SOUND_SUFFIXES

LEAST = 2


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The distances of several things to one another.

    Attributes:
        labels: the things in order: texts, and the names of files.
        distances: (n, n) float32; smaller is more related.
        percentiles: (n, n) float32, percent (0 to 100) of random pairs that are farther apart; None where
            there is nothing to compare with.
        pairs: the random pairs; None where there are none.
        metric: which distance.
        model: which model.
        pooling: how its hidden states became one vector.
        layers: which hidden layers.
        by: how things of two kinds came into one space, see `embedsearch.crossmodal`; empty for one kind.
    """

    labels: tuple[str, ...]
    distances: Vectors
    percentiles: Vectors | None
    pairs: Pairs | None
    metric: Metric
    model: str
    pooling: str
    layers: tuple[int, ...]
    by: str = ""

    @property
    def pairs_of(self) -> str:
        """Where the random pairs are from; empty without random pairs."""
        return "" if self.pairs is None else self.pairs.of

    def nearest(self) -> tuple[int, int]:
        """Return the rows of the two things that are nearest to each other; of equal pairs the first."""
        rows, columns = np.triu_indices(len(self.labels), 1)
        best = int(np.argmin(self.distances[rows, columns]))
        return int(rows[best]), int(columns[best])


def compare(
    things: Sequence[Any],
    *,
    index: Searcher | None = None,
    model: str = "",
    pooling: str = "",
    layers: int | Sequence[int] = -1,
    encoder: Encoder | None = None,
) -> Comparison:
    """Compare two or more texts, images or sounds, each with each; texts with others by an index.

    Args:
        things: texts (str), images (`Path`, bytes or PIL image) or sounds (`Sound`, or the `Path` of a file
            with the suffix of one).
        index: compare by the model, the metric and the scale of this open index; else by `model` with the
            cosine distance and, for texts, beside pairs of general sentences.
        model: as in `load_encoder`; so are pooling and layers.
        pooling: see `load_encoder`.
        layers: see `load_encoder`.
        encoder: one that is open already, in place of `model`, `pooling` and `layers`.

    Raises:
        QueryError: there are fewer than two things, or of two kinds, or the index holds something else.
        ItemError: an image or a sound can't be read.
        ModelError, EncoderMismatchError: as `load_encoder`.
    """
    queries = [_query(thing) for thing in things]
    if len(queries) < LEAST:
        raise QueryError(f"Give at least two things to compare; got {len(queries)}.")
    asked = [query for query in queries if isinstance(query, Text | Image | Sound)]
    if len(asked) < len(queries):
        raise QueryError(
            "Texts, images and sounds can be compared: a str, a Path, bytes, a PIL image or a Sound."
        )
    if any(isinstance(query, Text) and not query.text.strip() for query in queries):
        raise QueryError("One of the texts is empty: there is nothing to compare.")
    labels = [_label(query) for query in queries]
    if index is not None:
        vectors, unknown = index.queries.together(queries)
        crossmodal = index.queries.across(queries)
        if crossmodal is not None:  # its scale knows pairs of a text and an image alone
            made = compared(labels, vectors, index.encoder.spec, crossmodal.metric, None)
            return replace(made, by=crossmodal.by)
        metric = index.manifest.metric
        pairs = index_pairs(index) if unknown <= MOST_UNKNOWN else None
        return compared(labels, vectors, index.encoder.spec, metric, pairs)
    if len({query.form for query in asked}) > 1:
        raise QueryError(
            "Things of two kinds, as a text and an image, can be compared by an index in which one finds the "
            "other: name it with --index NAME."
        )
    encoder = encoder or _open(model, unit_of(asked[0].form).unit, pooling, layers)
    if asked[0].form is QueryForm.SOUND:
        rule = UNITS[encoder.spec.unit].splitting
        sounds = [query.source for query in asked if isinstance(query, Sound)]
        vectors = np.concatenate([sound_vector(encoder, rule, each, Metric.COSINE) for each in sounds])
        return compared(labels, vectors, encoder.spec, Metric.COSINE, None)
    things = [
        asked_image(query) if isinstance(query, Image) else query.text
        for query in asked
        if not isinstance(query, Sound)
    ]
    ready = all_ready(things, encoder.prepare(things, "query"))  # as the sentences of the random pairs
    vectors = gather(ready, encoder.run(ready), encoder.dimension)
    known = all(each.unknown <= MOST_UNKNOWN for each in ready)
    return compared(labels, vectors, encoder.spec, Metric.COSINE, general_pairs(encoder) if known else None)


def compared(
    labels: Sequence[str], vectors: Vectors, spec: EncoderSpec, metric: Metric, pairs: Pairs | None
) -> Comparison:
    """Compare things by their vectors, each with each.

    Args:
        labels: what they are called, n.
        vectors: (n, d) float32, raw.
        spec: of the encoder that made the vectors.
        metric: which distance.
        pairs: distances of random pairs by the same encoder and metric; None for no percentiles.
    """
    far = distances(vectors, vectors, metric)  # (n, d) (n, d) -> (n, n)
    if metric is not Metric.IP:
        np.fill_diagonal(far, 0)
    return Comparison(
        labels=tuple(labels),
        distances=far,
        percentiles=None if pairs is None else pairs.percentiles(far),
        pairs=pairs,
        metric=metric,
        model=spec.model,
        pooling=spec.pooling,
        layers=spec.layers,
    )


def index_pairs(searcher: Searcher) -> Pairs | None:
    """Return the random pairs of an index; None where there are too few to say anything."""
    scale = searcher.build.scale
    if scale is None or not scale.pairs.enough:
        return None
    return replace(scale.pairs, of=scale.pairs.of or f"the index {searcher.manifest.name}")


def general_pairs(encoder: Encoder) -> Pairs | None:
    """Return the pairs of general sentences, or of a word in each, by the cosine distance; None for images.

    Embeds a thousand sentences, which takes seconds, once per machine.
    """
    row = UNITS[encoder.spec.unit]
    if not row.general:
        return None
    asked = general(row.unit)[:PAIRED]
    made_by = ["pairs", encoder.engine, encoder.precision]
    vectors = kept_vectors(
        asked, encoder.spec.fingerprint, made_by, lambda: encoded(encoder, asked, Silent())
    )
    apart = distances(vectors, vectors, Metric.COSINE)[np.triu_indices(len(vectors), 1)]
    return pairs_of(apart, row.general, general=True)


def _open(model: str, unit: Unit, pooling: str, layers: int | Sequence[int]) -> Encoder:
    """Load a model in float32: as queries do it, or by torch where an unusual vector is asked for once."""
    usual = not pooling and layers_of(layers) == (-1,)
    engine = QUERY if usual else "torch"
    return load_encoder(
        model, unit=unit, pooling=pooling, layers=layers, engine=engine, precision="fp32", decoding="full"
    )


def _query(thing: Any) -> Single:
    """Return a thing as a query; the path of a sound file is a sound."""
    is_sound = isinstance(thing, Path) and thing.suffix.lower() in SOUND_SUFFIXES
    return Sound(thing) if is_sound else as_single(thing)


def _label(query: Any) -> str:
    if isinstance(query, Text):
        return query.text
    if isinstance(query.source, (str, Path)):
        return Path(query.source).name
    return "a sound" if isinstance(query, Sound) else "an image"
