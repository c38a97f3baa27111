"""The form for a row of a table: a field for each column, beside what is typed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st

from embedsearch.encoders.columns import Column, Kind
from embedsearch.errors import QueryError
from embedsearch.index import Index
from embedsearch.query import Row
from embedsearch.ui import url_state
from embedsearch.ui.url_state import Asked

SHOWN = 8  # columns; the others fold out
MAX_VALUE = 1000  # characters


def show(searcher: Index, asked: Asked) -> None:
    """Show the form for an index of rows; an empty field is a column that does not count."""
    columns, values = searcher.queries.learnt.columns, _values(asked)
    with st.container(horizontal=True, key="es-row"):
        for column in columns[:SHOWN]:
            _field(searcher, column, values)
    if len(columns) > SHOWN:
        with (
            st.expander(f"{len(columns) - SHOWN} more columns"),
            st.container(horizontal=True, key="es-row-rest"),
        ):
            for column in columns[SHOWN:]:
                _field(searcher, column, values)


def _values(asked: Asked) -> dict[str, Any]:
    """Return what the address asks for by column; nothing where an item takes its place, or it is misread."""
    try:
        return {} if asked.item or not asked.text.strip() else dict(Row.of(asked.text).values)
    except QueryError:
        return {}


def _field(searcher: Index, column: Column, values: dict[str, Any]) -> None:
    """Show the field of one column."""
    key = f"row-{searcher.manifest.name}-{column.name}"

    def changed() -> None:
        value = st.session_state[key]
        row = {name: each for name, each in values.items() if name != column.name}
        row |= {column.name: value} if value else {}
        name = searcher.manifest.name
        url_state.change({"index": name, "q": str(Row(row)) if row else "", "item": ""})

    value = values.get(column.name) or ""
    if column.kind is Kind.CATEGORY:
        options = list(dict.fromkeys((*column.values, *filter(None, [value]))))
        url_state.follow(key, value or None)
        st.selectbox(column.name, options, key=key, placeholder="any", on_change=changed)
        return
    url_state.follow(key, value)
    st.text_input(column.name, key=key, placeholder=_example(column), max_chars=MAX_VALUE, on_change=changed)


def _example(column: Column) -> str:
    """Return what an empty field shows: the median of a column of numbers or dates."""
    if column.kind is Kind.NUMBER:
        return f"any, as in {column.centre:.6g}"
    if column.kind is Kind.DATE:
        day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=column.centre)
        return f"any, as in {day:%Y-%m-%d}"
    return "any text"
