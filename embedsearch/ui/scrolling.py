"""A new query scrolls the page back to its top, where the query stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import streamlit as st
from streamlit.components.v2 import component

from embedsearch.ui import url_state
from embedsearch.ui.pages import DUPLICATES, SEARCH

# for each page, the parameters that say what is asked, not how much of it is shown
ASKED = {
    SEARCH.path: ("index", "q", "word", "image", "item", *url_state.TERMS),
    DUPLICATES.path: ("index", "kind", "page"),
}
_SCRIPT = """
let last = null;
export default function ({ data }) {
  if (last !== null && last !== data.asked) {
    document.querySelector("[data-testid=stMain]")?.scrollTo({ top: 0, behavior: "instant" });
  }
  last = data.asked;
}
"""


def asked(at: str, parameters: Mapping[str, Sequence[str]]) -> str:
    """Return what is asked of the page `at`, equal for addresses that ask the same."""
    return repr([at, *((name, list(parameters.get(name, ()))) for name in ASKED.get(at, ()))])


def follow(at: str) -> None:
    """Scroll to the top when the page `at` is asked something else than in its last run."""
    with st.container(key="es-scrolling"):
        _mount()(key="scrolling", data={"asked": asked(at, url_state.parameters())})


@partial(st.cache_resource, show_spinner=False)
def _mount() -> Callable[..., object]:
    return component("embedsearch.scrolling", html="<i></i>", js=_SCRIPT)
