"""Which of the hits are shown, and in which order: the switch and the menu above the cards."""

from __future__ import annotations

import streamlit as st

from embedsearch.query import TOKENS, SearchOptions
from embedsearch.results import DIVERSE, Results
from embedsearch.ui import url_state
from embedsearch.ui.cached import Opened
from embedsearch.ui.url_state import FIELD, Asked
from embedsearch.ui.widgets.filters import choices as of_values

CLOSE, ORDER, FEEDBACK = "search-close", "search-order", "search-feedback"
NEAREST = "Nearest first"


def choices(opened: Opened) -> dict[str, str]:
    """Return the orders that hits can have: the value of the address, and what it is called."""
    build = opened.searcher.build
    fields = [name for name, kind in build.field_types.items() if not str(kind).startswith("list")]
    sorts = {
        f"{FIELD}{sign}{name}": f"By {name}{descends}"
        for name in fields
        for sign, descends in (("", ""), ("-", ", descending"))
    }
    return {"": NEAREST, DIVERSE: "Different from one another", TOKENS: "Re-ranked by tokens", **sorts}


def options(opened: Opened, asked: Asked) -> tuple[SearchOptions, tuple[str, ...]]:
    """Return how the hits are chosen, and a sentence for an order that this index does not have."""
    order, problems = asked.order, tuple[str, ...]()
    if order not in choices(opened):
        problems = (f"The address asks for the order {order!r:.80}, which this page does not have.",)
        order = ""
    made = SearchOptions(
        asked.count,
        fold=asked.fold,
        by=asked.by,
        diverse=order == DIVERSE,
        rerank=TOKENS if order == TOKENS else "",
        sort=order.removeprefix(FIELD) if order.startswith(FIELD) else "",
        feedback=asked.feedback,
        facets=[facet.field for facet in of_values(opened.facets)],
    )
    return made, problems


def show(opened: Opened, asked: Asked, results: Results) -> None:
    """Show the switch and the menu.

    Args:
        opened: the index.
        asked: what the address asks for.
        results: what was found.
    """
    index, known = opened.searcher.manifest.name, choices(opened)
    order = url_state.in_menu(ORDER, asked.order if asked.order in known else "")
    feedback = url_state.in_menu(FEEDBACK, results.feedback)

    def switched() -> None:
        url_state.change({"index": index, "close": "yes" if st.session_state[CLOSE] else "no"})

    def ordered() -> None:
        url_state.change({"index": index, "order": st.session_state[order]})

    def fed() -> None:
        url_state.change({"index": index, "feedback": "yes" if st.session_state[feedback] else ""})

    url_state.follow(CLOSE, results.close)
    st.toggle(
        "Only what is close",
        key=CLOSE,
        on_change=switched,
        help="Show all that is within the limit of the verdict, and nothing else.",
    )
    with st.popover("Order", icon=":material/sort:"):
        st.selectbox(
            "Order",
            list(known),
            key=order,
            format_func=known.__getitem__,
            on_change=ordered,
        )
        st.toggle(
            "Add the first 3 hits to the query",
            key=feedback,
            on_change=fed,
            disabled=results.close,
            help="Search again with the mean of the first 3 hits added. Not for only what is close.",
        )
