"""The Map page: an index in two dimensions, and how much of it they keep."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import streamlit as st
from streamlit.components.v2 import component

from embedsearch.artifacts.map import inputs_of, load_map
from embedsearch.backends import Rows
from embedsearch.errors import ItemNotFoundError
from embedsearch.index import Index
from embedsearch.maps import Map, make_map
from embedsearch.maps.inputs import MapInputs, Method, Settings, sample
from embedsearch.maps.layouts.umap import is_installed
from embedsearch.progress import Silent
from embedsearch.query import MoreLike
from embedsearch.results import Hit
from embedsearch.store.folders import indexes_folder
from embedsearch.ui import ASSETS, navigation, url_state
from embedsearch.ui.cached import first_index, manifests, open_index
from embedsearch.ui.pages import MAP, SEARCH
from embedsearch.ui.widgets import cards, map_data, query_input
from embedsearch.ui.widgets.notes import calm, gone, literal, show_notices

KEY = "map-plot"
LOW = 0.15  # share of neighbours kept, under which a map says little of single items
NAME, BEFORE = 90, 22  # characters of a neighbour's name, and of those before its word
HTML = """<div class="map"><div class="legend" role="group" aria-label="Groups"></div>
<div class="plot"><svg tabindex="0" role="application"></svg>
<div class="zoom"><button type="button" data-zoom="in" title="Nearer" aria-label="Nearer">+</button>
<button type="button" data-zoom="out" title="Farther" aria-label="Farther">−</button>
<button type="button" data-zoom="all" title="All of it" aria-label="All of it">⤢</button></div>
<div class="tip" role="status" hidden><img alt="" hidden><b></b><span class="note"></span>
<span class="group"></span><span class="kept"></span></div></div></div>"""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A map, and which of its items the page shows.

    Attributes:
        map: the map.
        rows: the items shown, ascending.
        stored: whether the build carries it; else it was computed for the page.
    """

    map: Map
    rows: Rows
    stored: bool


def map_page() -> None:
    """Show the page for what the address asks."""
    indexes = indexes_folder()
    asked = url_state.parse(url_state.parameters())
    with calm():
        known = manifests(indexes)
        if not known and not asked.index:
            st.header("Nothing to map yet")
            st.code("embedsearch demo\nembedsearch build ~/Pictures --name images", language="bash")
            return
        name = asked.index or first_index(known)
        choose, about = st.columns([1, 3], vertical_alignment="top")
        with choose, st.container(key="es-map-index"):
            query_input.choose_index(known, name)
        show_notices(asked.problems)
        searcher = open_index(indexes, name).searcher
        drawn = _drawn(str(searcher.build.folder), searcher)
        with about, st.container(key="es-map-about"):
            _about(searcher, drawn)
        chosen, nearest = _chosen(searcher, asked.item)
        plot, side = st.columns([3, 1], gap="medium")
        with plot, st.container(key="es-map-plot"):
            _plot(searcher, drawn, chosen, nearest)
        with side:
            _side(searcher, chosen, nearest)


@st.cache_resource(max_entries=12, show_spinner="Computing the map …")
def _drawn(build: str, _searcher: Index) -> Drawn:  # noqa: ARG001  the build's folder is the cache's key
    inputs = inputs_of(_searcher.build)
    stored = load_map(_searcher.build)
    made = stored or make_map(inputs, Settings(Method.PCA), None, Silent())
    return Drawn(made, _shown(inputs, made), stored is not None)


def _shown(inputs: MapInputs, made: Map) -> Rows:
    """Return the items to show, (m,): all, or of a large index some of those that were measured."""
    measured = made.measured
    return np.asarray(measured[sample(inputs.keys[measured], map_data.SHOWN)])


def _about(searcher: Index, drawn: Drawn) -> None:
    """Say what the map is, and how much it keeps, in one piece: parts that come one by one move the plot."""
    facts, count = drawn.map.facts, len(searcher)
    k = facts.neighbours
    method = "PCA" if facts.method == Method.PCA else "UMAP"
    of = "" if facts.measured == count else f" (measured on {facts.measured:,} of them)"
    shown = "" if len(drawn.rows) == count else f" A sample of {len(drawn.rows):,} of {count:,} is shown."
    if facts.explained:
        detail = f"Its two axes show {100 * sum(facts.explained):.0f}\u00a0% of the variance."
    else:
        detail = "Distances between far groups mean little."
    kept = facts.preserved
    low = " Dots near each other are often not related." if kept < LOW else ""
    said = (
        '<p class="es-about"><b>What lies near what.</b> Each dot is an item; colours are groups of related '
        f'ones.</p><p class="es-quiet">A flat map keeps only part of this: <b>{100 * kept:.0f}\u00a0%</b> of '
        f"each item’s {k} nearest neighbours are among its {k} nearest here{of}.{low} Method: {method}. "
        f"{detail}{shown} Groups come from the vectors, not from the map; their distinctive words name "
        "them.</p>"
    )
    if facts.method == Method.PCA:
        install = "" if is_installed() else "pip install 'embedsearch[umap]', then "
        said += (
            f'<p class="es-quiet">A map that keeps more neighbours together: <code>{install}embedsearch map '
            f"{html.escape(searcher.manifest.name)} --method umap</code></p>"
        )
    st.html(said)


