"""The pages, and the way between them."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from embedsearch.store import indexes_folder
from embedsearch.ui import address, cards, following, places, scrolling, things
from embedsearch.ui.duplicates_page import duplicates_page
from embedsearch.ui.map_page import map_page
from embedsearch.ui.relatedness_page import relatedness_page
from embedsearch.ui.resources import manifests
from embedsearch.ui.search_page import search_page

HERE = Path(__file__)


def show() -> None:
    """Show the page that the address names."""
    relatedness = st.Page(relatedness_page, title="Relatedness", url_path=places.RELATEDNESS)

    def compare() -> None:
        """Lead links of version 0.3 to where the page is now."""
        st.switch_page(relatedness, query_params=things.from_compare(address.parameters()))

    pages = [
        st.Page(search_page, title="Search", url_path="search", default=True),
        relatedness,
        st.Page(map_page, title="Map", url_path=places.MAP),
        st.Page(duplicates_page, title="Duplicates", url_path=places.DUPLICATES),
    ]
    former = st.Page(compare, title="Compare", url_path="compare", visibility="hidden")
    # Streamlit's own bar leads to bare addresses, so the links are the page's own
    page = st.navigation([*pages, former], position="hidden")
    st.set_page_config(
        page_title=f"{page.title} · embedsearch",
        page_icon=str(HERE.with_name("icon.svg")),  # a named icon would be fetched from another host
        layout="wide",
        menu_items={"About": "embedsearch: semantic similarity search for your pictures, texts and words."},
    )
    st.html(HERE.with_name("nav.css"))
    cards.style()
    st.logo(str(HERE.with_name("logo.svg")), size="large")
    if page is former:
        page.run()
        return
    indexes = indexes_folder()
    known = manifests(indexes)
    places.register(pages)
    index = places.arrive(page.url_path, known)
    places.show_links(known)
    scrolling.follow(page.url_path)
    following.follow(indexes, index)
    page.run()
