"""What an explanation of a hit holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedsearch.distances.metric import Metric
from embedsearch.encoders.hidden_states import WHOLE, Box
from embedsearch.modalities import QueryForm
from embedsearch.records import Span


@dataclass(frozen=True, slots=True)
class Part:
    """A token or a word of an item, or a token that stands for no part of it.

    Attributes:
        text: the part's text; of a special token its name.
        span: `[start, end)` in the item's text; None for special tokens and tokens of a prompt.
        score: what it adds to the score; of a word around the item's word, what is lost without it.
    """

    text: str
    span: Span | None
    score: float


@dataclass(frozen=True, slots=True)
class ColumnPart:
    """A column of a row, and how far apart the query and the item are in it.

    Attributes:
        name: of the column.
        asked: the value of the query; empty where it is missing, None where the query is no single row.
        held: the value of the item; empty where it is missing.
        apart: what the column adds to the distance, or to its square for l2.
        typical: the mean of that over random pairs of items.
    """

    name: str
    asked: str | None
    held: str
    apart: float
    typical: float


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Which parts made the score of a hit.

    `score` is the sum of `tokens` (or of `grid`, or of `columns`) and `rest`. Where `exact`, it is
    `similarity` to 1e-4.

    Attributes:
        id: the item's; of a moment that of its record, with `#` and the millisecond.
        kind: `text`, `image`, `row`, or `word` (one word or token in its sentence).
        metric: of the index.
        score: the sum of all parts.
        similarity: what the parts add up to where `exact`: 1 - `recomputed` for cosine, -`recomputed` for ip,
            and for l2 the cross term q.v, with recomputed^2 = |q|^2 + |v|^2 - 2 q.v. Of a row it is the
            distance, or its square for l2.
        recomputed: the distance to the item's vector, computed again in float32.
        stored: the distance to the vector that the index holds.
        query_norm: |q|.
        norm: |v|, of the vector computed again.
        scores: (T,) float32, all tokens in their order, special ones included; of an image all rows.
        tokens: the tokens of the text; none for images.
        words: the same, with the tokens of each word summed; what stands between words is a part of its own.
        rest: special tokens, tokens of a prompt, and the CLS and register tokens of an image.
        grid: (H, W) float32, the score of each patch; None for texts. Of an image that the model saw in two
            views, the scores of both, shared out among the cells of one grid.
        typical: (H, W) float32, the score that each patch would have with the average item of the index,
            w_t m.h_t / |v| for cosine, m the mean of the items' unit vectors; None for texts, and for a
            image found by its projection among texts, where nothing is subtracted.
        box: left, top, right, bottom of the grid as shares of the upright image's sides; the model sees no
            more of it. Beyond [0, 1] where the image is padded.
        cover: (H, W) float32, the share of the vector that each cell of `grid` has, where two views overlap;
            None where all have the same.
        neighbours: of a word, the words around it in its sentence; the score of each is how much smaller the
            similarity is without it.
        only_here: of a word, the words of its sentence that the query's sentence does not have.
        only_asked: the words of the query's sentence that this sentence does not have.
        columns: of a row its columns, first those that are nearer than in random pairs.
        exact: whether the parts add up; False for an approximation, which `note` explains.
        note: what to know about it, in sentences; often empty.
    """

    id: str
    kind: QueryForm
    metric: Metric
    score: float
    similarity: float
    recomputed: float
    stored: float
    query_norm: float
    norm: float
    scores: npt.NDArray[np.float32]
    tokens: tuple[Part, ...]
    words: tuple[Part, ...]
    rest: tuple[Part, ...]
    exact: bool
    note: str
    grid: npt.NDArray[np.float32] | None = None
    typical: npt.NDArray[np.float32] | None = None
    box: Box = WHOLE
    cover: npt.NDArray[np.float32] | None = None
    neighbours: tuple[Part, ...] = ()
    only_here: tuple[str, ...] = ()
    only_asked: tuple[str, ...] = ()
    columns: tuple[ColumnPart, ...] = ()

    @property
    def heat(self) -> npt.NDArray[np.float32] | None:
        """How much more each patch scores with the query than with the average item, (H, W) float32.

        `grid` is `typical` + `heat`, or `heat` alone where there is no `typical`. A patch with large hidden
        states has a high score for every query, which cancels here.
        """
        return self.grid if self.grid is None or self.typical is None else self.grid - self.typical

    @property
    def drawn(self) -> npt.NDArray[np.float32] | None:
        """The heat as it is drawn, (H, W) float32, at least 0; None for texts.

        Where there is no average item, patches are compared with the lowest one of the image, and the
        difference is squared, as nearly all patches of an image full of what was asked fit well. Where two
        views overlap, the heat is that of one: what is seen twice is no hotter.
        """
        if self.heat is None:
            return None
        heat = self.heat if self.cover is None else self.heat * self.cover.mean() / self.cover
        above = np.maximum(heat if self.typical is not None else heat - heat.min(), 0)
        return np.asarray(above if self.typical is not None else above**2, np.float32)
