"""A plane through the vectors: principal component analysis in closed form (Pearson 1901, Hotelling 1933)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedsearch.distances.metric import Metric, Vectors, normalized
from embedsearch.maps.inputs import MapInputs, PreviousMap
from embedsearch.maps.layouts import Layout
from embedsearch.progress import Progress

BLOCK = 2**22  # components at a time: 32 MB in float64
WIDE = 4096  # components; the covariance of longer vectors does not fit into memory
SAMPLE = 2**26  # components of the sample that stands for vectors so long: 256 MB in float32
Floats = npt.NDArray[np.float64]


def pca_layout(inputs: MapInputs, previous: PreviousMap | None, progress: Progress) -> Layout:  # noqa: ARG001
    """See `embedsearch.maps.layouts.LayOut`; the plane depends on the vectors alone."""
    plane = principal_plane(inputs.vectors, inputs.metric)
    explained = tuple(round(float(share), 4) for share in plane.explained)
    return Layout(project(inputs.vectors, inputs.metric, plane), len(inputs.vectors), explained)


@dataclass(frozen=True, slots=True)
class Plane:
    """The two directions in which vectors differ most.

    Attributes:
        mean: (d,) of the vectors, as the index compares them.
        axes: (2, d) orthonormal; the largest component of each is positive. A row of zeros where there is no
            such direction.
        explained: (2,) the share of all variance along each, in [0, 1].
    """

    mean: Floats
    axes: Floats
    explained: Floats


def _blocks(vectors: Vectors, metric: Metric) -> Iterator[Floats]:
    """Yield vectors as the index compares them, some rows at a time: (b, d) float64."""
    rows = max(1, BLOCK // max(1, vectors.shape[1]))
    for start in range(0, len(vectors), rows):
        part = np.asarray(vectors[start : start + rows], np.float32)
        yield (normalized(part) if metric is Metric.COSINE else part).astype(np.float64)


def principal_plane(vectors: Vectors, metric: Metric) -> Plane:
    """Return the plane through the mean that keeps most of the variance.

    Mean and covariance are summed block by block, so that neither all vectors nor a copy of them are in
    memory; the axes are the covariance's first two eigenvectors. Of vectors longer than `WIDE`, a sample of
    rows, 1,024 of 65,536 components, gives mean and axes: it is centred, and its inner products (m, m) have
    the same eigenvalues.

    Args:
        vectors: (n, d) float32 or float16, raw, n at least 1; they may be memory-mapped.
        metric: for cosine, the vectors are scaled to unit length.
    """
    count, dimension = vectors.shape
    if dimension > WIDE:
        return _plane_of_wide(vectors, metric)
    shift = next(_blocks(vectors[:1], metric))[0]  # near the mean already: no digits are lost to it
    total, products = np.zeros(dimension), np.zeros((dimension, dimension))
    for block in _blocks(vectors, metric):
        centred = block - shift
        total += centred.sum(0)
        products += centred.T @ centred  # (b, d) -> (d, d)
    mean = total / count
    covariance = products / count - np.outer(mean, mean)
    values, directions = np.linalg.eigh(covariance)  # ascending
    return _plane(mean + shift, values, directions[:, :-3:-1].T)  # (d, d) -> (2, d)


def _plane_of_wide(vectors: Vectors, metric: Metric) -> Plane:
    """See `principal_plane`."""
    count, dimension = vectors.shape
    rows = np.unique(np.linspace(0, count - 1, min(count, SAMPLE // dimension)).astype(np.int64))
    sample = np.concatenate([block.astype(np.float32) for block in _blocks(vectors[rows], metric)])  # (m, d)
    mean = sample.mean(0, dtype=np.float64)
    sample -= mean.astype(np.float32)
    values, weights = np.linalg.eigh((sample @ sample.T).astype(np.float64))  # (m, m), ascending
    directions = weights[:, :-3:-1].T @ sample  # (2, m) -> (2, d)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    return _plane(mean, values, directions / np.where(lengths > 0, lengths, 1))


def _plane(mean: Floats, values: Floats, directions: Floats) -> Plane:
    """Return the plane of the largest eigenvalues.

    Args:
        mean: (d,) of the vectors.
        values: (m,) all eigenvalues, ascending.
        directions: at most 2 unit vectors (d,), those of the largest ones, the largest first.
    """
    values = np.maximum(values, 0)
    whole = float(values.sum())
    axes, explained = np.zeros((2, len(mean))), np.zeros(2)
    for at, axis in enumerate(directions):
        if values[-1 - at] > 1e-12 * max(whole, 1e-30):
            axes[at] = axis * np.sign(axis[np.argmax(np.abs(axis))])
            explained[at] = values[-1 - at] / whole
    return Plane(mean, axes, explained)


def project(vectors: Vectors, metric: Metric, plane: Plane) -> Vectors:
    """Return where raw vectors (n, d) lie on a plane: (n, 2) float32, in the units of the vectors."""
    parts = [(block - plane.mean) @ plane.axes.T for block in _blocks(vectors, metric)]  # (b, d) -> (b, 2)
    return np.concatenate(parts).astype(np.float32)
