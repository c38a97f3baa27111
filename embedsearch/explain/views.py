"""The patches of an image's views laid over the image as one grid."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from embedsearch.encoders.hidden_states import Box, View

Grid = npt.NDArray[np.float32]
MOST = 64  # rows and columns of a grid


def box_of(views: Sequence[View]) -> Box:
    """Return the part of the image that the views cover together."""
    lefts, tops, rights, bottoms = zip(*(view.box for view in views), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def laid_over(views: Sequence[View], values: npt.NDArray[np.floating]) -> Grid:
    """Lay the values of patches over an image, keeping their sum.

    One view's patches are the grid. The patches of several are shared out among the cells of a grid over all
    of them, as fine as the finest view, by the area that they have in common.

    Args:
        views: what the model saw of the image.
        values: (N,) of the patches of the views in turn.

    Returns:
        (H, W) float32, row by row over `box_of(views)`.
    """
    if len(views) == 1:
        return np.asarray(values.reshape(views[0].grid), np.float32)  # (H * W,) -> (H, W)
    left, top, right, bottom = box_of(views)
    columns = _count(right - left, [(view.box[2] - view.box[0]) / view.grid[1] for view in views])
    rows = _count(bottom - top, [(view.box[3] - view.box[1]) / view.grid[0] for view in views])
    laid = np.zeros((rows, columns), np.float32)
    at = 0
    for view in views:
        grid = values[at : at + view.count].reshape(view.grid)
        down = _shares(view.box[1], view.box[3], view.grid[0], top, bottom, rows)
        across = _shares(view.box[0], view.box[2], view.grid[1], left, right, columns)
        laid += down @ grid @ across.T  # (H, h) (h, w) (w, W) -> (H, W)
        at += view.count
    return laid


def _count(length: float, cells: Sequence[float]) -> int:
    """Return how many cells of the finest kind a length has."""
    return min(MOST, math.ceil(length / min(cells) - 1e-6))


def _shares(start: float, end: float, count: int, first: float, last: float, cells: int) -> Grid:
    """Return which share of each of `count` parts of [start, end] lies in each cell: (cells, count)."""
    parts = np.linspace(start, end, count + 1)
    edges = np.linspace(first, last, cells + 1)
    common = np.minimum(edges[1:, None], parts[None, 1:]) - np.maximum(edges[:-1, None], parts[None, :-1])
    return np.asarray(common.clip(0) / (parts[1:] - parts[:-1]), np.float32)
