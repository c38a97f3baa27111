"""The pages, and the way between them."""

from __future__ import annotations

import streamlit as st

from embedsearch.store.folders import indexes_folder
from embedsearch.ui import ASSETS, after_run, auto_reload, navigation, url_state
from embedsearch.ui.cached import manifests
from embedsearch.ui.pages import FORMER, INDEXES, MAP, PAGES, RELATEDNESS, SEARCH
from embedsearch.ui.widgets import compared_items as compared


def show() -> None:
    """Show the page that the address names."""
    # Streamlit's own path of the first page is not empty
    pages = [
        st.Page(row.draw, title=row.title, url_path=row.path or "search", default=not row.path)
        for row in PAGES
    ]
    relatedness = pages[PAGES.index(RELATEDNESS)]

    def compare() -> None:
        """Lead links of version 0.3 to where the page is now."""
        st.switch_page(relatedness, query_params=compared.from_compare(url_state.parameters()))

    former = st.Page(compare, title="Compare", url_path=FORMER, visibility="hidden")
    # Streamlit's own bar leads to bare addresses, so the links are the page's own
    page = st.navigation([*pages, former], position="hidden")
    st.set_page_config(
        page_title=f"{page.title} · embedsearch",
        page_icon=str(ASSETS / "icon.svg"),  # a named icon would be fetched from another host
        layout="wide",
        menu_items={
            "About": "embedsearch: search your images, texts, sounds, videos and tables by what they mean."
        },
    )
    st.logo(str(ASSETS / "logo.svg"), size="large")
    if page is former:
        page.run()
        return
    indexes = indexes_folder()
    known = manifests(indexes)
    if page is pages[PAGES.index(SEARCH)] and known:
        st.sidebar.empty()  # the sidebar stands before the page does, which would move aside for it
    navigation.register(pages)
    index = navigation.arrive(page.url_path, known)
    navigation.show_links(known)
    after_run.follow(page.url_path)
    # these show the job themselves
    has_panel = page.title == INDEXES.title or (page.title == SEARCH.title and not known)
    auto_reload.follow(indexes, index, shows_job=not has_panel)
    if known and page.title in (SEARCH.title, MAP.title):  # the others show theirs
        st.html(f'<h1 class="es-unseen">{page.title}</h1>')
    page.run()
