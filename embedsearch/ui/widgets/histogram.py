"""The distances of random pairs as a histogram, with the pairs that are compared marked in it."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedsearch.analysis.compare import Comparison
from embedsearch.distances.metric import Metric
from embedsearch.distances.pairs import Pairs
from embedsearch.ui.widgets.compared_items import Compared
from embedsearch.ui.widgets.matrix import said

BINS = 64
TICKS = 6
SAME_PLACE = 0.6  # percent of the width: pairs so near to one another share a mark
LANES = 4  # rows of labels over the bars; a mark whose label has no room has none
EDGE = 4  # percent of the width, where a label in the middle of its line would stick out
LETTER, GAP = 2.3, 1.5  # percent of a phone's width


@dataclass(frozen=True, slots=True)
class Mark:
    """One or more pairs at one place.

    Attributes:
        at: the place, in percent of the width.
        label: the pair's numbers; of several the nearest one's, and how many more.
        pairs: the pairs with their distances, a line each.
        lane: the row of its label, from the top; None where there is no room for it.
    """

    at: float
    label: str
    pairs: str
    lane: int | None


def histogram(made: Comparison, pairs: Pairs, things: Sequence[Compared]) -> str:
    """Return the HTML of the histogram."""
    low, high = _range(made, pairs)
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    shares = pairs.histogram(np.linspace(low, high, BINS + 1, dtype=np.float32))
    bars = "".join(f'<i style="height: {100 * share / shares.max():.1f}%"></i>' for share in shares)
    marks = _marks(made, things, low, high)
    lanes = 1 + max(mark.lane for mark in marks if mark.lane is not None)
    lines = "".join(_mark(mark, lanes) for mark in marks)
    many = len(things) * (len(things) - 1) // 2
    scale = "".join(f'<span style="left: {_place(tick, low, high):.1f}%">{tick:g}</span>' for tick in ticks)
    return (
        f'<figure class="es-histogram"><div class="es-plot" style="--lanes: {lanes}" role="group" '
        f'aria-label="Distances of random pairs, with {many} marked">'
        f'<div class="es-bars" aria-hidden="true">{bars}</div>{lines}</div>'
        f'<div class="es-scale" aria-hidden="true">{scale}</div>'
        f'<p class="es-ends"><span>← more related</span><span>{made.metric} distance</span></p>'
        f'<figcaption class="es-quiet">{_read(pairs, many)}</figcaption></figure>'
    )


def _read(pairs: Pairs, many: int) -> str:
    yours = "the line is your pair" if many == 1 else "the lines are your pairs"
    return (
        f"The grey hill shows random pairs of {html.escape(pairs.of)}; {yours}. A line left of the hill is "
        "closer than chance; a line inside it is as close as any two."
    )


def _range(made: Comparison, pairs: Pairs) -> tuple[float, float]:
    apart = made.distances[np.triu_indices(len(made.distances), 1)]
    low = min(float(apart.min()), float(pairs.distances[0])) if made.metric is Metric.IP else 0.0
    high = max(float(apart.max()), float(pairs.distances[-1]))
    return low, high if high > low else low + 1.0


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers from one at or under `low` to one at or over `high`."""
    rough = (high - low) / (TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step), math.ceil(high / step - 1e-6)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _place(distance: float, low: float, high: float) -> float:
    return 100 * min(max((distance - low) / (high - low), 0.0), 1.0)


def _marks(made: Comparison, things: Sequence[Compared], low: float, high: float) -> list[Mark]:
    """Return the marks from left to right; labels go into the first row that has room for them."""
    rows, columns = np.triu_indices(len(things), 1)
    order = np.argsort(made.distances[rows, columns], kind="stable")
    groups: list[tuple[float, list[tuple[int, int]]]] = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        at = _place(float(made.distances[row, column]), low, high)
        if groups and at - groups[-1][0] <= SAME_PLACE:
            groups[-1][1].append((row, column))
        else:
            groups.append((at, [(row, column)]))
    ends = [-math.inf] * LANES
    marks = []
    for at, members in groups:
        names = [f"{things[row].number}–{things[column].number}" for row, column in members]
        label = names[0] + (f" +{len(names) - 1}" if len(names) > 1 else "")
        half = len(label) * LETTER / 2
        lane = next((lane for lane, end in enumerate(ends) if end + GAP <= at - half), None)
        if lane is not None:
            ends[lane] = at + half
        text = "\n".join(
            f"{name}: {said(made, row, column)}" for name, (row, column) in zip(names, members, strict=True)
        )
        marks.append(Mark(at, label, text, lane))
    return marks


def _mark(mark: Mark, lanes: int) -> str:
    side = " es-right" if mark.at > 50 else " es-left" if mark.at < EDGE else ""
    label = "" if mark.lane is None else f"<b>{mark.label}</b>"
    text = html.escape(mark.pairs)
    lane = lanes - 1 if mark.lane is None else mark.lane  # a line without a label does not cross the others'
    return (
        f'<span class="es-pair{side}" role="img" aria-label="{text}" data-pairs="{text}" '
        f'style="left: {mark.at:.2f}%; --lane: {lane}">{label}</span>'
    )
