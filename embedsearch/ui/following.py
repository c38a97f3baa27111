"""An open page takes a new build up by itself, but not while something is being read over it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import streamlit as st

from embedsearch.errors import EmbedsearchError
from embedsearch.store.folders import current_build, index_folder, list_names

EVERY = 5  # seconds between looks
_HELD = "following-held"


def state(indexes: Path, index: str) -> tuple[tuple[str, ...], str]:
    """Return which indexes there are, and which build of `index` is in force, empty for none."""
    build = ""
    with suppress(EmbedsearchError, OSError):
        build = current_build(index_folder(indexes, index)).name
    with suppress(OSError):
        return tuple(list_names(indexes)), build
    return (), build


def follow(indexes: Path, index: str) -> None:
    """Have the page shown anew when another build of `index` is put in force, or an index comes or goes."""
    st.session_state[_HELD] = False  # a whole run closes what was open
    _look(indexes, index, state(indexes, index))


def hold() -> None:
    """Let the page stand as it is until its next run: a dialog is open, which a run would close."""
    st.session_state[_HELD] = True


@st.fragment(run_every=EVERY)
def _look(indexes: Path, index: str, seen: tuple[tuple[str, ...], str]) -> None:
    if not st.session_state.get(_HELD) and state(indexes, index) != seen:
        st.rerun()
