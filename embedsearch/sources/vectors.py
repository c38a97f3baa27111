"""Vectors made elsewhere, in the files of NumPy, with ids and fields in files beside them."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from embedsearch.errors import SourceError, nearest
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Block, Entries, Entry, Matrix, Modality, Record, Rejected, Value
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
TOGETHER = 2**24  # bytes of rows that iteration converts at a time


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
        for stretch in self.stretches(len(self._vectors), TOGETHER):
            yield from stretch

    def stretches(self, most: int, held: int) -> Iterator[Sequence[Entry]]:
        """See `Columnar.stretches`; errors as in iteration."""
        count, dimension = self._vectors.shape
        taken = Ids()
        keys: Iterator[str] = repeat("")
        if self._ids is not None:
            keys = self._as_many(self._keys(self._ids), "ids")
        beside: Iterator[Entry | None] = repeat(None)
        if self._table is not None:
            beside = self._as_many(self._table, "rows of the table of fields")
        rows = max(1, min(most, -(-held // (4 * dimension))))
        for start in range(0, count, rows):
            part, problems = _float32(self._vectors[start : start + rows])
            size = len(part)
            yield self._stretch(
                start, part, problems, list(islice(keys, size)), list(islice(beside, size)), taken
            )
        next(keys, None)  # is an error where there are more
        next(beside, None)

    def _stretch(
        self,
        start: int,
        part: npt.NDArray[np.float32],
        problems: Mapping[int, str],
        keys: Sequence[str],
        beside: Sequence[Entry | None],
        taken: Ids,
    ) -> Sequence[Entry]:
        """Return the entries of some vectors.

        Args:
            start: the number of the first vector.
            part: (m, d) the vectors.
            problems: why vectors can't be used, by their place in `part`.
            keys: of each vector its id; empty where there is none.
            beside: the rows of the table of fields; None without a table.
            taken: the ids so far.
        """
        reasons = dict(problems)
        rejected = {at: row for at, row in enumerate(beside) if isinstance(row, Rejected)}
        if self._ids is not None:
            reasons = {at: "its id is empty" for at, key in enumerate(keys) if not key} | reasons
            free = [at for at in range(len(part)) if at not in reasons and at not in rejected]
            for at, is_free in zip(free, taken.take_each([keys[at] for at in free]).tolist(), strict=True):
                if not is_free:
                    reasons[at] = f"the id {keys[at]!r} was used by an earlier vector"
        for at, reason in reasons.items():
            rejected.setdefault(at, Rejected(f"{self._name}:{start + at + 1}", reason))
        good = [at for at in range(len(part)) if at not in rejected]
        held = Matrix(part).take(np.array(good, np.int64))
        digests = [made.digest() for made in map(hashlib.sha256, held.rows)]
        ids: list[str] = []
        if self._ids is not None:
            ids = [keys[at] for at in good]
        elif self._table is not None:
            ids = [row.id for row in map(beside.__getitem__, good) if isinstance(row, Record)]
        if not all(ids) or not ids:  # a table without a column of ids gives none
            ids = taken.of_digests(digests)
        fields = self._fields_of(start, beside)
        block = Block(ids, Modality.VECTOR, held, digests, [fields[at] for at in good])
        if not rejected:
            return block
        records = iter(block)
        return [rejected.get(at) or next(records) for at in range(len(part))]

    def _fields_of(self, start: int, beside: Sequence[Entry | None]) -> list[Mapping[str, Value]]:
        """Return the fields of vectors from the number `start` on: of the arrays and of rows of the table."""
        if not self._fields and self._table is None:
            return [{}] * len(beside)
        end = start + len(beside)
        columns = [map(as_field, array[start:end].tolist()) for array in self._fields.values()]
        own: list[Mapping[str, Value]] = [{}] * len(beside)
        if columns:
            own = [dict(zip(self._fields, values, strict=True)) for values in zip(*columns, strict=True)]
        return [
            {**fields, **row.fields} if isinstance(row, Record) else fields
            for fields, row in zip(own, beside, strict=True)
        ]

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
        raise SourceError(
            f"{path} can't be read as an array of NumPy: {str(error).rstrip('.')}.{ragged}"
        ) from None


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
            f"{location} is not a table. Give a table with one row for each vector: "
            f"{', '.join(sorted(TABLES))}."
        )
    return open_source(replace(recipe, kind=kind, location=location, fields=location, vector="", ids=""))


def _float32(vectors: Array) -> tuple[npt.NDArray[np.float32], dict[int, str]]:
    """Return rows (m, d) as float32, and by place why rows can't be used."""
    with np.errstate(over="ignore"):  # what float32 can't hold is not finite
        part = np.array(vectors, "<f4", order="C", subok=False)  # a copy: the file may change
        squares = np.einsum("md,md->m", part, part)  # (m, d) -> (m,)
    unsure = np.flatnonzero(~((squares > 0) & (squares < np.inf)))  # tiny and huge numbers have such squares
    problems = {at: problem_of_vector(part[at]) for at in unsure.tolist()}
    return part, {at: problem for at, problem in problems.items() if problem}
