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


@dataclass(frozen=True, slots=True)
class View:
    """What a model saw of an image at once.

    Attributes:
        grid: rows and columns of its patches, which lie row by row.
        box: which part of the upright image they cover.
    """

    grid: tuple[int, int]
    box: Box = WHOLE

    @property
    def count(self) -> int:
        """How many patches it has."""
        return self.grid[0] * self.grid[1]


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
        views: of an image, what the model saw of it; the patches of the views in turn are the last of
            `rows`. Empty for texts.
        truncated: whether the model's limit cut the text.
        note: what was done to show what an image holds, in sentences; often empty.
    """

    rows: Vectors
    weights: npt.NDArray[np.float32]
    vector: Vectors
    exact: bool
    names: tuple[str, ...]
    spans: tuple[Span | None, ...]
    views: tuple[View, ...] = ()
    truncated: bool = False
    note: str = ""
