"""What the page shows before there is any index: the demo, and the way to one's own."""

from __future__ import annotations

import html
from pathlib import Path

import streamlit as st

from embedsearch.ui import navigation
from embedsearch.ui.pages import INDEXES
from embedsearch.ui.widgets import job_panel
from embedsearch.ui.widgets.notes import show_notices


def show(indexes: Path) -> None:
    """Show where to begin; the page runs again when the first index is there."""
    st.html(
        '<h1 class="es-h">Nothing to search yet</h1><p class="es-about">Search images, texts, sounds, videos '
        "and tables by what they mean. Nothing leaves this machine.</p>"
    )
    show_notices()
    busy = job_panel.show(indexes) is not None
    if busy:
        st.html('<p class="es-quiet">You can search as soon as the first index is ready.</p>')
    elif job_panel.may_build():
        with st.container(key="es-first"):
            offer_demo(indexes)
            with st.container(border=True, key="es-own"):
                st.html(
                    '<h2 class="es-h">Your own folder</h2><p class="es-about">A folder of images, PDFs, '
                    "sounds, videos or texts, or a table: CSV, JSON, Parquet, Excel.</p>"
                )
                navigation.link(INDEXES.path, "Choose a folder or a file", ":material/folder_open:", {})
    st.html('<p class="es-quiet">Or in a terminal:</p>')
    st.code("embedsearch demo\nembedsearch build ~/Pictures --name images", language="bash")
    if job_panel.may_build():  # paths of this machine are not for visitors from elsewhere
        st.html(f'<p class="es-quiet">Folder of indexes: {html.escape(str(indexes))}</p>')


def offer_demo(indexes: Path) -> None:
    """Offer to build the indexes of the demo."""
    with st.container(border=True, key="es-demo"):
        st.html(
            '<h2 class="es-h">See it work first</h2><p class="es-about">The demo indexes what this machine '
            "has: images, sounds, the documentation of Python, and words in it. The first is ready within a "
            "minute.</p>"
        )
        st.button(
            "Build the demo",
            icon=":material/play_arrow:",
            type="primary",
            key="demo-build",
            on_click=job_panel.start,
            args=(indexes, "Build the demo", "", ["demo", "--no-page"]),
        )
