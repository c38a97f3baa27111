"""Rows out of Arrow batches, for the sources that read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_UNREADABLE = (ValueError, OverflowError, pa.ArrowException)


def rows(
    batch: pa.RecordBatch | pa.Table, names: Sequence[str], lost: Counter[str], vector: str = ""
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `batch` as dictionaries; a value that Python can't hold is None.

    Nanoseconds are cut to microseconds, which is as fine as Python's own times are.

    Args:
        batch: the rows.
        names: what its columns are called; each name once.
        lost: counts the values, by column, that Python can't hold, such as dates after the year 9999.
        vector: the column of vectors, whose lists come as arrays; empty for none.
    """
    batch = _without_nanoseconds(batch)
    columns = [
        _vectors(column) if name == vector and _is_numbers(column.type) else _values(column, name, lost)
        for column, name in zip(batch.columns, names, strict=True)
    ]
    for values in zip(*columns, strict=True):
        yield dict(zip(names, values, strict=True))


def _values(column: pa.Array | pa.ChunkedArray, name: str, lost: Counter[str]) -> list[Any]:
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except _UNREADABLE:
        pass
    values = []
    for each in column:
        try:
            values.append(each.as_py())
        except UnicodeDecodeError:  # a text that is no UTF-8 stays the bytes that it is
            lost[name] += 1
            values.append(each.as_buffer().to_pybytes())
        except _UNREADABLE:
            lost[name] += 1
            values.append(None)
    return values


def _is_numbers(kind: pa.DataType) -> bool:
    """Whether a column holds lists of numbers, all of one length or not."""
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    numbers = (pa.types.is_floating, pa.types.is_integer)
    return any(is_list(kind) for is_list in lists) and any(
        is_number(kind.value_type) for is_number in numbers
    )


def _vectors(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Return lists of numbers as arrays (d,), in which a missing number is NaN; a missing list is None."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    # (n,) lists -> all their numbers, without those of missing lists
    numbers = column.flatten().to_numpy(zero_copy_only=False)
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)  # (n,), NaN for a missing list
    missing = column.is_null().to_numpy(zero_copy_only=False)
    ends = np.cumsum(np.where(missing, 0, np.nan_to_num(lengths))).astype(np.int64).tolist()
    return [
        None if is_missing else numbers[start:end]
        for start, end, is_missing in zip([0, *ends], ends, missing.tolist(), strict=False)
    ]


def notes(lost: Mapping[str, int]) -> list[str]:
    """Return sentences on the values that Python can't hold."""
    return [
        f"Column {name!r}: {count:,} values read as missing (a date after the year 9999, or no UTF-8 text)."
        for name, count in lost.items()
    ]


def image_columns(schema: pa.Schema) -> list[str]:
    """Return the columns of the shape in which data sets keep images: {bytes, path}."""
    return [field.name for field in schema if _is_image(field)]


def leaf_columns(fields: Iterable[pa.Field]) -> list[str]:
    """Return the columns that rows have when their objects are taken apart; see `Nested`."""
    names: list[str] = []
    for field in fields:
        if pa.types.is_struct(field.type) and not _is_image(field):
            names += [f"{field.name}.{inner}" for inner in leaf_columns(field.type)]
        else:
            names.append(field.name)
    return names


def _is_image(field: pa.Field) -> bool:
    return pa.types.is_struct(field.type) and {part.name for part in field.type} == {"bytes", "path"}


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
