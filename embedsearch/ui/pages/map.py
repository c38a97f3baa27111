"""The Map page: an index in two dimensions, how much of it they keep, and what is asked, lit on it.

The plot is a component of the page's own (assets/map.js), drawn by WebGL. These were tried or read first:

embedding-atlas     its Streamlit component gives back a condition in SQL and nothing else: no click, and no
                    item that could be lit. The wheel has 24 MB, needs litellm, cryptography, pandas 3 and
                    more, and its script knows an address of jsdelivr.
deck.gl             as `st.pydeck_chart`: no lasso, no names by zoom, and each point is an object of JSON.
Plotly              as `st.plotly_chart`: lasso and box, but no thumbnails, a text for each point with every
                    run, and a package of 10 MB more.
regl-scatterplot    draws and selects, but consists of eight packages of npm, to be bundled by hand. Names,
                    thumbnails, tips, keys and the slider would still be the page's own.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st
from streamlit.components.v2 import component

from embedsearch.distances.verdict import Verdict
from embedsearch.errors import ItemNotFoundError
from embedsearch.index import Index
from embedsearch.maps.inputs import Method
from embedsearch.maps.layouts.umap import is_installed
from embedsearch.modalities import Card, modality_of
from embedsearch.query import SearchOptions
from embedsearch.results import Hit, Results
from embedsearch.store.folders import indexes_folder
from embedsearch.ui import asset, jobs, map_files, media, navigation, url_state
from embedsearch.ui.cached import Opened, drawn_map, first_index, manifests, open_index
from embedsearch.ui.map_files import DrawnMap
from embedsearch.ui.pages import MAP, SEARCH
from embedsearch.ui.url_state import Asked
from embedsearch.ui.widgets import area, cards, job_panel, map_view, query_input, weighted_terms
from embedsearch.ui.widgets.map_view import View
from embedsearch.ui.widgets.notes import calm, gone, literal, show_notices

KEY = "map-plot"
LOW = 0.15  # share of neighbours kept, under which a map says little of single items
NAME, BEFORE = 90, 22  # characters of a neighbour's name, and of those before its word
BETWEEN = 5  # hits between which a query is placed
HTML = """<div class="map"><div class="controls"><label>Colour by <select data-set="colour"></select></label>
<label class="sliding">Slider for <select data-set="over"></select></label>
<div class="slider" role="group" hidden><input type="range" data-end="from"><input type="range" data-end="to">
<output></output></div></div>
<div class="legend" role="group" aria-label="Colours"></div>
<div class="plot"><canvas aria-hidden="true"></canvas><svg tabindex="0" role="application"></svg>
<div class="closeup" aria-hidden="true"></div>
<div class="tools modes" role="group" aria-label="Select">
<button type="button" data-mode="box" title="Select a box: drag" aria-label="Select a box">{box}</button>
<button type="button" data-mode="lasso" title="Select with a lasso: drag" aria-label="Lasso">{lasso}</button>
<button type="button" data-mode="view" title="Select all in view" aria-label="Select all in view">{view}
</button></div>
<div class="tools zoom"><button type="button" data-zoom="in" title="Nearer" aria-label="Nearer">+</button>
<button type="button" data-zoom="out" title="Farther" aria-label="Farther">−</button>
<button type="button" data-zoom="all" title="All of it" aria-label="All of it">⤢</button></div>
<div class="tip" role="status" hidden><img alt="" hidden><b></b><span class="note"></span>
<span class="group"></span><span class="kept"></span></div></div></div>"""
ICON = '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="{}"/></svg>'
ICONS = {
    "box": ICON.format("M2.5 3.5h11v9h-11z"),
    "lasso": ICON.format("M4 9.5C1 7 3.5 2.5 8.5 2.5S14.5 9 9.5 10 4 8 5.5 8s1.5 4-1.5 6"),
    "view": ICON.format("M2 5V2h3M11 2h3v3M14 11v3h-3M5 14H2v-3M5.5 5.5h5v5h-5z"),
}


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
        row = st.container(horizontal=True, vertical_alignment="bottom", key="es-ask")
        with row:
            query_input.choose_index(known, name)
        show_notices(asked.problems)
        opened = open_index(indexes, name)
        with row:
            query_input.ask(opened.searcher, asked, indexes)
        query_input.pick_word(opened.searcher, asked)
        drawn = drawn_map(opened)
        with st.container(key="es-map-about"):
            _about(drawn)
        found: tuple[Hit | None, Results | None] = None, None
        with calm():  # what can't be asked, such as an item that is gone, leaves the map
            found = _found(opened, asked, indexes)
        chosen, results = found
        view = map_view.view_of(url_state.parameters(), drawn.facets)
        plot, side = st.columns([3, 1], gap="medium")
        with plot, st.container(key="es-map-plot"):
            _plot(drawn, view, chosen, results)
        with side:
            _side(opened.searcher, asked, chosen, results)
            if _builds(drawn):
                _offer_umap(name, indexes)
        if view.area is not None:
            area.show(drawn, view)


def _about(drawn: DrawnMap) -> None:
    """Say what the map is, and how much it keeps, in one piece: parts that come one by one move the plot."""
    facts, count, name = drawn.map.facts, len(drawn.searcher), drawn.searcher.manifest.name
    k = facts.neighbours
    of = "" if facts.measured == count else f" (measured on {facts.measured:,} of them)"
    shown = "" if len(drawn.rows) == count else f" A sample of {len(drawn.rows):,} of {count:,} is drawn."
    if facts.explained:
        detail = f"Its two axes show {100 * sum(facts.explained):.0f}\u00a0% of the variance."
    else:
        detail = "Distances between far groups mean little."
    kept = facts.preserved
    low = " Dots near each other are often not related." if kept < LOW else ""
    said = (
        f'<p class="es-quiet"><b>What lies near what.</b> A flat map keeps only part of this: '
        f"<b>{100 * kept:.0f}\u00a0%</b> of each item’s {k} nearest neighbours are among its {k} nearest "
        f"here{of}.{low} Method: {facts.method.upper()}. {detail}{shown} Groups come from the vectors, not "
        "from the map; their distinctive words name them.</p>"
    )
    if facts.method == Method.PCA and not _builds(drawn):
        install = "" if is_installed() else "pip install 'embedsearch[umap]', then "
        said += (
            f'<p class="es-quiet">UMAP keeps more neighbours together: <code>{install}embedsearch map '
            f"{html.escape(name)}</code></p>"
        )
    st.html(said)


def _builds(drawn: DrawnMap) -> bool:
    """Whether a visitor can make a map by UMAP in place of one by PCA."""
    return drawn.map.facts.method == Method.PCA and is_installed() and job_panel.may_build()


def _offer_umap(name: str, indexes: Path) -> None:
    """Show the button that makes the map by UMAP, in the background; while that runs, how far it is."""
    job = jobs.latest(indexes)
    ours = job is not None and job.index == name and job.command[0] == "map"
    with st.container(key="es-map-better"):
        if ours and job_panel.show(indexes):
            return
        st.button(
            "Make a better map (UMAP)",
            icon=":material/scatter_plot:",
            key="map-better",
            on_click=job_panel.start,
            args=(indexes, f"Map {name}", name, ["map", name, "--method=umap"]),
            help="UMAP keeps more neighbours together. The map is made in the background, and kept.",
        )


def _found(opened: Opened, asked: Asked, indexes: Path) -> tuple[Hit | None, Results | None]:
    """Return the item that the address names, and what is nearest to what it asks; report a wrong item."""
    searcher, chosen = opened.searcher, None
    if asked.item:
        try:
            chosen = searcher.item(asked.item)
        except ItemNotFoundError:
            show_notices((gone(asked.item),))
            return None, None
    own = query_input.query(searcher, asked, indexes)
    if chosen is None:
        query_input.show_asked(searcher, asked, own, indexes)
    query = weighted_terms.whole(own, asked, indexes)
    if query is None:
        return None, None
    (results,) = searcher.search_placed([opened.placing.ask(query)], SearchOptions(k=asked.count))
    return chosen, results


def _plot(drawn: DrawnMap, view: View, chosen: Hit | None, results: Results | None) -> None:
    searcher, facts = drawn.searcher, drawn.map.facts
    name = searcher.manifest.name

    def clicked() -> None:
        row = st.session_state[KEY].get("chosen")
        if isinstance(row, int) and 0 <= row < len(searcher):
            url_state.change({"index": name, "item": searcher.build.read([row], ["id"])["id"][0]})

    def looked() -> None:
        said = st.session_state[KEY].get("view")
        if isinstance(said, dict):
            changes = {each: str(said[each]) for each in map_view.PARAMETERS if each in said}
            url_state.change({"index": name, **changes})

    data = {
        "base": map_files.address(drawn),
        "index": name,
        "count": len(searcher),
        "k": min(facts.neighbours, max(1, len(searcher) - 1)),
        "steps": facts.neighbours,  # in which the share of neighbours kept comes
        "groups": [
            {"name": each.name, "size": each.size, "x": each.x, "y": each.y} for each in facts.clusters
        ],
        "images": modality_of(searcher.manifest.unit).card is Card.IMAGE,
        "lit": [_point(drawn, hit.row) for hit in results or ()],
        "from": _from(drawn, chosen, results),
        **map_view.as_data(drawn, view),
        "dark": st.context.theme.type == "dark",  # so that a change of theme draws it anew
    }
    _mount()(key=KEY, data=data, on_chosen_change=clicked, on_view_change=looked)


def _point(drawn: DrawnMap, row: int) -> list[float]:
    """Return the row of an item, its x and its y."""
    return [row, *drawn.xy[row].tolist()]


def _from(drawn: DrawnMap, chosen: Hit | None, results: Results | None) -> list[float] | None:
    """Return the row, x and y of the chosen item; of a query -1 and a place between its nearest hits."""
    if chosen is not None:
        return _point(drawn, chosen.row)
    if not results:
        return None
    near = results[:BETWEEN]
    weights = 1 / (np.abs([hit.distance for hit in near]) + 1e-6)  # (5,), as for items between others
    x, y = (weights / weights.sum() @ drawn.xy[[hit.row for hit in near]]).tolist()
    return [-1, x, y]


def _side(searcher: Index, asked: Asked, chosen: Hit | None, results: Results | None) -> None:
    """Show the chosen item or what is asked, what lies nearest to it, and the way to more of that."""
    if results is None:
        st.html(
            '<p class="es-quiet">Point at an item to see what it is. Click it, or ask for something: lines '
            "lead to what is nearest, wherever the map puts it. Select an area to list its items.</p>"
        )
        return
    name = searcher.manifest.name
    if chosen is not None:
        _chosen_card(name, chosen)
        called, what = cards.title(chosen), "Its nearest neighbours, wherever the map puts them"
    else:
        called, what = asked.text.strip() or "your query", "What was found, wherever the map puts it"
        now = url_state.parameters()
        same = {key: now[key] for key in now if key not in map_view.PARAMETERS}
        navigation.link(SEARCH.path, "On the page Search", SEARCH.icon, {**same, "index": [name]})
    if chosen is None and results.verdict is Verdict.NOTHING_CLOSE:
        what = f"Nothing here is close. {what}"
    st.html(
        f'<p class="es-unseen es-announced">Chosen: {html.escape(called)}</p><p class="es-quiet">{what}</p>'
    )
    now = url_state.parameters()  # how the map is looked at stays
    looked = {key: now[key] for key in map_view.PARAMETERS if key in now}
    with st.container(key="es-nearby", gap=None):
        for place, each in enumerate(results):
            with st.container(horizontal=True, vertical_alignment="center", key=f"es-near-{place}"):
                if cards.is_image(each) and not each.is_gone:
                    st.html(f'<img alt="" src="{media.of_hit(each)}{media.SMALL}">', width="content")
                there = {**looked, "index": [name], "item": [each.id]}
                navigation.link(MAP.path, _named(each), None, there)
                if each.label:
                    st.html(cards.chip(each.label), width="content")


def _chosen_card(name: str, chosen: Hit) -> None:
    with st.container(border=True, key="es-card-chosen"):
        if cards.is_image(chosen):
            st.html(cards.image(chosen))
        said = f'<p class="es-title">{html.escape(cards.title(chosen))}</p>'
        body = said if cards.is_image(chosen) else cards.text(chosen)
        st.html(f'<div class="es-body">{body}{cards.fields(chosen)}</div>')
        there = {"index": [name], "item": [chosen.id]}
        navigation.link(SEARCH.path, "More like this", ":material/hub:", there)
        st.button(
            "Clear",
            icon=":material/close:",
            type="tertiary",
            on_click=url_state.change,
            args=({"item": ""},),
            help="Deselect the item",
        )


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
    plot = asset("map_painter.js", "map.js")
    return component("embedsearch.map", html=HTML.format(**ICONS), css=asset("map.css"), js=plot)
