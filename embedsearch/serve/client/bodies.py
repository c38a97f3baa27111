"""Queries and filters as the JSON that the server takes; see `embedsearch.serve.requests`."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from embedsearch.errors import FilterError, ItemError, QueryError
from embedsearch.query import (
    AnyQuery,
    Image,
    MoreLike,
    Query,
    Row,
    Single,
    Sound,
    Text,
    Vector,
    Word,
    as_single,
)


def body_of(query: AnyQuery) -> dict[str, Any]:
    """Return a query as the server takes it.

    Raises:
        QueryError, ItemError: it can't be sent, or its file can't be read.
    """
    if isinstance(query, Query):
        return {"parts": [{**term_of(as_single(term.query)), "weight": term.weight} for term in query.terms]}
    return term_of(query)


def term_of(query: Single) -> dict[str, Any]:
    """Return a query of one term as the server takes it; errors as `body_of`."""
    match query:
        case Text(text):
            return {"text": text}
        case Word(sentence, word):
            return {"text": sentence, "word": word}
        case MoreLike(identity):
            return {"item": identity}
        case Vector(values):
            try:
                return {"vector": np.asarray(values, np.float64).tolist()}
            except (TypeError, ValueError):
                raise QueryError(f"A vector is an array of numbers; got {values!r:.80}.") from None
        case Row(values):
            return {"row": {name: _value(value) for name, value in values.items()}}
        case Image(source, crop):
            return {"image": _file(source), **({"crop": list(crop)} if crop else {})}
        case Sound(source):
            return {"sound": _file(source)}


def _file(source: Any) -> str:
    """Return a file, or an open image, as base64."""
    if hasattr(source, "convert"):  # of PIL
        drawn = io.BytesIO()
        source.save(drawn, "PNG")
        content = drawn.getvalue()
    elif isinstance(source, bytes):
        content = source
    else:
        try:
            content = Path(source).read_bytes()
        except OSError as error:
            raise ItemError(f"{source} can't be read: {error.strerror or error}.") from None
    return base64.b64encode(content).decode()


def filter_of(where: str | Mapping[str, Any] | None) -> str | dict[str, Any] | None:
    """Return a filter as the server takes it.

    Raises:
        FilterError: it is neither a text nor a dict.
    """
    if where is None or isinstance(where, str):
        return where
    if not isinstance(where, Mapping):
        raise FilterError(f"A server takes a filter as a text or a dict; got {where!r:.80}.")
    return {
        name: [_value(each) for each in value]
        if isinstance(value, list | tuple | set | frozenset)
        else _value(value)
        for name, value in where.items()
    }


def _value(value: Any) -> Any:
    """Return a value as JSON has it: a date as ISO text, a number of NumPy as one of Python."""
    if isinstance(value, date):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value
