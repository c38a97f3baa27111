"""What a program has in memory: kept as a Parquet file in the folder of its index.

So kept, it is a source like any other: it can be read again, added to and deleted from. Each state is a file
of its own, named after its content, so that an earlier build still has the source that it was made from.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from embedsearch.disk.paths import expanded
from embedsearch.errors import ItemNotFoundError, SourceError
from embedsearch.recipe import KEPT, MEMORY, SourceRecipe
from embedsearch.records import Rejected
from embedsearch.sources.arrowrows import image_columns, rows
from embedsearch.sources.parquet import ParquetFile
from embedsearch.sources.table import Nested, RowReader, choose_columns
from embedsearch.sources.typed_cells import as_field, as_scalar

TEXT, IMAGE, VECTOR, ID = "text", "image", "vector", "id"
WHERE = "What was given"  # in messages, where a file has its name
ROWS = 4096  # of a row group
Columns = dict[str, Any]
EXPECTED = (
    "expected a list of texts, of dicts, of PIL images or of paths of images; a pandas, Arrow or other table "
    "that speaks Arrow; or (ids, vectors), vectors of shape (n, d)"
)


class MemorySource(ParquetFile):
    """What a program had in memory, read from the file that keeps it."""


def keep(items: Any, asked: SourceRecipe, folder: Path) -> SourceRecipe:
    """Write what a program has in memory into the folder of its index; return the recipe that reads it.

    Args:
        items: texts, dicts, images, a table, or (ids, vectors) or (ids, vectors, table of fields).
        asked: its `text`, `image`, `vector` and `id` name columns of dicts and tables.
        folder: of the index.

    Raises:
        SourceError: it is none of these, is empty, or its columns don't tell what to embed.
    """
    table, recipe = _table(items, asked)
    return _write(table, recipe, folder)


def with_items(recipe: SourceRecipe, items: Any, folder: Path) -> SourceRecipe:
    """Write the source with more items, of the form that it has; one whose id is there already replaces it.

    Raises:
        SourceError: as `keep`; or the items are something else than the source holds.
    """
    old = pq.read_table(recipe.location)
    new, made = _table(items, recipe, more=True)
    if _names(made) != _names(recipe):
        raise SourceError(
            f"The index was made from {_content(recipe)}, and {_content(made)} came. Give items of that form."
        )
    kept = old.filter(pc.invert(pc.is_in(old[recipe.id], new[recipe.id])))
    try:
        table = pa.concat_tables([kept, new], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SourceError(f"A column of the new items has another type than in the index: {error}") from None
    return _write(table, recipe, folder)


def without_items(recipe: SourceRecipe, ids: Sequence[str], folder: Path) -> SourceRecipe:
    """Write the source without the items of these ids.

    Raises:
        ItemNotFoundError: an id is not there.
        SourceError: no item would be left.
    """
    table = pq.read_table(recipe.location)
    missing = sorted(set(ids) - set(table[recipe.id].to_pylist()))
    if missing:
        raise ItemNotFoundError(f"The index has no item {missing[0]!r} to delete. Nothing was deleted.")
    rest = table.filter(pc.invert(pc.is_in(table[recipe.id], pa.array(list(ids), pa.string()))))
    if not len(rest):
        raise SourceError("No item would be left, and an index can't be empty. Remove the index instead.")
    return _write(rest, recipe, folder)


def _names(recipe: SourceRecipe) -> tuple[object, ...]:
    return recipe.text, recipe.image, recipe.sound, recipe.document, recipe.vector, recipe.id


def _content(recipe: SourceRecipe) -> str:
    names = ("text", "image", "sound", "document", "vector", "rows", "id")
    return ", ".join(f"{name} {value!r}" for name in names if (value := getattr(recipe, name)))


def _write(table: pa.Table, recipe: SourceRecipe, folder: Path) -> SourceRecipe:
    target = folder / KEPT
    target.mkdir(parents=True, exist_ok=True)
    aside = target / f".new-{os.getpid()}"
    try:
        pq.write_table(table, aside, row_group_size=ROWS)
        with aside.open("rb") as file:
            path = target / f"{hashlib.file_digest(file, 'sha256').hexdigest()[:32]}.parquet"
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return replace(recipe, kind=MEMORY, location=str(path.resolve()))


def _table(items: Any, asked: SourceRecipe, *, more: bool = False) -> tuple[pa.Table, SourceRecipe]:
    """Return what came as a table, and which of its columns are what; ids are made where there are none.

    Args:
        items: see `keep`.
        asked: see `keep`.
        more: whether it is added to a source; its ids may have been made here.
    """
    known = asked.id
    columns, images, asked = _columns(items, asked)
    lengths = {len(column) for column in columns.values()}
    if lengths <= {0}:
        raise SourceError("The input is empty: there is nothing to index.")
    key = asked.id or (ID if ID in columns else "")
    if more and key not in columns:
        key = ""
    chosen = choose_columns(replace(asked, id=key), list(columns), WHERE, images)
    if chosen.file:
        columns[chosen.file] = pa.array(
            [_image(value) for value in columns[chosen.file]], _type_of_images(columns[chosen.file])
        )
    if chosen.vector and not isinstance(columns[chosen.vector], pa.Array):
        columns[chosen.vector] = pa.array([_vector(value) for value in columns[chosen.vector]], pa.binary())
    table = pa.table({name: _array(column) for name, column in columns.items()})
    if key:
        ids = [("" if value is None else str(as_scalar(value))).strip() for value in table[key].to_pylist()]
        table = table.set_column(table.column_names.index(key), key, pa.array(ids, pa.string()))
    else:
        key = known if more else _free(ID, columns)
        reader = RowReader(chosen, Path("/"))
        entries = [reader.entry(row, "") for row in rows(table, table.column_names, Counter())]
        ids = ["" if isinstance(entry, Rejected) else entry.id for entry in entries]
        table = table.append_column(key, pa.array(ids, pa.string()))
    recipe = replace(
        asked,
        text=chosen.text,
        image=chosen.image,
        sound=chosen.sound,
        document=chosen.document,
        vector=chosen.vector,
        id=key,
    )
    return table, recipe


def _free(name: str, taken: Iterable[str]) -> str:
    while name in taken:
        name = f"{name}_"
    return name


def _columns(items: Any, asked: SourceRecipe) -> tuple[Columns, list[str], SourceRecipe]:
    """Return the columns of what came, arrays or lists; which hold images; and what is asked of them."""
    if isinstance(items, tuple) and len(items) in (2, 3) and _are_vectors(items[1]):
        return _of_vectors(*items), [], replace(asked, vector=VECTOR, id=ID)
    if hasattr(items, "iloc"):  # pandas: its objects may be images, which Arrow does not take
        objects = [name for name in (asked.image, asked.sound, asked.vector) if name in items.columns]
        named = items.index.name is not None
        table = _arrow(lambda: pa.Table.from_pandas(items.drop(columns=objects), preserve_index=named))
        return _of_arrow(table) | {name: list(items[name]) for name in objects}, [], asked
    if hasattr(items, "__arrow_c_stream__") or hasattr(items, "__arrow_c_array__"):
        table = _arrow(lambda: pa.table(items))
        return _of_arrow(table), image_columns(table.schema), asked
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable) or hasattr(items, "dtype"):
        raise SourceError(f"An index can't be made from a {type(items).__name__}: {EXPECTED}.")
    return _of_list(list(items), asked)


def _arrow(make: Any) -> pa.Table:
    try:
        return make()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise SourceError(f"The table can't be converted to Arrow: {error}") from None


def _of_arrow(table: pa.Table) -> Columns:
    return {name: table[name].combine_chunks() for name in table.column_names}


def _of_vectors(ids: Any, vectors: Any, fields: Any = None) -> Columns:
    """Return ids, vectors (n, d) and the columns of a table of fields beside them."""
    held = _held(vectors)
    names = [str(each) for each in ids]
    columns: Columns = {} if fields is None else _columns(fields, SourceRecipe(MEMORY, ""))[0]
    counts = {"ids": len(names)} | {f"values of {name!r}": len(each) for name, each in columns.items()}
    for what, count in counts.items():
        if count != len(held):
            raise SourceError(f"{len(held):,} vectors came with {count:,} {what}: give as many of each.")
    if taken := sorted({ID, VECTOR} & set(columns)):
        raise SourceError(
            f"With (ids, vectors), no field can be called {taken[0]!r}. Give the column another name."
        )
    return {ID: names, VECTOR: held, **columns}


def _are_vectors(values: Any) -> bool:
    """Whether values are an array (n, d), or n lists of numbers of one length or several."""
    if isinstance(values, list | tuple):
        return bool(values) and all(np.ndim(each) == 1 and not isinstance(each, str) for each in values)
    return np.ndim(values) == 2


def _held(vectors: Any) -> pa.Array:
    """Return vectors as a column of the bytes of their float32 numbers; lists may have several lengths."""
    if isinstance(vectors, list | tuple) and len({len(each) for each in vectors}) > 1:
        return pa.array([_vector(each) for each in vectors], pa.binary())
    with np.errstate(over="ignore"):  # what float32 can't hold is not finite
        matrix = np.ascontiguousarray(vectors, "<f4")  # (n, d)
    raw = matrix.view(np.uint8).reshape(-1)  # (n, d) -> (4 n d,)
    size = pa.binary(4 * matrix.shape[1])
    return pa.FixedSizeBinaryArray.from_buffers(size, len(matrix), [None, pa.py_buffer(raw)]).cast(
        pa.binary()
    )


def _of_list(items: list[Any], asked: SourceRecipe) -> tuple[Columns, list[str], SourceRecipe]:
    """Return the columns of a list: of dicts, of texts, or of images."""
    kinds = {_kind(item) for item in items if item is not None}
    if len(kinds) > 1 or "" in kinds:
        odd = next(item for item in items if item is not None and (_kind(item) == "" or len(kinds) > 1))
        raise SourceError(
            f"An index can't be made from a list with {_named(kinds)} ({odd!r:.60}): {EXPECTED}."
        )
    kind = kinds.pop() if kinds else TEXT
    if kind == "dict":
        nested = Nested(asked.text)
        items = [item and nested.flat({str(name): value for name, value in item.items()}) for item in items]
        names = dict.fromkeys(name for item in items if item for name in item)
        columns: Columns = {name: [(item or {}).get(name) for item in items] for name in names}
        return columns, [name for name, values in columns.items() if _holds_images(values)], asked
    if kind == IMAGE:
        keys = [str(item.resolve()) if isinstance(item, Path) else "" for item in items]
        named = {ID: keys} if all(keys) else {}
        return {IMAGE: items, **named}, [], replace(asked, image=IMAGE, id=ID if named else "")
    return {TEXT: items}, [], replace(asked, text=(TEXT,), id="")


def _named(kinds: set[str]) -> str:
    return " and ".join(sorted(f"{kind}s" if kind else "items of another kind" for kind in kinds))


def _kind(item: Any) -> str:
    if isinstance(item, str):
        return TEXT
    if isinstance(item, Mapping):
        return "dict"
    return IMAGE if _is_image(item) else ""


def _is_image(value: Any) -> bool:
    return isinstance(value, bytes | Path) or (hasattr(value, "convert") and hasattr(value, "save"))


def _holds_images(values: Sequence[Any]) -> bool:
    first = next((value for value in values if value is not None), None)
    return _is_image(first)


def _type_of_images(values: Any) -> pa.DataType | None:
    """Return the type of a column of images: bytes, or paths; None where an Arrow column settles it.

    Raises:
        SourceError: some are paths, and some are not.
    """
    if isinstance(values, pa.Array):
        return None
    paths = {isinstance(value, str | Path) for value in values if not _is_missing(value)}
    if len(paths) > 1:
        raise SourceError("Some images are paths and some are bytes or PIL images: give only one kind.")
    return pa.string() if True in paths else pa.binary()


def _is_missing(value: Any) -> bool:
    return value is None or isinstance(value, float)  # pandas has NaN for a missing value


def _image(value: Any) -> Any:
    """Return an image as a path or the bytes of an image file; an open one is written without loss."""
    if isinstance(value, pa.Scalar):
        value = value.as_py()
    if _is_missing(value) or isinstance(value, bytes | Mapping):
        return None if _is_missing(value) else value
    if isinstance(value, str | Path):
        return str(value) if "://" in str(value) else str(expanded(value).resolve())
    if not hasattr(value, "save"):
        return b""  # which a build rejects
    buffer = io.BytesIO()
    savable = value if value.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else value.convert("RGB")
    savable.save(buffer, "PNG", compress_level=1, exif=value.getexif())
    return buffer.getvalue()


def _vector(value: Any) -> bytes | None:
    """Return a list of numbers as float32 bytes; what is none as no bytes, which a build rejects."""
    if value is None:
        return None
    try:
        return np.asarray(value, "<f4").tobytes() if np.ndim(value) == 1 else b""
    except (TypeError, ValueError, OverflowError):
        return b""


def _array(values: Any) -> pa.Array:
    """Return a column; one whose values are of several types becomes text."""
    if isinstance(values, pa.Array):
        return values
    plain = [value if isinstance(value, bytes) else as_field(value) for value in values]
    try:
        return pa.array(plain)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        texts = [value if isinstance(value, bytes) else as_scalar(value) for value in values]
        return pa.array([None if value is None else str(value) for value in texts], pa.string())
