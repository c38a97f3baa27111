"""Values of fields to filter by, open in the sidebar, with how many of what was found have each."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st
from streamlit.components.v2 import component

from embedsearch.index import Index
from embedsearch.query import Tree
from embedsearch.results import Results
from embedsearch.store.items import FIELD as COLUMN
from embedsearch.ui import asset, url_state
from embedsearch.ui.url_state import FIELD
from embedsearch.ui.widgets.filters import Choice, chosen, tally

KEY, SET = "search-facets", "set"
AT_ONCE = 8  # values of a field; the rest folds out

Counts = Mapping[str, Mapping[str, int]]  # of each field its options, counted


def show(index: str, facets: Sequence[Choice], picked: Mapping[str, Sequence[str]], counts: Counts) -> None:
    """Show the values of `facets`, the frequent ones first; those that are picked stand at the top.

    Args:
        index: the index's name.
        facets: the fields.
        picked: the values that are filtered by, as they stand in the address.
        counts: how many have each value.
    """
    if not facets:
        return
    shown = "".join(
        _facet(facet, chosen(facet, picked.get(facet.field, ())), counts[facet.field]) for facet in facets
    )
    changed = partial(_changed, index, {facet.field: facet for facet in facets})
    _mount()(key=KEY, data={"html": shown}, on_set_change=changed)


def found(
    facets: Sequence[Choice],
    picked: Mapping[str, Sequence[str]],
    results: Results,
    without: Callable[[str], Results],
) -> Counts:
    """Return how many of what was found have each value.

    The values of a field that is filtered by are counted without its own filter: the others would have none.

    Args:
        facets: the fields; `results` has counted them.
        picked: the values that are filtered by.
        results: what was found.
        without: searches without the filter of a field, and counts its values.
    """
    return {
        facet.field: tally(
            facet,
            (without(facet.field) if picked.get(facet.field) else results).facets.get(facet.field, ()),
        )
        for facet in facets
    }


def passing(searcher: Index, facets: Sequence[Choice], without: Callable[[str], Tree | None]) -> Counts:
    """Return how many items that pass the filter have each value.

    Args:
        searcher: the index.
        facets: the fields.
        without: gives the filter without that of a field.
    """
    counts: dict[str, Mapping[str, int]] = {}
    for facet in facets:
        where = without(facet.field)
        if where is None:
            counts[facet.field] = facet.options
            continue
        column = searcher.build.items[COLUMN + facet.field].filter(pa.array(searcher.filter(where).mask))
        each = pc.value_counts(column).to_pylist()
        counts[facet.field] = tally(facet, [(row["values"], row["counts"]) for row in each])
    return counts


def _changed(index: str, facets: Mapping[str, Choice]) -> None:
    """Filter by what is picked now in the field of a report."""
    said = st.session_state[KEY].get(SET)
    if not isinstance(said, dict) or not isinstance(said.get("values"), list):
        return
    if facet := facets.get(str(said.get("field"))):
        values = chosen(facet, [str(value) for value in said["values"]])
        url_state.change({"index": index, FIELD + facet.field: values})


def _facet(facet: Choice, picked: Sequence[str], counts: Mapping[str, int]) -> str:
    """Return the HTML of a field: a box to tick for each of its values."""
    order = sorted(
        facet.options, key=lambda value: (value not in picked, -counts[value], -facet.options[value])
    )
    boxes = [_box(facet, value, counts[value], is_picked=value in picked) for value in order]
    least = max(AT_ONCE, len(picked))
    rest = "".join(boxes[least:])
    folded = f"<details><summary>{len(boxes) - least:,} more</summary>{rest}</details>" if rest else ""
    name = html.escape(facet.field, quote=True)
    return (
        f'<fieldset class="es-facet" data-field="{name}"><legend>{name}</legend>'
        f"{''.join(boxes[:least])}{folded}</fieldset>"
    )


def _box(facet: Choice, value: str, count: int, *, is_picked: bool) -> str:
    shown = {"true": "yes", "false": "no"}.get(value, value) if facet.truth else value
    text = html.escape(value, quote=True)
    none = "" if count else ' class="es-none"'
    return (
        f'<label{none}><input type="checkbox" value="{text}"{" checked" if is_picked else ""}>'
        f'<span title="{text}">{html.escape(shown)}</span><b>{count:,}</b></label>'
    )


@partial(st.cache_resource, show_spinner=False)
def _mount() -> Callable[..., Any]:
    script = asset("facets.js")
    return component(
        "embedsearch.facets", html='<div class="es-facets"></div>', js=script, isolate_styles=False
    )
