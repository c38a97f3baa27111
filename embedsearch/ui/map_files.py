"""What a browser fetches of a map: places, values of a field, names of parts, and items that are looked at.

Streamlit would send all of it with every run; here a browser keeps it as long as the build is the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from threading import Lock

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from starlette.responses import Response

from embedsearch.artifacts.map import inputs_of
from embedsearch.backends import Rows
from embedsearch.distances.metric import Vectors
from embedsearch.errors import EmbedsearchError
from embedsearch.index import Index
from embedsearch.maps import Map
from embedsearch.maps.inputs import xy_of
from embedsearch.maps.regions import regions
from embedsearch.records import as_text
from embedsearch.results import Hit
from embedsearch.store.items import FIELD
from embedsearch.ui import media
from embedsearch.ui.widgets import cards
from embedsearch.ui.widgets.filters import Choice, Dates, Facet

PATH = "/_es_map/"
KNOWN = 12  # maps whose files can be fetched: the newest, as many as `cached` keeps
NAMED = 7  # values of a field that have a colour of their own; the others share one
AT_ONCE = 100  # items of a request
TITLE, NOTES, NOTE = 160, 3, 60  # characters of a title, fields, and characters of each
NOT_MEASURED = 255
DAY = 86_400_000  # milliseconds
Floats = npt.NDArray[np.float64]
_SECRET = secrets.token_bytes(16)  # so that no address can be guessed


@dataclass(frozen=True)
class DrawnMap:
    """A map, and which of its items the page draws.

    Attributes:
        searcher: the index.
        map: its map.
        rows: (m,) the items drawn, ascending.
        stored: whether the build carries the map; else it was computed for the page.
        facets: the fields that items can be coloured by, by name.
    """

    searcher: Index
    map: Map
    rows: Rows
    stored: bool
    facets: dict[str, Facet]

    @cached_property
    def xy(self) -> Vectors:
        """Where each item of the index lies, (n, 2)."""
        return xy_of(self.map.points)

    def names(self, facet: Choice) -> list[str]:
        """Return the values of a field that have a colour of their own, the frequent ones first."""
        return sorted(facet.options, key=lambda value: -facet.options[value])[: self._most(facet)]

    def _most(self, facet: Choice) -> int:
        return NAMED if len(facet.options) > NAMED + 1 else NAMED + 1

    def values(self, field: str) -> Floats:
        """Return what each item of the index has in a field, (n,) float64; NaN for nothing.

        That is the number; the days since 1970; or the place of the value among `names`, where all others
        have the place behind them.
        """
        facet, column = self.facets[field], self.searcher.build.items[FIELD + field]
        if isinstance(facet, Choice):
            texts = pc.cast(column, pa.string()) if facet.truth else pc.utf8_normalize(column, "NFC")
            names = self.names(facet)
            place = pc.fill_null(pc.index_in(texts, pa.array(names, pa.string())), len(names))
            column = pc.if_else(pc.is_null(column), pa.scalar(None, pa.int32()), place)
        elif isinstance(facet, Dates):
            column = pc.cast(pc.cast(column, pa.timestamp("ms"), safe=False), pa.int64())
            return _floats(column) / DAY
        return _floats(column)

    def points(self) -> bytes:
        """Return x and y as float32, the row as uint32, group and neighbours kept as uint8, one by one."""
        points = self.map.points[self.rows]
        kept = np.where(np.isnan(points["kept"]), NOT_MEASURED, points["kept"] * self.map.facts.neighbours)
        parts = (
            points["x"], points["y"], self.rows.astype("<u4"), points["cluster"].astype(np.uint8),
            np.rint(kept).astype(np.uint8),
        )  # fmt: skip
        return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)

    @cached_property
    def regions(self) -> bytes:
        """The names of parts of the map, as JSON: a list for each closer look."""
        found = regions(inputs_of(self.searcher.build), self.map.points, self.map.facts.settings.names)
        return json.dumps([[asdict(each) for each in level] for level in found]).encode()

    def items(self, rows: list[int]) -> bytes:
        """Return what there is to say of some items, as JSON."""
        hits = self.searcher.items(rows, [0.0] * len(rows))
        return json.dumps([self._item(hit) for hit in hits]).encode()

    def _item(self, hit: Hit) -> dict[str, object]:
        pictured = cards.is_image(hit) and not hit.is_gone
        named = cards.title(hit)
        notes = [
            f"{name}: {as_text(value)[:NOTE]}"
            for name, value in hit.fields.items()
            if value is not None and str(value) != named
        ]
        return {
            "row": hit.row,
            "title": _title(hit),
            "note": " · ".join(notes[:NOTES]),
            "image": media.of_hit(hit) + media.SMALL if pictured else None,
        }


def _floats(column: pa.ChunkedArray) -> Floats:
    """Return a column as (n,) float64, NaN for what is missing or infinite."""
    found = np.asarray(pc.fill_null(pc.cast(column, pa.float64(), safe=False), np.nan), np.float64)
    return np.where(np.isfinite(found), found, np.nan)


def _title(hit: Hit) -> str:
    """Return an item in one line; of a word, it in brackets within what stands around it."""
    if hit.span and hit.text:
        start, end = hit.span
        left, right = max(0, start - TITLE // 3), min(len(hit.text), end + TITLE // 3)
        around = f"{hit.text[left:start]}[{hit.text[start:end]}]{hit.text[end:right]}"
        return ("…" if left else "") + around + ("…" if right < len(hit.text) else "")
    whole = cards.title(hit)
    return whole if len(whole) <= TITLE else whole[: TITLE - 1].rstrip() + "…"


_known: OrderedDict[str, DrawnMap] = OrderedDict()
_lock = Lock()


def address(drawn: DrawnMap) -> str:
    """Return the address, relative to the page's, under which the files of a map are fetched."""
    folder = os.fsencode(drawn.searcher.build.folder)
    name = hashlib.blake2b(folder, digest_size=16, key=_SECRET).hexdigest()
    with _lock:
        _known[name] = drawn
        _known.move_to_end(name)
        while len(_known) > KNOWN:
            _known.popitem(last=False)
    return f".{PATH}{name}"


async def answer(path: str) -> Response:
    """Return what answers a request for an address: the file, or status 404."""
    name, _, file = path.removeprefix(PATH).partition("/")
    kind, _, what = file.partition("/")
    with _lock:
        drawn = _known.get(name)
    make = None if drawn is None else _maker(drawn, kind, what)
    if make is None:
        return Response(status_code=404)
    try:
        content = await asyncio.to_thread(make)
    except (EmbedsearchError, OSError):  # the build was deleted or damaged; the page itself says so
        return Response(status_code=404)
    is_json = kind in ("regions", "items")
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=86400"}
    return Response(content, 200, headers, "application/json" if is_json else "application/octet-stream")


def _maker(drawn: DrawnMap, kind: str, what: str) -> Callable[[], bytes] | None:
    """Return what makes a file; None where there is no such file."""
    if kind == "points":
        return drawn.points
    if kind == "regions":
        return lambda: drawn.regions
    if kind == "values" and what in drawn.facets:
        return lambda: np.take(drawn.values(what), drawn.rows).tobytes()
    if kind == "items":
        rows = [int(row) for row in what.split(",")[:AT_ONCE] if row.isdecimal() and len(row) < 12]
        return lambda: drawn.items([row for row in rows if row < len(drawn.searcher)])
    return None
