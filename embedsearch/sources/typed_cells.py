"""A table's values as the scalars that a record's fields can hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from decimal import Decimal
from typing import Any

import numpy as np

from embedsearch.records import Scalar, Value

_PLAIN = (str, bool, int, float, Decimal, date, type(None))  # a datetime is a date


def clean(text: str) -> str:
    """Return `text` with halves of surrogate pairs, which no UTF-8 can hold, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def as_field(value: Any) -> Value:
    """Return a cell's value as a field: a list of plain values stays one, all else is as in `as_scalar`."""
    if isinstance(value, str):  # the most usual
        return clean(value)
    if isinstance(value, list | tuple) and all(isinstance(each, _PLAIN) for each in value):
        return [as_scalar(each) for each in value]
    return as_scalar(value)


def as_scalar(value: Any) -> Scalar:
    """Return a cell's value as one value: nested values as JSON, `Decimal` as float, NaN as None.

    Bytes that are UTF-8 become text, others None; a time of day becomes ISO text, a duration seconds.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int):
        return value
    for kind, convert in _CONVERSIONS:
        if isinstance(value, kind):
            return convert(value)
    return clean(str(value))


def _number(value: float | Decimal) -> float | None:
    return None if math.isnan(value) else float(value)


def _moment(value: datetime) -> datetime:
    # a pandas Timestamp is a datetime too, with nanoseconds that nothing else here knows
    return value if type(value) is datetime else datetime.fromisoformat(value.isoformat())


def _decoded(value: bytes | bytearray | memoryview) -> str | None:
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        return None


def _nested(value: Any) -> str | None:
    try:
        return clean(json.dumps(value, ensure_ascii=False, default=_as_json))
    except (RecursionError, TypeError):  # nested beyond reading, or keys that are no text
        return None


def _as_json(value: Any) -> Any:
    """What JSON has no form for, inside a nested value."""
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, Decimal):
        return float(value)
    return str(value)


_CONVERSIONS: tuple[tuple[Any, Callable[[Any], Scalar]], ...] = (
    (str, clean),
    (float | Decimal, _number),
    (datetime, _moment),  # before date, which it is too
    (date, lambda value: value),
    (clock_time, lambda value: value.isoformat()),
    (timedelta, lambda value: value.total_seconds()),
    (bytes | bytearray | memoryview, _decoded),
    (Mapping | list | tuple, _nested),
)
