"""The same comparison by each hidden layer, CLS beside mean: small multiples of the heat map."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import streamlit as st

from embedsearch.distances.metric import Metric, Vectors, distances
from embedsearch.encoders import Encoder, open_encoder
from embedsearch.errors import ModelError
from embedsearch.recipe import EncoderRecipe

POOLINGS = {"cls": "the [CLS] token", "mean": "the mean of all tokens"}
MOST = 12  # layers that are shown; of a deeper model at equal steps
DEEPEST = 70  # percent of the accent
BUTTON = "relatedness-layers"
Far = dict[str, dict[int, Vectors]]


def show(recipe: EncoderRecipe, texts: Sequence[str]) -> None:
    """Offer to compare texts by each layer of a model, and show what came of it.

    Args:
        recipe: of the encoder that compares them.
        texts: two or more.
    """
    with st.container(key="es-layers"):
        st.html(
            '<h2 class="es-h">Layer by layer</h2><p class="es-quiet">A model has a vector for each token '
            "after each of its layers. Which layer is taken, and whether its [CLS] token or the mean of all "
            "tokens, changes what counts as near.</p>"
        )
        if not st.toggle("Compare them by each layer", key=BUTTON):
            return
        with st.spinner("Comparing by each layer …"):
            far = by_layer(recipe, tuple(texts))
        st.html(drawn(far))


@st.cache_data(max_entries=40, show_spinner=False)
def by_layer(recipe: EncoderRecipe, texts: tuple[str, ...]) -> Far:
    """Return the cosine distances of texts, (n, n), by pooling and layer; layer 0 is the embedding of tokens.

    Raises:
        ModelError: the model can't be loaded.
    """
    opened: list[Encoder] = []  # while one is open, the others share its weights
    layers = _layers(recipe, opened)
    found: Far = {}
    for pooling in POOLINGS:
        for layer in layers:
            encoder = open_encoder(replace(recipe, pooling=pooling, layers=(layer,)))
            opened.append(encoder)
            vectors = encoder.encode(list(texts), "query")  # (n, d)
            found.setdefault(pooling, {})[layer] = distances(vectors, vectors, Metric.COSINE)
    return found


def _layers(recipe: EncoderRecipe, opened: list[Encoder]) -> list[int]:
    """Return which layers there are, from 0, of a deep model at most `MOST`."""
    count = 0
    try:
        for layer in range(1, 100):
            opened.append(open_encoder(replace(recipe, layers=(-layer - 1,))))
            count = layer
    except ModelError:
        if not count:
            raise
    return sorted({round(float(each)) for each in np.linspace(0, count, min(count + 1, MOST))})


def drawn(far: Far) -> str:
    """Return the HTML of a small heat map for each pooling and layer; each is shaded by its own ends."""
    rows = []
    for pooling, by in far.items():
        last = max(by)
        maps = "".join(_small(each, layer, pooling, last) for layer, each in by.items())
        rows.append(
            f'<p class="es-label">{html.escape(POOLINGS[pooling])}</p><div class="es-multiples">{maps}</div>'
        )
    return (
        f'<div class="es-layers">{"".join(rows)}<p class="es-quiet">Each square is one pair: the darker, '
        "the nearer, among the pairs of its own map. Under a map stands its farthest distance: where that is "
        "near 0, all texts look alike to this layer. Framed: the pair that is nearest.</p></div>"
    )


def _small(far: Vectors, layer: int, pooling: str, last: int) -> str:
    count = len(far)
    rows, columns = np.triu_indices(count, 1)
    apart = far[rows, columns]
    low, high = float(apart.min()), float(apart.max())
    best = int(np.argmin(apart))
    near = {(int(rows[best]), int(columns[best])), (int(columns[best]), int(rows[best]))}
    cells = []
    for row in range(count):
        for column in range(count):
            if row == column:
                cells.append('<i class="es-itself"></i>')
                continue
            value = float(far[row, column])
            depth = DEEPEST * (1 - (value - low) / (high - low)) if high > low else 0
            framed = ' class="es-nearest"' if (row, column) in near and high > low else ""
            title = f"{row + 1} and {column + 1}: {value:.4f}"
            cells.append(f'<i{framed} style="--share: {depth:.1f}%" title="{title}"></i>')
    name = "tokens" if layer == 0 else f"layer {layer}{' (last)' if layer == last else ''}"
    one, other = min(near)
    said = f"{POOLINGS[pooling]}, {name}: {one + 1} and {other + 1} are nearest, the farthest {high:.2g}"
    return (
        f'<figure role="img" aria-label="{html.escape(said)}">'
        f'<div style="--count: {count}">{"".join(cells)}</div>'
        f"<figcaption>{name}<small>{high:.2g}</small></figcaption></figure>"
    )
