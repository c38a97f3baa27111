"""Several things, one model: the distance of each to each, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embedsearch.encoders import Encoder, load_encoder
from embedsearch.errors import QueryError
from embedsearch.metrics import Metric, Vectors, distances
from embedsearch.query import Picture, Text, as_single
from embedsearch.records import Unit
from embedsearch.relatedness import pairs_and_shares
from embedsearch.scaling import PAIRED, encoded, general
from embedsearch.search import open_index

LEAST = 2


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far things are apart.

    Attributes:
        labels: what was compared, in order: texts, and the names of pictures.
        distances: (n, n) float32; smaller is more related.
        percentiles: (n, n) float32, percent (0 to 100) of random pairs that are farther apart; None where
            there is nothing to compare with.
        pairs_of: where the random pairs are from; empty without percentiles.
        metric: which distance.
        model: which model.
        pooling: how its hidden states became one vector.
        layers: which hidden layers.
    """

    labels: tuple[str, ...]
    distances: Vectors
    percentiles: Vectors | None
    pairs_of: str
    metric: Metric
    model: str
    pooling: str
    layers: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as plain JSON values."""
        return {
            "labels": list(self.labels),
            "distances": np.round(self.distances.astype(float), 6).tolist(),
            "percentiles": None
            if self.percentiles is None
            else np.round(self.percentiles.astype(float), 4).tolist(),
            "pairs_of": self.pairs_of,
            "metric": str(self.metric),
            "model": self.model,
            "pooling": self.pooling,
            "layers": list(self.layers),
        }


def compare(
    things: Sequence[Any],
    *,
    index: str = "",
    model: str = "",
    pooling: str = "",
    layers: int | Sequence[int] = -1,
    indexes: str | Path | None = None,
) -> Comparison:
    """Compare two or more texts, or two or more pictures, each with each.

    Args:
        things: texts (str), or pictures (`Path`, bytes or PIL image).
        index: compare by the model, the metric and the scale of this index; else by `model` with the cosine
            distance and, for texts, beside pairs of general sentences.
        model: as in `load_encoder`; so are pooling and layers.
        pooling: see `load_encoder`.
        layers: see `load_encoder`.
        indexes: the folder of indexes.

    Raises:
        QueryError: there are fewer than two things, or of two kinds, or the index holds something else.
        ItemError: a picture can't be read.
        ModelError, IndexNotFoundError, IndexDamagedError: as `load_encoder`, `open_index`.
    """
    queries = [as_single(thing) for thing in things]
    if len(queries) < LEAST:
        raise QueryError(f"Two things or more are needed to compare; {len(queries)} came.")
    kinds = {type(query) for query in queries}
    if not kinds <= {Text, Picture}:
        raise QueryError("Texts and pictures can be compared: a str, a Path, bytes or a PIL image.")
    if index:
        searcher = open_index(index, indexes)
        vectors = np.concatenate([searcher.vector(query) for query in queries])  # n x (1, d) -> (n, d)
        encoder, metric, scale = searcher.encoder, searcher.manifest.metric, searcher.build.scale
        pairs, pairs_of = (None, "") if scale is None else ((scale.pairs, scale.shares), f"the index {index}")
    else:
        if len(kinds) > 1:
            raise QueryError(
                "A text and a picture can be compared by an index that knows both: name it with --index NAME."
            )
        unit = Unit.IMAGE if Picture in kinds else Unit.TEXT
        encoder, metric = _open(model, unit, pooling, layers), Metric.COSINE
        vectors = encoder.encode([q.text if isinstance(q, Text) else q.source for q in queries])  # type: ignore[union-attr]
        pairs, pairs_of = _general_pairs(encoder) if unit is Unit.TEXT else (None, "")
    far = distances(vectors, vectors, metric)  # (n, d) (n, d) -> (n, n)
    if metric is not Metric.IP:
        np.fill_diagonal(far, 0)
    percentiles = None if pairs is None else np.float32(100) * (1 - np.interp(far, *pairs, left=0))
    return Comparison(
        labels=tuple(_label(query) for query in queries),
        distances=far,
        percentiles=None if percentiles is None else percentiles.astype(np.float32),
        pairs_of=pairs_of,
        metric=metric,
        model=encoder.spec.model,
        pooling=encoder.spec.pooling,
        layers=encoder.spec.layers,
    )


def _open(model: str, unit: Unit, pooling: str, layers: int | Sequence[int]) -> Encoder:
    # a few things are compared before another engine has compiled its model
    return load_encoder(
        model, unit=unit, pooling=pooling, layers=layers, engine="torch", precision="fp32", decoding="full"
    )


def _general_pairs(encoder: Encoder) -> tuple[tuple[Vectors, Vectors], str]:
    """Return the distances of pairs of general sentences, and the shares of those no farther apart."""
    vectors = encoded(encoder, general(Unit.TEXT)[:PAIRED])
    apart = distances(vectors, vectors, Metric.COSINE)[np.triu_indices(len(vectors), 1)]
    return pairs_and_shares(apart), "general sentences"


def _label(query: Any) -> str:
    if isinstance(query, Text):
        return query.text
    return Path(query.source).name if isinstance(query.source, (str, Path)) else "a picture"
