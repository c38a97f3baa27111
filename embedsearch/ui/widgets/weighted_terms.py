"""Queries of several parts on the page: what is added to what is asked, and what is taken away."""

from __future__ import annotations

import streamlit as st

from embedsearch.errors import ItemNotFoundError
from embedsearch.index import Index
from embedsearch.modalities import QueryForm
from embedsearch.query import AnyQuery, MoreLike, Query, WeightedTerm
from embedsearch.ui import url_state
from embedsearch.ui.url_state import Asked, Extra
from embedsearch.ui.widgets import cards, query_input
from embedsearch.ui.widgets.notes import literal

PLUS, MINUS = "search-plus", "search-minus"
LACKING = "Only parts to take away: say what to look for as well."


def whole(query: AnyQuery | None, asked: Asked) -> AnyQuery | None:
    """Return what is asked together with its parts; None where nothing is looked for."""
    if not asked.parts:
        return query
    parts = [] if query is None else [WeightedTerm(query)]
    parts += [
        WeightedTerm(MoreLike(extra.value) if extra.is_item else extra.value, 1.0 if extra.adds else -1.0)
        for extra in asked.parts
    ]
    return Query(tuple(parts)) if any(part.weight > 0 for part in parts) else None


def show(searcher: Index, asked: Asked) -> None:
    """Show the parts, each with its way out, and where texts are added."""
    name, texts = searcher.manifest.name, QueryForm.TEXT in query_input.forms(searcher)
    if not asked.parts and not (texts and (asked.text.strip() or asked.item)):
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="es-extras"):
        for extra in asked.parts:
            sign = "+" if extra.adds else "−"
            st.button(
                literal(f"{sign} {_name(searcher, extra)}"),
                key=f"extra-{extra.name}-{extra.value}",
                icon=":material/close:",
                help="Leave this part out",
                on_click=url_state.change,
                args=({"index": name, **url_state.without_part(extra)},),
            )
        if texts:
            with st.popover("Refine", icon=":material/tune:"):
                _texts(name)


def add(index: str, item: str, *, adds: bool) -> None:
    """Add an item of the index to what is asked, or take it away."""
    change = url_state.with_part(Extra("plusitem" if adds else "minusitem", item))
    url_state.change({"index": index, **change})


def _texts(name: str) -> None:
    for key, parameter, label in (
        (PLUS, "plus", "And more of"),
        (MINUS, "minus", "But less of"),
    ):

        def changed(key: str = key, parameter: str = parameter) -> None:
            text = (st.session_state[key] or "").strip()
            st.session_state[key] = ""
            if text:
                url_state.change({"index": name, **url_state.with_part(Extra(parameter, text))})

        st.text_input(label, key=key, max_chars=400, on_change=changed)
    st.caption(
        "Results move towards “more” and away from “less”, as do + and − on each card. Each part becomes a "
        "vector of length 1; they are added up, and what lies nearest to the sum is shown."
    )


def _name(searcher: Index, extra: Extra) -> str:
    text = extra.value
    if extra.is_item:
        try:
            text = cards.title(searcher.item(extra.value))
        except ItemNotFoundError:
            text = f"{extra.value} (no such item)"
    return url_state.short(text)
