"""How hits are shown: as cards or as a list, how dense, with which fields, and how many."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from urllib.parse import urlencode

import streamlit as st

from embedsearch.distances.metric import Metric
from embedsearch.index import Index
from embedsearch.modalities import modality_of
from embedsearch.results import Results
from embedsearch.ui import url_state
from embedsearch.ui.cached import Opened
from embedsearch.ui.url_state import FIELD, MAX_COUNT, Asked
from embedsearch.ui.widgets import cards
from embedsearch.ui.widgets.filters import Choice
from embedsearch.ui.widgets.hits import Look
from embedsearch.ui.widgets.notes import literal

VIEW, DENSE, FIELDS = "search-view", "search-dense", "search-fields"
GRID, LIST = "Cards", "List"
STEPS = (24, 48, 96)  # numbers of hits that "Show more" leads to; then 96 more each time


def of(opened: Opened, asked: Asked, metric: Metric | None, marks: cards.Marks | None) -> Look:
    """Return how the hits of what is asked are shown."""
    now = url_state.parameters()
    fields = [facet.field for facet in opened.facets if isinstance(facet, Choice)]

    def address(field: str, value: str) -> str:
        return "?" + urlencode({**now, FIELD + field: _with(now.get(FIELD + field, []), value)}, doseq=True)

    links: dict[str, Callable[[str], str]] = {field: partial(address, field) for field in fields}
    card = modality_of(opened.searcher.manifest.unit).card
    return Look(card, metric, marks, asked.rows, asked.dense, asked.show, links=links)


def pick(index: str, field: str, value: str) -> None:
    """Filter by a value of a field, beside those that are picked already."""
    picked = url_state.parameters().get(FIELD + field, [])
    url_state.change({"index": index, FIELD + field: _with(picked, value)})


def _with(values: list[str], value: str) -> list[str]:
    return list(dict.fromkeys([*values, value]))


def show(opened: Opened, asked: Asked) -> None:
    """Show the menu that says how the hits are shown."""
    fields = list(opened.searcher.build.field_types)
    kept = [each for each in fields if asked.show is None or each in asked.show]
    view = url_state.in_menu(VIEW, LIST if asked.rows else GRID)
    dense, shown = url_state.in_menu(DENSE, asked.dense), url_state.in_menu(FIELDS, kept)

    def viewed() -> None:
        url_state.change({"view": "list" if st.session_state[view] == LIST else ""})

    def packed() -> None:
        url_state.change({"dense": "yes" if st.session_state[dense] else ""})

    def chosen() -> None:
        kept = st.session_state[shown]
        url_state.change({"show": [] if len(kept) == len(fields) else kept or [" "]})

    with st.popover("View", icon=":material/view_module:"):
        st.segmented_control("Hits as", (GRID, LIST), key=view, required=True, on_change=viewed)
        st.toggle("Dense", key=dense, on_change=packed, help="Smaller cards, more of them on a screen.")
        if fields:
            st.multiselect(
                "Fields", fields, key=shown, format_func=literal, on_change=chosen, placeholder="None"
            )


def more(searcher: Index, asked: Asked, results: Results, total: int) -> None:
    """Show the button that shows more hits; nothing where all are there."""
    shown, found = len(results.hits), results.found if results.close else total
    if shown < asked.count or found <= shown or shown >= MAX_COUNT:
        return
    step = next((each for each in STEPS if each > shown), shown + STEPS[-1])
    with st.container(key="es-more", horizontal=True, horizontal_alignment="center"):
        st.button(
            f"Show {min(step, found) - shown:,} more",
            icon=":material/expand_more:",
            key="search-more",
            on_click=url_state.change,
            args=({"index": searcher.manifest.name, "k": str(min(step, MAX_COUNT))},),
        )
