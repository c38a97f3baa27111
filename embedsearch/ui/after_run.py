"""What the browser does after a run: it scrolls to a new query, announces results and keeps the focus."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import streamlit as st
from streamlit.components.v2 import component

from embedsearch.ui import asset, url_state
from embedsearch.ui.pages import DUPLICATES, SEARCH

# for each page, the parameters that say what is asked, not how much of it is shown
ASKED = {
    SEARCH.path: ("index", "q", "word", "image", "item", "crop", "versus", *url_state.TERMS),
    DUPLICATES.path: ("index", "kind", "page"),
}


def asked(at: str, parameters: Mapping[str, Sequence[str]]) -> str:
    """Return what is asked of the page `at`, equal for addresses that ask the same."""
    return repr([at, *((name, list(parameters.get(name, ()))) for name in ASKED.get(at, ()))])


def follow(at: str) -> None:
    """Scroll to the top when the page `at` is asked something else than in its last run; see after_run.js.

    Elements of the class `es-announced` hold what is announced, and the first of them takes the focus when a
    button that had it is gone.
    """
    with st.container(key="es-after-run"):
        _mount()(key="after-run", data={"asked": asked(at, url_state.parameters())})


@partial(st.cache_resource, show_spinner=False)
def _mount() -> Callable[..., object]:
    script = asset("after_run.js")
    return component("embedsearch.after-run", html="<i></i>", js=script)
