"""The nearest of thousands of lists, found faster than by a comparison with the centre of each.

An index of lists is trained, by k-means, and filled by the list that is nearest to each vector. Codes of 4
bits (André et al. 2015) say which few of the centres may be, and only these are compared in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import faiss
import numpy as np

from embedsearch.backends.flat import BLOCK
from embedsearch.distances.metric import Vectors

FEWEST = 2048  # lists; fewer are compared in full as fast
COMPONENTS, LEAST = 8, 64  # that share a code, and that a vector has; fewer are compared as fast, too
CODE_TRAINING, CODE_ROUNDS = 4096, 10  # vectors, and rounds of k-means
CHECKED = 2000  # vectors by which it is judged
TRAINED_AMONG = 8  # centres that are compared in full while the index is trained
FILLED_AMONG = (8, 16, 32)  # the same when it is filled: the fewest that serve
SAME = 0.98  # share of the vectors that must come into the list that is nearest


def train(index: Any, sample: Vectors) -> Any:
    """Train an index of lists.

    Args:
        index: of FAISS, empty.
        sample: (n, d) float32, ready.

    Returns:
        What `filling` finds the lists by; None where each vector is compared with all centres.
    """
    lists = getattr(index, "nlist", 0)
    if lists < FEWEST or index.d < LEAST or index.d % COMPONENTS:
        index.train(sample)
        return None
    # By l2 whatever the metric: centres of ip have unit length, so the same one is nearest. By ip none is
    # found for a vector of zeros, and FAISS ends the process.
    codes = faiss.IndexPQFastScan(index.d, index.d // COMPONENTS, 4)
    codes.pq.cp.niter = CODE_ROUNDS
    codes.train(_some(sample, CODE_TRAINING))
    finder = faiss.IndexRefineFlat(codes)
    finder.k_factor = TRAINED_AMONG
    means = faiss.Clustering(index.d, lists, index.cp)
    means.decode_block_size = BLOCK  # the tables of so many take memory, too
    as_it_is = faiss.IndexFlat(index.d)  # whose codes are the numbers themselves
    means.train_encoded(sample.view(np.uint8), as_it_is, finder)
    index.quantizer.add(faiss.vector_to_array(means.centroids).reshape(lists, index.d))
    index.quantizer.is_trained = True
    index.train(sample)
    return finder if _serves(finder, index, _some(sample, CHECKED)) else None


@contextmanager
def filling(index: Any, finder: Any) -> Iterator[None]:
    """Have vectors that are added meanwhile find their lists by `finder`, see `train`; None for as usual."""
    if finder is None:
        yield
        return
    usual = index.quantizer
    index.quantizer = finder
    try:
        yield
    finally:
        index.quantizer = usual


def _serves(finder: Any, index: Any, sample: Vectors) -> bool:
    """Whether a finder, given enough candidates, finds the nearest lists of almost all vectors."""
    if not isinstance(faiss.downcast_index(index.quantizer), faiss.IndexFlat):
        return False  # a graph finds them
    nearest = index.quantizer.assign(sample, 1)
    for candidates in FILLED_AMONG:
        finder.k_factor = candidates
        if np.mean(finder.assign(sample, 1) == nearest) >= SAME:
            return True
    return False


def _some(sample: Vectors, count: int) -> Vectors:
    """Return some of (n, d) vectors, spread evenly: at most `count`."""
    return np.ascontiguousarray(sample[:: -(-len(sample) // count)])
