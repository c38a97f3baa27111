"""Rows out of Arrow batches, for the sources that read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa


def rows(batch: pa.RecordBatch | pa.Table) -> Iterator[dict[str, Any] | str]:
    """Yield the rows of `batch` as dictionaries; in place of one that Python can't hold, the reason.

    Nanoseconds are cut to microseconds, which is as fine as Python's own times are.
    """
    batch = _without_nanoseconds(batch)
    try:
        yield from batch.to_pylist()
        return
    except (ValueError, OverflowError, pa.ArrowException):
        pass
    for number in range(batch.num_rows):
        try:
            yield batch.slice(number, 1).to_pylist()[0]
        except (ValueError, OverflowError, pa.ArrowException) as error:
            yield f"the row holds a value that can't be read: {error}"


def image_columns(schema: pa.Schema) -> list[str]:
    """Return the columns of the shape in which data sets keep images: {bytes, path}."""
    return [
        field.name
        for field in schema
        if pa.types.is_struct(field.type) and {part.name for part in field.type} == {"bytes", "path"}
    ]


def _without_nanoseconds(batch: pa.RecordBatch | pa.Table) -> pa.RecordBatch | pa.Table:
    coarser = [
        column.cast(kind, safe=False) if (kind := _coarser(column.type)) else column
        for column in batch.columns
    ]
    return type(batch).from_arrays(coarser, names=batch.schema.names)


def _coarser(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", tz=kind.tz)
    if pa.types.is_time64(kind) and kind.unit == "ns":
        return pa.time64("us")
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    return None
