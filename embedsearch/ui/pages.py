"""The pages, and the way between them."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from embedsearch.ui import address, cards, things
from embedsearch.ui.duplicates_page import duplicates_page
from embedsearch.ui.map_page import map_page
from embedsearch.ui.relatedness_page import relatedness_page
from embedsearch.ui.search_page import search_page


def show() -> None:
    """Show the page that the address names."""
    st.set_page_config(
        page_title="embedsearch",
        page_icon=":material/hub:",
        layout="wide",
        menu_items={"About": "embedsearch: semantic similarity search for your pictures, texts and words."},
    )
    cards.style()
    st.logo(str(Path(__file__).with_name("logo.svg")), size="large")
    relatedness = st.Page(
        relatedness_page, title="Relatedness", icon=":material/compare_arrows:", url_path="relatedness"
    )

    def compare() -> None:
        """Lead links of version 0.3 to where the page is now."""
        st.switch_page(relatedness, query_params=things.from_compare(address.parameters()))

    st.navigation(
        [
            st.Page(search_page, title="Search", icon=":material/search:", url_path="search", default=True),
            relatedness,
            st.Page(map_page, title="Map", icon=":material/scatter_plot:", url_path="map"),
            st.Page(
                duplicates_page, title="Duplicates", icon=":material/content_copy:", url_path="duplicates"
            ),
            st.Page(compare, title="Compare", url_path="compare", visibility="hidden"),
        ],
        position="top",
    ).run()
