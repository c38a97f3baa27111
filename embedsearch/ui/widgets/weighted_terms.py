"""Weighted terms on the page: what is added to a query, and what is subtracted from it."""

from __future__ import annotations

import streamlit as st

from embedsearch.index import Index
from embedsearch.modalities import QueryForm
from embedsearch.query import AnyQuery, MoreLike, Query, WeightedTerm
from embedsearch.ui import url_state
from embedsearch.ui.url_state import Asked, Term
from embedsearch.ui.widgets import cards, query_input
from embedsearch.ui.widgets.notes import literal

PLUS, LESS = "search-plus", "search-minus"
STEP = 0.05  # of a weight
LACKING = "The query only subtracts. Add what to look for."


def whole(query: AnyQuery | None, asked: Asked) -> AnyQuery | None:
    """Return a query with its weighted terms; None where nothing is looked for."""
    if not asked.terms:
        return query
    parts = [] if query is None else list(query.terms) if isinstance(query, Query) else [WeightedTerm(query)]
    parts += [
        WeightedTerm(MoreLike(term.value) if term.is_item else term.value, term.weight)
        for term in asked.terms
    ]
    return Query(tuple(parts)) if any(part.weight > 0 for part in parts) else None


def show(searcher: Index, asked: Asked) -> None:
    """Show the terms, each with a button that removes it, and the fields that add texts."""
    name, texts = searcher.manifest.name, QueryForm.TEXT in query_input.forms(searcher)
    if not asked.terms and not (texts and (asked.text.strip() or asked.item)):
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="es-terms"):
        for term in asked.terms:
            sign = "+" if term.adds else "−"
            st.button(
                literal(f"{sign} {_name(searcher, term)}"),
                key=f"term-{term.name}-{term.value}",
                icon=":material/close:",
                help="Remove this term",
                on_click=url_state.change,
                args=({"index": name, **url_state.without_term(term)},),
            )
        with st.popover("Refine", icon=":material/tune:"):
            for term in asked.terms:
                _weight(searcher, term)
            if texts:
                _texts(name)


def add(index: str, item: str, *, adds: bool) -> None:
    """Add an item of the index to the query, or subtract it."""
    change = url_state.with_term(Term("plusitem" if adds else "minusitem", item))
    url_state.change({"index": index, **change})


def _weight(searcher: Index, term: Term) -> None:
    """Show the slider that says how much a term counts, and with which sign."""
    key = f"weight-{term.name}-{term.value}"

    def changed() -> None:
        name = searcher.manifest.name
        url_state.change({"index": name, **url_state.with_weight(term, round(st.session_state[key], 2))})

    url_state.follow(key, term.weight)
    end = max(1.0, abs(term.weight))  # an address may give more
    st.slider(
        literal(f"Weight of {_name(searcher, term)}"),
        -end,
        end,
        step=STEP,
        format="%+.2f",
        key=key,
        on_change=changed,
    )


def _texts(name: str) -> None:
    for key, parameter, label in (
        (PLUS, "plus", "More of"),
        (LESS, "minus", "Less of"),
    ):

        def changed(key: str = key, parameter: str = parameter) -> None:
            text = (st.session_state[key] or "").strip()
            st.session_state[key] = ""
            if text:
                url_state.change({"index": name, **url_state.with_term(Term(parameter, text))})

        st.text_input(label, key=key, max_chars=400, on_change=changed)
    st.html(
        '<p class="es-quiet">“More of” and + add a term; “Less of” and − subtract it. Its slider says how '
        "much it counts, below 0 what is subtracted; at 0 the term is removed. The query itself counts 1.</p>"
    )


def _name(searcher: Index, term: Term) -> str:
    return url_state.short(cards.title(searcher.item(term.value)) if term.is_item else term.value)
