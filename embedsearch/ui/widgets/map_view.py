"""How a map is looked at, as the address says it: colours, what is singled out, a range, and an area."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from embedsearch.backends import Mask, Rows
from embedsearch.distances.metric import Vectors
from embedsearch.ui.map_files import DrawnMap, Floats
from embedsearch.ui.widgets.filters import Choice, Dates, Facet, Range, days, ends

COLOUR, ONLY, OVER, BETWEEN, AREA = "colour", "only", "over", "between", "area"
PARAMETERS = (COLOUR, ONLY, OVER, BETWEEN, AREA)  # of the address; they mean one index's fields and places
CORNERS = 120  # of an area, at most
EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class View:
    """How a map is looked at.

    Attributes:
        colour: the field that items are coloured by; None for their groups.
        only: the number of the group or of the value that is singled out; -1 for none.
        over: the field that the slider is for; None for no slider.
        between: the first and the last value (or day since 1970) that the slider leaves; None for all.
        area: (v, 2) the corners of the area that was chosen; None without one.
    """

    colour: Facet | None = None
    only: int = -1
    over: Range | Dates | None = None
    between: tuple[float, float] | None = None
    area: Floats | None = None


def view_of(parameters: Mapping[str, Sequence[str]], facets: Mapping[str, Facet]) -> View:
    """Return how the address looks at a map; what it says wrongly is ignored."""
    said = {name: parameters[name][-1] for name in PARAMETERS if parameters.get(name)}
    over = facets.get(said.get(OVER, ""))
    if not isinstance(over, Range | Dates):
        over = None
    only = said.get(ONLY, "")
    return View(
        facets.get(said.get(COLOUR, "")),
        int(only) if only.isdecimal() and len(only) < 4 else -1,
        over,
        _between(over, said.get(BETWEEN, "")),
        _area(said.get(AREA, "")),
    )


def _between(over: Range | Dates | None, text: str) -> tuple[float, float] | None:
    if over is None or not text:
        return None
    if isinstance(over, Range):
        return ends(over, [text])
    first, last = days(over, [text])
    return first.toordinal() - EPOCH, last.toordinal() - EPOCH


def _area(text: str) -> Floats | None:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        return None
    whole = len(numbers) % 2 == 0 and 6 <= len(numbers) <= 2 * CORNERS
    return np.array(numbers).reshape(-1, 2) if whole and all(map(math.isfinite, numbers)) else None


def selected(drawn: DrawnMap, view: View) -> Rows:
    """Return the items of the index that lie in the chosen area and are not dimmed, (n,) ascending."""
    if view.area is None:
        return np.empty(0, np.int64)
    mask = inside(drawn.xy, view.area)
    if view.only >= 0 and not isinstance(view.colour, Range | Dates):
        groups = drawn.map.points["cluster"] if view.colour is None else drawn.values(view.colour.field)
        mask &= groups == view.only
    if view.over is not None and view.between is not None:
        values = drawn.values(view.over.field)
        if isinstance(view.over, Dates):
            values = np.floor(values)
        mask &= (values >= view.between[0]) & (values <= view.between[1])
    return np.flatnonzero(mask)


def inside(points: Vectors, corners: Floats) -> Mask:
    """Return which points lie in a polygon: a ray to the right crosses its sides an odd number of times.

    Args:
        points: (n, 2).
        corners: (v, 2), in order.

    Returns:
        (n,) of truth values.
    """
    x, y = points[:, 0].astype(np.float64), points[:, 1].astype(np.float64)
    odd = np.zeros(len(points), bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y1 != y2:
            crosses = (y1 > y) != (y2 > y)
            with np.errstate(over="ignore", invalid="ignore"):  # corners may be huge
                odd ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return odd


def as_data(drawn: DrawnMap, view: View) -> dict[str, Any]:
    """Return what the plot draws of a view, plain JSON values."""
    fields = drawn.facets.values()
    return {
        "fields": [facet.field for facet in fields],
        "ranges": [facet.field for facet in fields if not isinstance(facet, Choice)],
        "colour": _described(drawn, view.colour),
        "only": view.only,
        "over": None if view.over is None else {**_described(drawn, view.over), **_slider(view)},
        "area": None if view.area is None else view.area.tolist(),
    }


def _described(drawn: DrawnMap, facet: Facet | None) -> dict[str, Any]:
    if facet is None:
        return {"field": "", "kind": "group"}
    if isinstance(facet, Choice):
        names = drawn.names(facet)
        counts = [facet.options[name] for name in names]
        rest = sum(facet.options.values()) - sum(counts)
        others = ([None], [rest]) if rest else ([], [])
        return {
            "field": facet.field, "kind": "choice", "names": names + others[0], "counts": counts + others[1],
        }  # fmt: skip
    if isinstance(facet, Dates):
        low, high = facet.low.toordinal() - EPOCH, facet.high.toordinal() - EPOCH
        return {"field": facet.field, "kind": "date", "low": low, "high": high, "step": 1}
    return {
        "field": facet.field, "kind": "number", "low": facet.low, "high": facet.high, "step": facet.step,
    }  # fmt: skip


def _slider(view: View) -> dict[str, Any]:
    assert view.over is not None
    return {} if view.between is None else {"from": view.between[0], "to": view.between[1]}
