"""An open page reloads when a new build is published, not under a dialog; it shows what is being built."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import streamlit as st

from embedsearch.disk.lock import is_locked
from embedsearch.errors import EmbedsearchError
from embedsearch.store.folders import current_build, index_folder, list_names, unfinished_names
from embedsearch.ui import jobs, navigation
from embedsearch.ui.pages import INDEXES
from embedsearch.ui.widgets.notes import literal

EVERY = 5  # seconds between looks
_HELD = "auto-reload-held"


def state(indexes: Path, index: str) -> tuple[tuple[str, ...], str]:
    """Return which indexes there are, and the current build of `index`, empty for none."""
    build = ""
    with suppress(EmbedsearchError, OSError):
        build = current_build(index_folder(indexes, index)).name
    with suppress(OSError):
        return tuple(list_names(indexes)), build
    return (), build


def follow(indexes: Path, index: str, *, shows_job: bool) -> None:
    """Reload the page when another build of `index` becomes current, or an index is added or removed.

    Args:
        indexes: the folder of indexes.
        index: the index that the page shows.
        shows_job: whether a link to the page Indexes says which job is running, and how far it is, or else
            which index another command builds for the first time.
    """
    st.session_state[_HELD] = False  # a whole run closes what was open
    with st.container(key="es-busy"):
        _look(indexes, index, state(indexes, index), shows_job)


def hold() -> None:
    """Do not reload the page until its next run: a reload would close the open dialog."""
    st.session_state[_HELD] = True


@st.fragment(run_every=EVERY)
def _look(indexes: Path, index: str, seen: tuple[tuple[str, ...], str], shows_job: bool) -> None:
    if not st.session_state.get(_HELD) and state(indexes, index) != seen:
        st.rerun()
    job = jobs.running(indexes) if shows_job else None
    if job is not None:
        share = f"{100 * min(job.done / job.total, 1):.0f} %" if job.total else "…"
        navigation.link(INDEXES.path, f"**{share}** {literal(job.title)}", None, {})
    elif shows_job and (name := _coming(indexes)):
        navigation.link(INDEXES.path, f"Building {literal(name)}", None, {})


def _coming(indexes: Path) -> str:
    """Return the name of an index that another command builds for the first time; empty for none."""
    with suppress(OSError):
        return next((name for name in unfinished_names(indexes) if is_locked(indexes / name)), "")
    return ""
