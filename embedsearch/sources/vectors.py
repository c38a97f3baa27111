"""Vectors made elsewhere, in the files of NumPy, with ids and fields in files beside them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import repeat, zip_longest
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from embedsearch.errors import SourceError, nearest
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries, Entry, Modality, Record, Rejected, Value
from embedsearch.sources import Source, open_source
from embedsearch.sources.guess import guess
from embedsearch.sources.lines import check_text, read_lines
from embedsearch.sources.paths import existing_file, printable
from embedsearch.sources.table import Ids, NothingToReport, Reading, problem_of_vector
from embedsearch.sources.typed_cells import as_field

T = TypeVar("T")
Array = npt.NDArray[Any]
VECTORS, IDS = ("vectors", "embeddings"), "ids"  # what arrays of a .npz are called
TABLES = frozenset(("csv", "jsonl", "excel", "parquet", "arrow"))
BLOCK = 2**24  # bytes of rows that are converted at a time


class VectorFile(NothingToReport):
    """A `.npy` that holds an array (n, d) of numbers, or a `.npz` with one: n vectors of d components.

    The ids are the lines of a text file or the array of a `.npy`, a column of the table of fields, or the
    array `ids` of the `.npz`; without any, the hash of a vector is its id. The fields are the columns of a
    table with a row for each vector, and the other arrays (n,) of the `.npz`. A `.npy` is memory-mapped; an
    array of a `.npz` is read whole.
    """

    def __init__(self, recipe: SourceRecipe) -> None:
        self._path = existing_file(recipe.location, "a .npy or .npz file")
        self._name = printable(self._path.name)
        if recipe.text or recipe.image:
            raise SourceError(f"{self._path} holds vectors: leave out --text and --image.")
        if recipe.ids and recipe.id:
            raise SourceError("The ids can't come from --ids and from --id: give one of them.")
        arrays = _arrays(self._path)
        self._vectors = arrays.pop(_name_of_vectors(arrays, recipe.vector, self._path))  # (n, d)
        self._table = _table(recipe)
        self._encoding = recipe.encoding
        self._ids: Path | Array | None = None
        if recipe.ids:
            self._ids = existing_file(recipe.ids, "a file with one id a line, or a .npy of ids")
            if self._ids.suffix.lower() == ".npy":
                self._ids = self._checked(_arrays(self._ids)[""], self._ids)
            else:
                check_text(self._ids, "a file with one id a line")
        elif recipe.id and self._table is None:
            if recipe.id not in arrays:
                raise SourceError(
                    f"{self._path} has no array {recipe.id!r}. Give a file with one id a line as --ids FILE."
                    + nearest(recipe.id, arrays)
                )
            self._ids = self._checked(arrays.pop(recipe.id), self._path)
        elif IDS in arrays and self._table is None:
            self._ids = self._checked(arrays.pop(IDS), self._path)
        self._fields = {
            name: array
            for name, array in arrays.items()
            if array.shape == (len(self._vectors),) and array.dtype.kind in "Ubiuf"
        }
        self._notes = [
            f"The array {name!r} of the shape {array.shape} and the type {array.dtype} is not read."
            for name, array in arrays.items()
            if name not in self._fields
        ]

    def _checked(self, ids: Array, path: Path) -> Array:
        if ids.shape != (len(self._vectors),) or ids.dtype.kind not in "USiu":
            raise SourceError(
                f"{path}: the ids have the shape {ids.shape} and the type {ids.dtype}; expected "
                f"{len(self._vectors):,} texts or whole numbers, one for each vector."
            )
        return ids

    def modality(self) -> Modality:
        """Vectors."""
        return Modality.VECTOR

    def count(self) -> int | None:
        """The number of vectors."""
        return len(self._vectors)

    def reading(self) -> Reading:
        """What the last reading found, when it is at its end."""
        beside = Reading() if self._table is None else self._table.reading()
        return Reading(beside.cells, [*self._notes, *beside.notes])

    def __iter__(self) -> Entries:
        """Yield the vectors, in order.

        Raises:
            SourceError: there are more or fewer ids, or rows of the table, than vectors.
        """
        count, taken = len(self._vectors), Ids()
        keys: Iterable[str] = repeat("", count)
        if self._ids is not None:
            keys = self._as_many(self._keys(self._ids), "ids")
        beside: Iterable[Entry | None] = repeat(None, count)
        if self._table is not None:
            beside = self._as_many(self._table, "rows of the table of fields")
        rows = zip_longest(_contents(self._vectors), keys, beside)
        for number, (content, key, row) in enumerate(rows):
            if isinstance(row, Rejected):
                yield row
                continue
            place = f"{self._name}:{number + 1}"
            fields: Mapping[str, Value] = {
                name: as_field(array[number].item()) for name, array in self._fields.items()
            }
            identity = key
            if row is not None:
                identity, fields = key or row.id, {**fields, **row.fields}
            if isinstance(content, str):
                yield Rejected(place, content)
            elif self._ids is not None and not key:
                yield Rejected(place, "its id is empty")
            elif self._ids is not None and not taken.take(key):
                yield Rejected(place, f"the id {key!r} was used by an earlier vector")
            else:
                yield Record(identity or taken.of_content(content), Modality.VECTOR, content, fields)

    def _as_many(self, entries: Iterable[T], what: str) -> Iterator[T]:
        """Yield entries, one for each vector.

        Raises:
            SourceError: there are more or fewer.
        """
        found = 0
        for found, entry in enumerate(entries, 1):
            if found > len(self._vectors):
                break
            yield entry
        if found != len(self._vectors):
            some = f"only {found:,}" if found < len(self._vectors) else "more"
            raise SourceError(
                f"{self._path} holds {len(self._vectors):,} vectors, and there are {some} {what}: give one "
                "for each vector, in the same order."
            )

    def _keys(self, ids: Path | Array) -> Iterator[str]:
        if isinstance(ids, Path):
            lines = read_lines(ids, self._encoding)
            return ("" if line.problem else line.text.strip() for line in lines)
        texts = np.char.decode(ids, "utf-8", "replace") if ids.dtype.kind == "S" else ids
        return (str(each).strip() for each in texts)


def _arrays(path: Path) -> dict[str, Array]:
    """Return the arrays of a file by their names; the one of a `.npy` has none."""
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        with loaded:
            return dict(loaded)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        ragged = ""
        if "bject" in str(error):
            ragged = (
                " It holds Python objects, as an array of lists of different lengths does. Save numbers of "
                "one shape, (n, d)."
            )
        raise SourceError(f"{path} can't be read as an array of NumPy: {error}.{ragged}") from None


def _name_of_vectors(arrays: Mapping[str, Array], asked: str, path: Path) -> str:
    """Return which array holds the vectors: the one asked for, called so, or the only one that is (n, d)."""
    tables = [name for name, array in arrays.items() if array.ndim == 2 and array.dtype.kind in "fiu"]
    shapes = ", ".join(f"{name} {array.shape} {array.dtype}".strip() for name, array in arrays.items())
    chosen = [asked] if asked else [name for name in VECTORS if name in tables] or tables
    if len(chosen) != 1 and not (set(chosen) & set(VECTORS)):
        which = "Say which with --vectors NAME." if tables else "Expected one of numbers of the shape (n, d)."
        raise SourceError(f"{path} has the arrays {shapes or 'none'}. {which}")
    if chosen[0] not in tables or 0 in arrays[chosen[0]].shape:
        raise SourceError(
            f"{path}: expected an array of numbers{f' {asked!r}' * bool(asked)} of the shape (n, d), "
            f"n vectors of d components; it has {shapes or 'none'}.{nearest(asked, arrays)}"
        )
    return chosen[0]


def _table(recipe: SourceRecipe) -> Source | None:
    """Return the table of fields beside the vectors; None for none."""
    if not recipe.fields:
        return None
    kind, location = guess(recipe.fields)
    if kind not in TABLES:
        raise SourceError(
            f"{location} is no table. Give a table with a row for each vector: {', '.join(sorted(TABLES))}."
        )
    return open_source(replace(recipe, kind=kind, location=location, fields=location, vector="", ids=""))


def _contents(vectors: Array) -> Iterator[bytes | str]:
    """Yield each row of (n, d) as bytes of float32 numbers, or why it can't be used."""
    count, dimension = vectors.shape
    rows = max(1, BLOCK // (4 * dimension))
    for start in range(0, count, rows):
        with np.errstate(over="ignore"):  # what float32 can't hold is not finite
            part = np.ascontiguousarray(vectors[start : start + rows], "<f4")
        good = np.isfinite(part).all(1) & part.any(1)  # (m, d) -> (m,)
        raw, size = part.tobytes(), 4 * dimension
        for at, is_good in enumerate(good.tolist()):
            yield raw[at * size : (at + 1) * size] if is_good else problem_of_vector(part[at])
