"""Distances of each to each as a table with shaded cells."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence

import numpy as np

from embedsearch.analysis.compare import Comparison
from embedsearch.distances.metric import Metric
from embedsearch.distances.pairs import percentile_phrase, shown_percentile
from embedsearch.records import Sentence
from embedsearch.ui.widgets import cards
from embedsearch.ui.widgets.compared_items import Compared

FITTING = 5  # columns on a phone
DEEPEST = 65  # percent of the accent, over which text is still easy to read in both themes
ALIKE = 99.0  # percent of random pairs that are farther apart than all of these
SHORT = 70  # characters of a text
AROUND = 24  # characters shown on each side of a word
_END = re.compile(r"(?<=<)(?=/)|(?<=[-!\]])(?=>)")


def heat_map(made: Comparison, things: Sequence[Compared]) -> str:
    """Return the HTML of the matrix of distances: the nearer, the deeper a cell is shaded."""
    low, high, names = ends(made)
    nearest = {made.nearest(), made.nearest()[::-1]}
    heads = "".join(
        f'<th scope="col" title="{_attribute(full(thing))}">{small(thing)}<b>{thing.number}</b></th>'
        for thing in things
    )
    rows = []
    for row, thing in enumerate(things):
        cells = []
        for column, other in enumerate(things):
            if row == column:
                cells.append('<td class="es-itself">–</td>')
                continue
            distance = float(made.distances[row, column])
            depth = round(DEEPEST * (1 - min(max((distance - low) / (high - low), 0), 1)), 1)
            mark = ' class="es-nearest"' if (row, column) in nearest else ""
            text = html.escape(f"{thing.number} and {other.number}: {said(made, row, column)}")
            shown = cards.number(distance)
            if made.percentiles is not None:
                shown += f"<small>{shown_percentile(float(made.percentiles[row, column]))} %</small>"
            cells.append(f'<td{mark} style="--share: {depth}%" title="{text}">{shown}</td>')
        head = f'<th scope="row" title="{_attribute(full(thing))}"><div>{small(thing)}<b>{thing.number}</b>'
        rows.append(f"<tr>{head}<span>{short(thing)}</span></div></th>{''.join(cells)}</tr>")
    under = "" if made.percentiles is None else "; below it, the share of random pairs that are farther apart"
    many = f'<p class="es-quiet es-wide">{len(things)} columns: scroll sideways →</p>'
    wide = many if len(things) > FITTING else ""
    return (
        f'<figure class="es-matrix">{wide}<div class="es-scroll" role="region" tabindex="0" '
        'aria-label="Distance of each pair"><table>'
        f"<thead><tr><td></td>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        f'<figcaption><span class="es-quiet">The {made.metric} distance of each pair{under}.</span>'
        f"{_legend(low, high, names)}</figcaption></figure>"
    )


def ends(made: Comparison) -> tuple[float, float, tuple[str, str]]:
    """Return the distances that are shaded most and not at all, and what they are.

    From 0 to where half of the random pairs are farther apart. Where things lie closer than 0 can say (`ip`)
    the nearest of these counts, and without pairs the farthest; both where all of these are nearer than
    nearly all random pairs, as one word is in several sentences, and would be shaded alike.
    """
    apart = made.distances[np.triu_indices(len(made.distances), 1)]
    low, high = (float(apart.min()), "the nearest of these"), (float(apart.max()), "the farthest of these")
    alike = made.percentiles is not None and made.percentiles.min() >= ALIKE and apart.max() > apart.min()
    if made.metric is not Metric.IP and not alike:
        low = (0.0, "the same")
    if made.pairs is not None and not alike:
        high = (float(np.interp(0.5, made.pairs.shares, made.pairs.distances)), "the median of random pairs")
    return low[0], high[0] if high[0] > low[0] else low[0] + 1.0, (low[1], high[1])


def said(made: Comparison, row: int, column: int) -> str:
    """Return what is known of a pair, such as "related, 0.3214, closer than 99.9 % of random pairs"."""
    distance = cards.number(float(made.distances[row, column]))
    if made.pairs is None:
        return distance
    label = made.pairs.label(float(made.distances[row, column]))
    return ", ".join(each for each in (label, distance, share(made, row, column)) if each)


def share(made: Comparison, row: int, column: int) -> str:
    """Return how a pair lies among the random ones, as its label does; nothing where there are too few."""
    label = None if made.pairs is None else made.pairs.label(float(made.distances[row, column]))
    if label is None or made.percentiles is None:
        return ""
    return percentile_phrase(label, float(made.percentiles[row, column])).replace(" %", "\u00a0%")


def full(thing: Compared) -> str:
    """Return a thing's name in full."""
    if isinstance(thing.content, Sentence):
        ((start, end),) = thing.content.spans or ((0, 0),)
        return f"“{thing.content.text[start:end]}” in: {thing.content.text}"
    return thing.content if isinstance(thing.content, str) else f"Image {thing.number}"


def short(thing: Compared) -> str:
    """Return the HTML of a thing's name in a line or two, a word marked in its sentence."""
    if isinstance(thing.content, Sentence):
        text = thing.content.text
        ((start, end),) = thing.content.spans or ((0, 0),)
        left, right = max(0, start - AROUND), min(len(text), end + AROUND)
        return (
            f"{'…' if left else ''}{html.escape(text[left:start])}<mark>{html.escape(text[start:end])}</mark>"
            f"{html.escape(text[end:right])}{'…' if right < len(text) else ''}"
        )
    if isinstance(thing.content, str):
        text = " ".join(thing.content.split())
        return html.escape(text if len(text) <= SHORT else text[: SHORT - 1].rstrip() + "…")
    return "" if thing.image else f"Image {thing.number}"


def _attribute(text: str) -> str:
    """Return a text as an attribute's value.

    Streamlit drops attributes that hold the end of a tag or of a comment, so a word joiner, which can't
    be seen, breaks them.
    """
    return html.escape(_END.sub("\u2060", text))


def small(thing: Compared) -> str:
    """Return the HTML of an image's thumbnail; nothing for a text."""
    if thing.image is None:
        return ""
    data = base64.b64encode(thing.image).decode()
    return f'<img alt="Image {thing.number}" src="data:image/jpeg;base64,{data}">'


def _legend(low: float, high: float, names: tuple[str, str]) -> str:
    return (
        f'<span class="es-legend"><span>{cards.number(low)} {names[0]}</span><i aria-hidden="true"></i>'
        f"<span>{cards.number(high)} {names[1]}</span></span>"
    )
