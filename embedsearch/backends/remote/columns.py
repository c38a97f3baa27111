"""The items of an index as columns of a collection: fields that filters ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embedsearch.backends import Mask, Rows

_NOTHING = {"BOOL": False, "INT64": 0, "DOUBLE": 0.0, "VARCHAR": ""}
LEFT_OUT = ("text", "hash", "start", "end", "picture")  # long, or no filter asks for them


@dataclass(frozen=True, slots=True)
class Limits:
    """What collections of a server can hold.

    Attributes:
        columns: the most columns for fields.
        bytes: the most bytes of a text.
        nulls: whether a column holds missing values; else another column says what is missing.
    """

    columns: int
    bytes: int
    nulls: bool


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the items, as a collection has it.

    Attributes:
        name: in the collection.
        kind: its type there: `BOOL`, `INT64`, `DOUBLE` or `VARCHAR`.
        has: the column that says whether there is a value; empty where no value is missing, or the column
            itself says so.
        type: its Arrow type among the items.
    """

    name: str
    kind: str
    has: str
    type: str


def columns_of(items: pa.Table, limits: Limits) -> dict[str, Column]:
    """Return the columns that a server can filter by, by their name among the items.

    Lists, texts that are too long or have a character of code 0, numbers among which there is NaN, and what
    goes beyond the number of columns are not among them: what asks for these is answered without the server's
    filter.
    """
    found: dict[str, Column] = {}
    for field in items.schema:
        if field.name in LEFT_OUT or len(found) == limits.columns:
            continue
        if kind := _kind(items[field.name], field.type, limits):
            number = len(found)
            has = f"h{number}" if items[field.name].null_count and not limits.nulls else ""
            found[field.name] = Column(f"c{number}", kind, has, str(field.type))
    return found


def schema_of(columns: Mapping[str, Column]) -> list[tuple[str, str]]:
    """Return the names and types of a collection's columns."""
    held = [(column.name, column.kind) for column in columns.values()]
    return held + [(column.has, "BOOL") for column in columns.values() if column.has]


def fits(columns: Mapping[str, Column], items: pa.Table, limits: Limits) -> bool:
    """Whether the columns of a collection can hold other items."""
    now = columns_of(items, limits)
    return now.keys() == columns.keys() and all(
        each.kind == columns[name].kind
        and each.type == columns[name].type
        and (bool(columns[name].has) or not each.has)
        for name, each in now.items()
    )


def values(
    columns: Mapping[str, Column], items: pa.Table, rows: Rows, limits: Limits
) -> Iterator[dict[str, Any]]:
    """Yield what a collection holds of each of some items, by the name of its column."""
    held: dict[str, list[Any]] = {}
    for name, column in columns.items():
        part = items[name].take(pa.array(rows))
        if column.has:
            held[column.has] = pc.is_valid(part).to_pylist()
        held[column.name] = _plain(part, column.kind, fill=not limits.nulls).to_pylist()
    for at in range(len(rows)):
        yield {name: column[at] for name, column in held.items()}


def changed(columns: Sequence[str], now: pa.Table, then: pa.Table, kept: Rows) -> Mask:
    """Return which items have another value in some column than before, (n,).

    Args:
        columns: names of columns that both tables have.
        now: the items.
        then: the items before.
        kept: (n,) the row of an item before; -1 for a new one, which counts as changed.
    """
    differs = kept < 0
    before = pa.array(np.maximum(kept, 0), mask=kept < 0)
    for name in columns:
        one, other = now[name], then[name].take(before)
        same = pc.or_(pc.fill_null(pc.equal(one, other), False), pc.and_(pc.is_null(one), pc.is_null(other)))
        differs |= ~same.to_numpy()
    return differs


def _kind(values: pa.ChunkedArray, kind: pa.DataType, limits: Limits) -> str:
    """Return the type of a column in a collection; empty where it can't hold the values."""
    if pa.types.is_boolean(kind):
        return "BOOL"
    if (pa.types.is_integer(kind) and kind != pa.uint64()) or pa.types.is_date(kind):
        return "INT64"
    if pa.types.is_timestamp(kind):
        return "INT64"
    if pa.types.is_floating(kind):
        return "" if pc.any(pc.is_nan(values)).as_py() else "DOUBLE"  # NaN is not the same everywhere
    if pa.types.is_string(kind):
        longest = pc.max(pc.binary_length(values)).as_py() or 0
        fits = longest <= limits.bytes // 2  # another form of Unicode may take more
        return "VARCHAR" if fits and not pc.any(pc.match_substring(values, "\0")).as_py() else ""
    return ""


def _plain(part: pa.ChunkedArray, kind: str, *, fill: bool) -> pa.ChunkedArray:
    """Return values as a collection has them; where they are to be filled, something stands for none."""
    if kind == "VARCHAR":
        part = pc.utf8_normalize(part, "NFC")
    if kind == "INT64":
        if pa.types.is_date32(part.type):
            part = part.cast(pa.int32())
        part = part.cast(pa.int64())
    return pc.fill_null(part, _NOTHING[kind]) if fill else part
