"""Items as an Arrow table: one row per vector, one column per field.

Shards of a build under way are Parquet; a finished build holds one Arrow file, uncompressed, which is
memory-mapped: what is not looked at takes no memory, and a hit's fields are read where they lie.

Columns: `id`, `text`, `path`, `start`, `end`, `hash`, `picture`, and `field:NAME` for each field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from embedsearch.disk.mapped import is_small
from embedsearch.records import Scalar, Span

FIELD = "field:"
_FIXED = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("path", pa.string()),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("hash", pa.string()),
        ("picture", pa.binary()),
    ]
)


class Item(NamedTuple):
    """What one vector of an index stands for.

    Attributes:
        id: the record's id; for a word, with `#` and where it starts in the record's text.
        text: the text, or the sentence that holds the word; None for images.
        path: the image's file, where it has one.
        span: the word's `[start, end)` in `text`.
        hash: content hash of the record.
        fields: the record's fields.
        picture: the bytes of an image that has no file of its own.
    """

    id: str
    text: str | None
    path: str | None
    span: Span | None
    hash: str
    fields: Mapping[str, Scalar]
    picture: bytes | None = None


def open_table(path: Path) -> pa.Table:
    """Return the items in an Arrow file that `merge` wrote, memory-mapped unless the file is small."""
    file = pa.BufferReader(path.read_bytes()) if is_small(path) else pa.memory_map(str(path))
    return pa.ipc.open_file(file).read_all()


def to_table(items: Sequence[Item]) -> pa.Table:
    """Return `items` as a table; a field whose values are of several types becomes text."""
    columns: dict[str, pa.Array] = {
        "id": pa.array([item.id for item in items], pa.string()),
        "text": pa.array([item.text for item in items], pa.string()),
        "path": pa.array([item.path for item in items], pa.string()),
        "start": pa.array([item.span and item.span[0] for item in items], pa.int32()),
        "end": pa.array([item.span and item.span[1] for item in items], pa.int32()),
        "hash": pa.array([item.hash for item in items], pa.string()),
        "picture": pa.array([item.picture for item in items], pa.binary()),
    }
    for name in dict.fromkeys(name for item in items for name in item.fields):
        columns[FIELD + name] = _column([item.fields.get(name) for item in items])
    return pa.table(columns)


def _column(values: list[Any]) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} or len(kinds) <= 1:
        try:
            return pa.array(values, pa.float64() if kinds == {int, float} else None)
        except (pa.ArrowInvalid, OverflowError):  # a whole number over 64 bits
            pass
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def merge(shards: Sequence[Path], target: Path) -> pa.Schema:
    """Join the Parquet files `shards` into the Arrow file `target`, one shard in memory at a time.

    A field whose type differs between shards takes what one shard would have made of it: float where
    that rounds no whole number, else text.

    Returns:
        The schema of `target`.
    """
    types: dict[str, set[pa.DataType]] = {}
    for shard in shards:
        for column in pq.read_schema(shard):
            types.setdefault(column.name, set()).add(column.type)
    schema = pa.schema(
        list(_FIXED)
        + [(name, _join(name, found, shards)) for name, found in types.items() if name.startswith(FIELD)]
    )
    with pa.ipc.new_file(target, schema) as writer:
        for shard in shards:
            table = pq.read_table(shard)
            rows = [
                _as(table[column.name], column.type)
                if column.name in table.column_names
                else pa.nulls(len(table), column.type)
                for column in schema
            ]
            writer.write_table(pa.table(rows, schema=schema).combine_chunks())
    return schema


def _join(name: str, types: Iterable[pa.DataType], shards: Sequence[Path]) -> pa.DataType:
    known = {kind for kind in types if not pa.types.is_null(kind)}
    if len(known) <= 1:
        return known.pop() if known else pa.string()
    if known == {pa.int64(), pa.float64()} and all(_fits_floats(shard, name) for shard in shards):
        return pa.float64()
    return pa.string()


def _fits_floats(shard: Path, name: str) -> bool:
    if name not in pq.read_schema(shard).names:
        return True
    try:
        pq.read_table(shard, columns=[name])[name].cast(pa.float64())
    except pa.ArrowInvalid:  # a whole number over 2^53
        return False
    return True


def _as(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if kind == pa.string() and column.type != kind:  # as Python writes it, not as Arrow does
        values = column.to_pylist()
        return pa.chunked_array([pa.array([None if value is None else str(value) for value in values], kind)])
    return column.cast(kind)
