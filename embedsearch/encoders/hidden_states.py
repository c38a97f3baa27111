"""One item's hidden states, before they become one vector, and what each stands for. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedsearch.distances.metric import Vectors
from embedsearch.records import Span

# left, top, right, bottom, as shares of an image's width and height
Box = tuple[float, float, float, float]
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class HiddenStates:
    """The hidden states of one item.

    Attributes:
        rows: (T, d) float32, behind the same map as the vector (Dense layers, where there are some).
        weights: (T,) float32, the share of each row in the vector: it is `weights @ rows` where `exact`.
        vector: (d,) float32, the item's vector.
        exact: whether the vector is that mean; for `[CLS]` pooling and maps that bend it is not.
        names: (T,) the token as the model calls it, or empty for a patch of an image.
        spans: (T,) `[start, end)` in the item's text; None for tokens that stand for no part of it (special
            tokens, a prompt's) and for patches.
        grid: rows and columns of the patches, the last H * W of `rows`, row by row; None for texts.
        box: which part of the upright image the grid covers.
        truncated: whether the model's limit cut the text.
    """

    rows: Vectors
    weights: npt.NDArray[np.float32]
    vector: Vectors
    exact: bool
    names: tuple[str, ...]
    spans: tuple[Span | None, ...]
    grid: tuple[int, int] | None = None
    box: Box = WHOLE
    truncated: bool = False
