"""What the browser needs to draw a map: places, groups, and a line or a small picture of each item."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from embedsearch.backends import Rows
from embedsearch.items import FIELD
from embedsearch.maps import Map
from embedsearch.records import Unit
from embedsearch.search import Hit
from embedsearch.store import Build
from embedsearch.ui import cards, thumbnails

SHOWN = 4000  # items drawn
PICTURES, SIDE = 600, 112  # items with a picture each, and its side in pixels
TITLE, NOTES, NOTE = 160, 3, 60  # characters of a title, fields, and characters of each
# Paul Tol, Colour Schemes (2021): "muted" and "light", which people tell apart who don't see red or green
COLOURS = {
    "light": ("#332288", "#CC6677", "#117733", "#88CCEE", "#882255", "#999933", "#AA4499", "#44AA99"),
    "dark": ("#77AADD", "#EE8866", "#44BB99", "#EEDD88", "#FFAABB", "#BBCC33", "#99DDFF", "#DDDDDD"),
}


def plot(build: Build, made: Map, rows: Rows, chosen: int, nearest: list[int]) -> dict[str, Any]:
    """Return the data of the plot, plain JSON values.

    Args:
        build: the index.
        made: its map.
        rows: (m,) the items drawn, ascending.
        chosen: a row that is drawn in any case, as are its `nearest`; -1 for none.
        nearest: rows.
    """
    drawn = np.union1d(rows, [row for row in (chosen, *nearest) if row >= 0]).astype(np.int64)
    points = made.points[drawn]
    place = {row: at for at, row in enumerate(drawn.tolist())}
    items = _items(str(build.folder), build, tuple(drawn.tolist()))
    return {
        "index": build.manifest.name,
        "row": drawn.tolist(),
        "x": [round(float(x), 5) for x in points["x"]],
        "y": [round(float(y), 5) for y in points["y"]],
        "group": points["cluster"].tolist(),
        "kept": [None if np.isnan(share) else round(float(share), 3) for share in points["kept"]],
        "k": min(made.facts["neighbours"], max(1, len(made.points) - 1)),
        "groups": [{key: each[key] for key in ("name", "size", "x", "y")} for each in made.facts["clusters"]],
        "colours": COLOURS,
        "chosen": place.get(chosen, -1),
        "neighbours": [place[row] for row in nearest],
        **items,
    }


@st.cache_data(max_entries=12, show_spinner=False)
def _items(folder: str, _build: Build, rows: tuple[int, ...]) -> dict[str, Any]:  # noqa: ARG001  the cache's key
    columns = _build.items.column_names
    fields = [name for name in columns if name.startswith(FIELD)]
    values = _build.read(rows, ["id", "text", "path", "start", "end", "picture", *fields])
    pictures = _build.manifest.unit is Unit.IMAGE and len(rows) <= PICTURES
    titles, notes, small = [], [], []
    for at in range(len(rows)):
        start = values["start"][at]
        hit = Hit(
            0,
            values["id"][at],
            0.0,
            _build.manifest.unit.modality,
            values["text"][at],
            values["path"][at],
            None if start is None else (start, values["end"][at]),
            {name.removeprefix(FIELD): values[name][at] for name in fields},
            values["picture"][at],
        )
        titles.append(_title(hit))
        told = [f"{name}: {str(value)[:NOTE]}" for name, value in hit.fields.items() if value is not None]
        notes.append(" · ".join(told[:NOTES]))
        small.append(_small(hit) if pictures else None)
    return {"title": titles, "note": notes, "pictures": small if pictures else None}


def _title(hit: Hit) -> str:
    """Return an item in one line; of a word, it in brackets within what stands around it."""
    if hit.span and hit.text:
        start, end = hit.span
        left, right = max(0, start - TITLE // 3), min(len(hit.text), end + TITLE // 3)
        around = f"{hit.text[left:start]}[{hit.text[start:end]}]{hit.text[end:right]}"
        return ("…" if left else "") + around + ("…" if right < len(hit.text) else "")
    whole = cards.title(hit)
    return whole if len(whole) <= TITLE else whole[: TITLE - 1].rstrip() + "…"


def _small(hit: Hit) -> str | None:
    """Return a picture as a `data:` address, or None where it can't be read."""
    thumbnail = thumbnails.of_bytes(hit.picture) if hit.picture else thumbnails.of_file(hit.path or "")
    if thumbnail is None:
        return None
    image = Image.open(io.BytesIO(thumbnail))
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=70)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
