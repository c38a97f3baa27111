"""The items of an area that was chosen on the map: a list, files of them, and a search among them."""

from __future__ import annotations

import html
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st

from embedsearch.backends import Rows
from embedsearch.maps.export import save_items
from embedsearch.modalities import UNITS, modality_of
from embedsearch.query import Both, In, Tree
from embedsearch.results import Hit, Results
from embedsearch.ui import downloads, navigation, url_state
from embedsearch.ui.cached import Opened, drawn_map
from embedsearch.ui.map_files import DrawnMap
from embedsearch.ui.pages import MAP, SEARCH
from embedsearch.ui.widgets import hits, map_view, query_input, share
from embedsearch.ui.widgets.map_view import View

LISTED = hits.BLOCK  # items that are shown
TOGETHER = 500  # items that are read at once for a file: they may hold images
VISITOR = "map-visitor"
CLEARED = {map_view.AREA: ""}


def show(drawn: DrawnMap, view: View) -> None:
    """Show the items of the area.

    Args:
        drawn: the map.
        view: how it is looked at.
    """
    searcher, rows = drawn.searcher, map_view.selected(drawn, view)
    name, unit = searcher.manifest.name, searcher.manifest.unit
    with st.container(horizontal=True, vertical_alignment="center", key="es-area"):
        counted = f"{len(rows):,} of {len(searcher):,} {UNITS[unit].plural} in the area"
        st.html(f'<h2 class="es-announced">{counted}</h2>', width="content")
        if len(rows):
            if "id" not in searcher.manifest.fields:  # else a filter by `id` means that field
                now = url_state.parameters()
                kept = {each: now[each] for each in map_view.PARAMETERS if each in now}
                navigation.link(SEARCH.path, "Search these", SEARCH.icon, {"index": [name], **kept})
            st.html(_files(drawn, view), width="content")
        st.button(
            "Clear the area", icon=":material/close:", on_click=url_state.change, args=(CLEARED,),
            key="map-clear-area",
        )  # fmt: skip
    if not len(rows):
        return
    listed = rows[np.unique(np.linspace(0, len(rows) - 1, min(LISTED, len(rows))).astype(int))]
    if len(listed) < len(rows):
        st.html(f'<p class="es-quiet">{len(listed)} of them, spread over the index; the files have all.</p>')
    look = hits.Look(modality_of(unit).card, dense=True)
    found = searcher.items(listed.tolist(), [0.0] * len(listed))
    hits.show(found, look, hits.Actions(partial(query_input.like, name)))


def _files(drawn: DrawnMap, view: View) -> str:
    """Return the HTML of links to files of the items."""

    def write(path: Path) -> None:
        rows = map_view.selected(drawn, view)  # an offer outlives the run, and an area may hold millions
        save_items(drawn.map, _read(drawn, rows), path)

    name = f"{drawn.searcher.manifest.name}-area"
    offer = downloads.Offer({f"{name}.csv": write, f"{name}.json": write, f"{name}.txt": write})
    key = st.session_state.setdefault(VISITOR, downloads.visitor())
    labels = ("CSV", "JSON", "Ids")
    addresses = downloads.addresses(key, offer).items()
    links = ", ".join(
        f'<a href="{html.escape(at)}" download="{html.escape(file)}">{label}</a>'
        for label, (file, at) in zip(labels, addresses, strict=True)
    )
    return f'<p class="es-quiet">Save as {links}</p>'


def _read(drawn: DrawnMap, rows: Rows) -> Iterator[Hit]:
    for start in range(0, len(rows), TOGETHER):
        some = rows[start : start + TOGETHER].tolist()
        hits = Results(drawn.searcher.items(some, [0.0] * len(some)), drawn.searcher.manifest.metric)
        yield from share.told(hits)


def within(opened: Opened, where: Tree | None) -> Tree | None:
    """Return a filter that leaves only the items of the area that the address names; `where` without one."""
    parameters = url_state.parameters()
    if map_view.AREA not in parameters or "id" in opened.searcher.manifest.fields:
        return where
    drawn = drawn_map(opened)
    chosen = map_view.view_of(parameters, drawn.facets)
    if chosen.area is None:
        return where
    asked = {each: parameters[each] for each in map_view.PARAMETERS if each in parameters}
    of_area = _of_area(drawn.searcher.build.folder, asked, drawn)
    return of_area if where is None else Both(where, of_area)


@st.cache_resource(max_entries=12, show_spinner=False)
def _of_area(build: Path, asked: dict[str, list[str]], _drawn: DrawnMap) -> In:  # noqa: ARG001  the cache's key
    """Return the filter of an area; it is asked for by each field whose values are counted."""
    view = map_view.view_of(asked, _drawn.facets)
    return In("id", tuple(_drawn.searcher.build.read(map_view.selected(_drawn, view).tolist(), ["id"])["id"]))


def show_chosen() -> None:
    """Say on the page Search that only the items of an area are searched, with the way to all."""
    now = url_state.parameters()
    if map_view.AREA not in now:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="es-area"):
        said = "Only the items of the area chosen on the map are searched. A copied command searches all."
        st.html(f'<p class="es-quiet">{said}</p>', width="content")
        there = {each: now[each] for each in ("index", *map_view.PARAMETERS) if each in now}
        navigation.link(MAP.path, "On the map", MAP.icon, there)
        st.button(
            "Search all items", icon=":material/close:", key="search-clear-area",
            on_click=url_state.change, args=(dict.fromkeys(map_view.PARAMETERS, ""),),
        )  # fmt: skip
