"""What the browser needs to draw a map: places, groups, and a line or a small image of each item."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from embedsearch.backends import Rows
from embedsearch.index import Index
from embedsearch.maps import Map
from embedsearch.modalities import Card, modality_of
from embedsearch.records import as_text
from embedsearch.results import Hit
from embedsearch.ui.widgets import cards, thumbnails

SHOWN = 4000  # items drawn
IMAGES, SIDE = 1000, 96  # items with an image each, and its side in pixels
TITLE, NOTES, NOTE = 160, 3, 60  # characters of a title, fields, and characters of each
# Paul Tol, Colour Schemes (2021): "muted" and "light", which people tell apart who don't see red or green
COLOURS = {
    "light": ("#332288", "#CC6677", "#117733", "#88CCEE", "#882255", "#999933", "#AA4499", "#44AA99"),
    "dark": ("#77AADD", "#EE8866", "#44BB99", "#EEDD88", "#FFAABB", "#BBCC33", "#99DDFF", "#DDDDDD"),
}


def plot(searcher: Index, made: Map, rows: Rows, chosen: int, nearest: list[int]) -> dict[str, Any]:
    """Return the data of the plot, plain JSON values.

    Args:
        searcher: the index.
        made: its map.
        rows: (m,) the items drawn, ascending.
        chosen: a row that is drawn in any case, as are its `nearest`; -1 for none.
        nearest: rows.
    """
    drawn = np.union1d(rows, [row for row in (chosen, *nearest) if row >= 0]).astype(np.int64)
    points = made.points[drawn]
    place = {row: at for at, row in enumerate(drawn.tolist())}
    items = _items(str(searcher.build.folder), searcher, tuple(drawn.tolist()))
    return {
        "index": searcher.manifest.name,
        "row": drawn.tolist(),
        "x": [round(float(x), 5) for x in points["x"]],
        "y": [round(float(y), 5) for y in points["y"]],
        "group": points["cluster"].tolist(),
        "kept": [None if np.isnan(share) else round(float(share), 3) for share in points["kept"]],
        "k": min(made.facts.neighbours, max(1, len(made.points) - 1)),
        "groups": [
            {"name": each.name, "size": each.size, "x": each.x, "y": each.y} for each in made.facts.clusters
        ],
        "colours": COLOURS,
        "chosen": place.get(chosen, -1),
        "neighbours": [place[row] for row in nearest],
        **items,
    }


@st.cache_data(max_entries=12, show_spinner=False)
def _items(folder: str, _searcher: Index, rows: tuple[int, ...]) -> dict[str, Any]:  # noqa: ARG001
    hits = _searcher.items(rows, [0.0] * len(rows))
    notes = []
    for hit in hits:
        named = cards.title(hit)
        described = [
            f"{name}: {as_text(value)[:NOTE]}"
            for name, value in hit.fields.items()
            if value is not None and str(value) != named
        ]
        notes.append(" · ".join(described[:NOTES]))
    images = modality_of(_searcher.manifest.unit).card is Card.IMAGE and len(rows) <= IMAGES
    return {
        "title": [_title(hit) for hit in hits],
        "note": notes,
        "images": [small(hit) for hit in hits] if images else None,
    }


def _title(hit: Hit) -> str:
    """Return an item in one line; of a word, it in brackets within what stands around it."""
    if hit.span and hit.text:
        start, end = hit.span
        left, right = max(0, start - TITLE // 3), min(len(hit.text), end + TITLE // 3)
        around = f"{hit.text[left:start]}[{hit.text[start:end]}]{hit.text[end:right]}"
        return ("…" if left else "") + around + ("…" if right < len(hit.text) else "")
    whole = cards.title(hit)
    return whole if len(whole) <= TITLE else whole[: TITLE - 1].rstrip() + "…"


def small(hit: Hit) -> str | None:
    """Return an image as a `data:` address, or None where it can't be read."""
    thumbnail = thumbnails.of_hit(hit)
    if thumbnail is None:
        return None
    image = Image.open(io.BytesIO(thumbnail))
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=70)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
