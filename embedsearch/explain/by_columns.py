"""Why a row of a table is near: how far apart each of its columns is.

A column has numbers of its own in a vector, so a distance is a sum over columns. For l2 it is
|q - v|^2 = sum_c |q_c - v_c|^2; for cosine the same of unit vectors, halved, is the distance; for ip the
distance is sum_c -(q_c . v_c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from embedsearch.distances.metric import Metric, Vectors, distances, normalized
from embedsearch.encoders.columns import text_of
from embedsearch.explain.explanation import ColumnPart, Explanation
from embedsearch.modalities import UNITS
from embedsearch.query import AnyQuery, MoreLike, Row

if TYPE_CHECKING:
    from embedsearch.results import Hit
    from embedsearch.search.query_vectors import Space
    from embedsearch.search.searcher import Searcher

SAMPLE = 2048  # rows that say how far apart a column usually is


def explain_columns(searcher: Searcher, asked: AnyQuery, space: Space, item: Hit) -> Explanation:
    """Return how far apart each column of a row and of the query is, the nearest first.

    Args:
        searcher: the open index.
        asked: the query.
        space: its vector, and by which columns it is compared.
        item: the row.
    """
    learnt = searcher.queries.learnt
    blocks = [b for b in learnt.blocks if not space.columns or b.column.name in space.columns]
    starts = np.cumsum([0, *(block.width for block in blocks[:-1])])
    kept = space.take(np.array([item.row]))  # (1, d)
    count = len(space.backend)
    rows = np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64))
    apart = np.add.reduceat(_parts(space.vector, kept, space.metric)[0], starts)  # (d,) -> (c,)
    typical = np.add.reduceat(_usual(space.take(rows), space.metric), starts)
    values = _values(searcher, asked)
    columns = [
        ColumnPart(
            block.column.name,
            None if values is None else text_of(values.get(block.column.name)),
            text_of(item.fields.get(block.column.name)),
            float(far),
            float(usual),
        )
        for block, far, usual in zip(blocks, apart.tolist(), typical.tolist(), strict=True)
    ]
    distance = float(distances(space.vector, kept, space.metric)[0, 0])
    return Explanation(
        id=item.id,
        kind=UNITS[searcher.manifest.unit].form,
        metric=space.metric,
        score=float(apart.sum()),
        similarity=distance**2 if space.metric is Metric.L2 else distance,
        recomputed=distance,
        stored=distance,
        query_norm=float(np.linalg.norm(space.vector)),
        norm=float(np.linalg.norm(kept)),
        scores=apart.astype(np.float32),
        tokens=(),
        words=(),
        rest=(),
        exact=True,
        note="",
        columns=tuple(sorted(columns, key=lambda column: column.apart - column.typical)),
    )


def _parts(query: Vectors, kept: Vectors, metric: Metric) -> npt.NDArray[np.float64]:
    """Return what each component adds to the distances of a query (1, d) to vectors (n, d): (n, d).

    Their sum is the distance, or its square for l2.
    """
    if metric is Metric.IP:
        return -(query.astype(np.float64) * kept)
    if metric is Metric.COSINE:
        query, kept = normalized(query), normalized(kept)
    squares = (query.astype(np.float64) - kept) ** 2
    return squares / 2 if metric is Metric.COSINE else squares


def _usual(sample: Vectors, metric: Metric) -> npt.NDArray[np.float64]:
    """Return the mean of `_parts` over all pairs of a sample, (n, d) -> (d,)."""
    if metric is Metric.IP:
        return np.asarray(-(sample.astype(np.float64).mean(0) ** 2))
    ready = (normalized(sample) if metric is Metric.COSINE else sample).astype(np.float64)
    return np.asarray(ready.var(0) * (1 if metric is Metric.COSINE else 2))


def _values(searcher: Searcher, asked: AnyQuery) -> dict[str, object] | None:
    """Return the values of a query by column; None where it is no single row."""
    if isinstance(asked, Row):
        return dict(asked.values)
    return dict(searcher.item(asked.id).fields) if isinstance(asked, MoreLike) else None
