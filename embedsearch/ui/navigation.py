"""The links between pages: they keep the index, and what was last asked on each page."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from embedsearch.store.manifest import Manifest
from embedsearch.ui import url_state
from embedsearch.ui.cached import first_index, with_copies
from embedsearch.ui.pages import DUPLICATES, PAGES, RELATEDNESS

Parameters = Mapping[str, list[str]]
_PAGES, _LAST, _INDEX = "navigation-pages", "navigation-last", "navigation-index"


def register(pages: list[StreamlitPage]) -> None:
    """Make `pages` the ones that `link` leads to."""
    st.session_state[_PAGES] = {page.url_path: page for page in pages}


def arrive(at: str, known: Mapping[str, Manifest | None]) -> str:
    """Remember what the address asks of the page `at`; return the name of the index that it shows.

    Only the address says what a page shows; what is remembered goes into links alone.

    Args:
        at: the page, as in the address.
        known: the manifest of each index, None where it can't be read.
    """
    said = url_state.parameters()
    last = st.session_state.setdefault(_LAST, {})
    if at == RELATEDNESS.path:  # which asks a model, and has no index of its own
        last[at] = said
        return said.get("with", [""])[-1]
    index = said.get("index", [""])[-1] or first_index(with_copies(known) if at == DUPLICATES.path else known)
    last[at] = {**said, "index": [index]} if index else said
    st.session_state[_INDEX] = index
    return index


def show_links(known: Mapping[str, Manifest | None]) -> None:
    """Show a link to each page, with its parameters."""
    index = st.session_state.get(_INDEX, "")
    icons = {row.path: row.icon for row in PAGES}
    with st.container(horizontal=True, gap="xxsmall", key="es-nav"):
        for at, page in st.session_state[_PAGES].items():
            fits = at != RELATEDNESS.path and (at != DUPLICATES.path or index in with_copies(known))
            last = st.session_state[_LAST].get(at, {})
            link(at, page.title, icons[at], onward(last, index if fits else ""))


def onward(last: Parameters, index: str) -> dict[str, list[str]]:
    """Return the parameters of a page: its last ones, moved to `index` where they were for another.

    Args:
        last: the last parameters of the page.
        index: the index that one is in; empty for the page's own.
    """
    if not index or last.get("index") == [index]:
        return dict(last)
    left = url_state.of_index(last)
    return {**{name: values for name, values in last.items() if name not in left}, "index": [index]}


def link(at: str, label: str, icon: str | None, parameters: Parameters) -> None:
    """Show a link to the page `at` with these parameters."""
    st.page_link(
        st.session_state[_PAGES][at], label=label, icon=icon, query_params=parameters, width="content"
    )
