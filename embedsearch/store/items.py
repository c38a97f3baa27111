"""Items as an Arrow table: one row per vector, one column per field.

Shards of a build under way are Arrow files, and so is that of a finished build: uncompressed and
memory-mapped. What is not looked at takes no memory, and a hit's fields are read where they lie.

Columns: `id`, `text`, `path`, `start`, `end`, `hash`, `picture`, and `field:NAME` for each field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from embedsearch.disk.mapped import is_small
from embedsearch.records import Span, Value

if TYPE_CHECKING:
    from embedsearch.sources.text_cells import CellType

FIELD = "field:"
Items: TypeAlias = pa.Table  # the items of a build
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
        id: the record's id; for a word or a clip, with `#` and where it starts: a character of the record's
            text, or a millisecond.
        text: the text, or the sentence that holds the word; None for what is no text.
        path: the record's file, where it has one of its own.
        span: the word's `[start, end)` in `text`; of a clip `[start, end)` in milliseconds.
        hash: content hash of the record.
        fields: the record's fields.
        content: the bytes of what has no file of its own; in a record of several items the first has them.
    """

    id: str
    text: str | None
    path: str | None
    span: Span | None
    hash: str
    fields: Mapping[str, Value]
    content: bytes | None = None


class ItemColumns(NamedTuple):
    """The attributes of items, a column for each: see `Item`."""

    ids: Sequence[str] = ()
    texts: Sequence[str | None] = ()
    paths: Sequence[str | None] = ()
    spans: Sequence[Span | None] = ()
    hashes: Sequence[str] = ()
    fields: Sequence[Mapping[str, Value]] = ()
    contents: Sequence[bytes | None] = ()


def by_column(items: Sequence[Item]) -> ItemColumns:
    """Return items as columns."""
    return ItemColumns(*zip(*items, strict=True)) if items else ItemColumns()


def write_table(table: pa.Table, path: Path) -> None:
    """Write items into an Arrow file."""
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)


def open_table(path: Path) -> pa.Table:
    """Return the items in an Arrow file, memory-mapped unless the file is small."""
    file = pa.BufferReader(path.read_bytes()) if is_small(path) else pa.memory_map(str(path))
    return pa.ipc.open_file(file).read_all()


def texts_of(items: Items, field: str) -> dict[int, str]:
    """Return the texts of a field by row, without blanks around; none where it is no field of texts."""
    name = FIELD + field
    if name not in items.column_names or not pa.types.is_string(items.schema.field(name).type):
        return {}
    return {row: text.strip() for row, text in enumerate(items[name].to_pylist()) if text and text.strip()}


def to_table(items: ItemColumns) -> pa.Table:
    """Return items as a table; a field whose values are of several types becomes text.

    A field that holds lists, and perhaps single values, becomes one of lists.
    """
    ids, texts, paths, spans, hashes, fields, contents = items
    columns: dict[str, pa.Array] = {
        "id": pa.array(ids, pa.string()),
        "text": pa.array(texts, pa.string()),
        "path": pa.array(paths, pa.string()),
        "start": pa.array([span and span[0] for span in spans], pa.int32()),
        "end": pa.array([span and span[1] for span in spans], pa.int32()),
        "hash": pa.array(hashes, pa.string()),
        "picture": pa.array(contents, pa.binary()),
    }
    for name in dict.fromkeys(chain.from_iterable(fields)):
        columns[FIELD + name] = _column([each.get(name) for each in fields])
    return pa.table(columns)


def _column(values: list[Any]) -> pa.Array:
    if any(isinstance(value, list) for value in values):
        return _lists(values)
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} or len(kinds) <= 1:
        try:
            return pa.array(values, pa.float64() if kinds == {int, float} else None)
        except (pa.ArrowInvalid, OverflowError):  # a whole number over 64 bits
            pass
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _lists(values: list[Any]) -> pa.Array:
    """Return lists as a column of lists, in which what is no list stands alone in one."""
    lists = [value if value is None or isinstance(value, list) else [value] for value in values]
    elements = _column([element for value in lists for element in value or ()])
    ends = np.cumsum([0, *(len(value or ()) for value in lists)])  # (n,) -> (n + 1,)
    missing = np.array([value is None for value in lists])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), elements, mask=pa.array(missing))


def merge(shards: Sequence[Path], target: Path, cells: Mapping[str, CellType]) -> pa.Schema:
    """Join the Arrow files `shards` into the Arrow file `target`, one shard in memory at a time.

    A field whose type differs between shards takes what one shard would have made of it: float where
    that rounds no whole number, else text.

    Args:
        shards: what `write_table` wrote of what `to_table` made.
        target: the file to write.
        cells: by field, the type of cells of text that no reading of a single one tells.

    Returns:
        The schema of `target`.
    """
    types: dict[str, set[pa.DataType]] = {}
    for shard in shards:
        for column in open_table(shard).schema:
            types.setdefault(column.name, set()).add(column.type)
    joined = {name: _join(name, found, shards) for name, found in types.items() if name.startswith(FIELD)}
    parsed = {
        name: cells[field]
        for name, kind in joined.items()
        if (field := name.removeprefix(FIELD)) in cells and kind == pa.string()
    }
    joined |= {name: cell.type for name, cell in parsed.items()}
    schema = pa.schema([*_FIXED, *joined.items()])
    with pa.ipc.new_file(target, schema) as writer:
        for shard in shards:
            table = open_table(shard)
            held = dict(zip(table.column_names, table.columns, strict=True))
            rows = []
            for column in schema:
                values = held.get(column.name)
                if values is None or pa.types.is_null(values.type):
                    rows.append(pa.nulls(len(table), column.type))
                elif column.name in parsed:
                    rows.append(parsed[column.name].array(values))
                else:
                    rows.append(_as(values, column.type))
            writer.write_table(pa.table(rows, schema=schema).combine_chunks())
    return schema


def _join(name: str, types: Iterable[pa.DataType], shards: Sequence[Path]) -> pa.DataType:
    known = {kind for kind in types if not pa.types.is_null(kind)}
    if any(pa.types.is_list(kind) for kind in known):
        inner = {kind.value_type if pa.types.is_list(kind) else kind for kind in known} - {pa.null()}
        return pa.list_(inner.pop() if len(inner) == 1 else pa.string())
    if len(known) <= 1:
        return known.pop() if known else pa.string()
    if known == {pa.int64(), pa.float64()} and all(_fits_floats(shard, name) for shard in shards):
        return pa.float64()
    return pa.string()


def _fits_floats(shard: Path, name: str) -> bool:
    table = open_table(shard)
    if name not in table.column_names:
        return True
    try:
        table[name].cast(pa.float64())
    except pa.ArrowInvalid:  # a whole number over 2^53
        return False
    return True


def _as(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | pa.Array:
    if column.type == kind:
        return column
    if kind == pa.string():  # as Python writes it, not as Arrow does
        values = column.to_pylist()
        return pa.array([None if value is None else str(value) for value in values], kind)
    if pa.types.is_list(kind):
        values = [
            value if value is None or isinstance(value, list) else [value] for value in column.to_pylist()
        ]
        if kind.value_type == pa.string():
            values = [value and [None if each is None else str(each) for each in value] for value in values]
        return pa.array(values, kind)
    return column.cast(kind)