def _chosen(searcher: Index, item: str) -> tuple[Hit | None, list[Hit]]:
    """Return the item that the address names, and its nearest neighbours; report a wrong one."""
    if not item:
        return None, []
    try:
        hit = searcher.item(item)
    except ItemNotFoundError:
        show_notices((gone(item),))
        return None, []
    return hit, searcher.search(MoreLike(item)).hits


def _plot(searcher: Index, drawn: Drawn, chosen: Hit | None, nearest: list[Hit]) -> None:
    name = searcher.manifest.name

    def clicked() -> None:
        row = st.session_state[KEY].get("chosen")
        if isinstance(row, int) and 0 <= row < len(searcher):
            url_state.change({"index": name, "item": searcher.build.read([row], ["id"])["id"][0]})

    own = -1 if chosen is None else chosen.row
    data = map_data.plot(searcher, drawn.map, drawn.rows, own, [each.row for each in nearest])
    data["dark"] = st.context.theme.type == "dark"  # so that a change of theme draws it anew
    _mount()(key=KEY, data=data, on_chosen_change=clicked)


def _side(searcher: Index, chosen: Hit | None, nearest: list[Hit]) -> None:
    """Show the chosen item, what lies nearest to it, and the way to more of that."""
    if chosen is None:
        st.html(
            '<p class="es-quiet">Point at an item to see what it is. Click it to draw lines to its 10 '
            "nearest neighbours, wherever the map puts them.</p>"
        )
        return
    with st.container(border=True, key="es-card-chosen"):
        if cards.is_image(chosen):
            st.html(cards.image(chosen))
        said = f'<p class="es-title">{html.escape(cards.title(chosen))}</p>'
        body = said if cards.is_image(chosen) else cards.text(chosen)
        st.html(f'<div class="es-body">{body}{cards.fields(chosen)}</div>')
        there = {"index": [searcher.manifest.name], "item": [chosen.id]}
        navigation.link(SEARCH.path, "More like this", ":material/hub:", there)
        st.button(
            "Clear",
            icon=":material/close:",
            type="tertiary",
            on_click=url_state.change,
            args=({"item": ""},),
            help="Deselect the item",
        )
    name = html.escape(cards.title(chosen))
    st.html(
        f'<p class="es-unseen es-announced">Chosen: {name}</p>'
        '<p class="es-quiet">Its nearest neighbours, wherever the map puts them</p>'
    )
    with st.container(key="es-nearby", gap=None):
        for place, each in enumerate(nearest):
            with st.container(horizontal=True, vertical_alignment="center", key=f"es-near-{place}"):
                image = map_data.small(each) if cards.is_image(each) else None
                if image:
                    st.html(f'<img alt="" src="{image}">', width="content")
                there = {"index": [searcher.manifest.name], "item": [each.id]}
                navigation.link(MAP.path, _named(each), None, there)
                if each.label:
                    st.html(cards.chip(each.label), width="content")


def _named(hit: Hit) -> str:
    """Return the Markdown of an item in a line; of a word, it stands out within what is around it."""
    if hit.span is None or hit.text is None:
        return literal(cards.title(hit)[:NAME])
    start, end = hit.span
    left, right = max(0, start - BEFORE), min(len(hit.text), end + NAME - BEFORE)
    before, word, after = hit.text[left:start], hit.text[start:end], hit.text[end:right]
    spaces = [" " if part.isspace() else "" for part in (before[-1:], after[:1])]
    return (
        f"{'…' if left else ''}{literal(before)}{spaces[0]}**{literal(word)}**{spaces[1]}{literal(after)}"
        f"{'…' if right < len(hit.text) else ''}"
    )


@partial(st.cache_resource, show_spinner=False)
def _mount() -> Callable[..., object]:
    files: dict[str, Any] = {
        kind: (ASSETS / f"map.{kind}").read_text(encoding="utf-8") for kind in ("css", "js")
    }
    return component("embedsearch.map", html=HTML, css=files["css"], js=files["js"])
