"""What a filter's literals mean beside values of a type: `price < 9.5` where prices are whole numbers."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta
from typing import Any
from unicodedata import normalize

import pyarrow as pa

from embedsearch.errors import FilterError
from embedsearch.query import Literal

_DAY = timedelta(days=1)


def around(field: str, kind: pa.DataType, value: Literal) -> tuple[Any, Any]:
    """Return the values of a type that lie next to a literal: the largest up to it, the smallest from it on.

    Both are the literal itself where the type can hold it; 9 and 10 for 9.5 among whole numbers. None stands
    for a side on which the type has no value.

    Args:
        field: what holds values of that type, for messages.
        kind: their Arrow type.
        value: the literal.

    Raises:
        FilterError: such values can't be compared with the literal.
    """
    try:
        found = _around(kind, value)
    except (
        ValueError,
        OverflowError,
        OSError,
    ):  # no such date; not a number; a time that no clock here knows
        found = None
    if found is not None:
        return found
    quotes = ""
    if is_text(kind) and not isinstance(value, str):
        quotes = " Texts go in single quotes."
    raise FilterError(f"The field {field!r} holds values of type {kind}, which {value!r} is not.{quotes}")


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is of texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _around(kind: pa.DataType, value: Literal) -> tuple[Any, Any] | None:
    if pa.types.is_boolean(kind):
        return (value, value) if isinstance(value, bool) else None
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return _floats(value) if pa.types.is_floating(kind) else _whole_numbers(kind, value)
    if pa.types.is_date(kind):
        return _days(str(value))
    if pa.types.is_timestamp(kind):
        moment = datetime.fromisoformat(str(value))
        # Without a zone, a field's moments count as UTC, and a literal as the time of this machine.
        scalar = pa.scalar(moment.astimezone() if kind.tz and moment.tzinfo is None else moment, kind)
        return scalar, scalar
    if not is_text(kind) or not isinstance(value, str):
        return None
    value.encode()  # half a character is a ValueError
    text = normalize("NFC", value)
    return text, text


def _whole_numbers(kind: pa.DataType, value: float) -> tuple[int | None, int | None]:
    signed = pa.types.is_signed_integer(kind)
    least = -(2 ** (kind.bit_width - 1)) if signed else 0
    most = 2 ** (kind.bit_width - signed) - 1
    if value < least:
        return None, least
    return (most, None) if value > most else (math.floor(value), math.ceil(value))


def _floats(value: float) -> tuple[float, float]:
    if isinstance(value, float) and math.isnan(value):
        raise ValueError(value)
    try:
        near = float(value)
    except OverflowError:  # a whole number beyond all floats
        near = math.inf if value > 0 else -math.inf
    if near == value:
        return near, near
    return (near, math.nextafter(near, math.inf)) if near < value else (math.nextafter(near, -math.inf), near)


def _days(text: str) -> tuple[date | None, date | None] | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:  # a day begins at another moment in each zone
            return None
        day = moment.date()
        if moment.time() > time():
            return day, (day + _DAY if day < date.max else None)
    return day, day
