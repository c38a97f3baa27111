"""What the hits say that a word or span is, by their labels."""

from __future__ import annotations

import html

import streamlit as st

from embedsearch.index import Index
from embedsearch.modalities import UNITS
from embedsearch.records import OUTSIDE
from embedsearch.results import Results


def show(searcher: Index, results: Results) -> None:
    """Show the vote of the hits; nothing where they have no labels."""
    vote = results.vote() if UNITS[searcher.manifest.unit].votes else None
    if vote is None:
        return
    chips = " ".join(
        f'<span class="es-chip" style="--share: {100 * count / vote.total:.0f}%">'
        f"{html.escape(label)} {count}</span>"
        for label, count in vote.counts.items()
    )
    none = " (in no labelled span)" if vote.value == OUTSIDE else ""
    with st.container(key="es-vote"):
        st.html(f'<p class="es-vote">The neighbours say: <b>{html.escape(vote.value)}</b>{none} {chips}</p>')
