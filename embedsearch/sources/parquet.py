"""Parquet files, read batch by batch: a file of ten million rows never sits in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import tee
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from embedsearch.errors import SourceError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries, Entry, Rejected
from embedsearch.sources.arrowrows import image_columns, leaf_columns, notes, rows
from embedsearch.sources.labels import Namer, features_of, namers
from embedsearch.sources.parts import Part, ReadParts, in_turn
from embedsearch.sources.paths import PassedOver, not_found, printable, walk
from embedsearch.sources.table import Reading, RowReader, Table, choose_columns, unique_names

BATCH_ROWS = 256  # few, because a row may hold an image
BUFFER = 2**20
SUFFIX = ".parquet"


class ParquetFile(Table):
    """A Parquet file, or a folder of such files; numbers, truth values, dates and times stay what they are.

    Classes come as their names where `datasets` has written these into the file.
    """

    def __init__(self, recipe: SourceRecipe) -> None:
        path = Path(recipe.location).resolve()
        if not path.exists():
            raise not_found(path)
        self._folder = path if path.is_dir() else path.parent
        self._passed_over = PassedOver()
        self._files = [path] if path.is_file() else _files(path, self._passed_over)
        self._count = 0
        self._damaged: dict[Path, str] = {}
        columns: dict[str, None] = {}
        objects: dict[str, None] = {}
        images: dict[str, None] = {}
        for file in self._files:
            try:
                with _open(file) as opened:
                    schema = opened.schema_arrow
                    self._count += int(opened.metadata.num_rows)
            except SourceError as error:
                if len(self._files) == 1:
                    raise
                self._damaged[file] = str(error)
                self._count += 1
                continue
            names = unique_names(schema.names, file.name)
            fields = [field.with_name(name) for field, name in zip(schema, names, strict=True)]
            columns.update(dict.fromkeys(leaf_columns(fields)))
            objects.update(dict.fromkeys(names))
            images.update(dict.fromkeys(image_columns(pa.schema(fields))))
        self._columns = choose_columns(recipe, list(columns), path.name, list(images), list(objects))
        self._reading = Reading()
        self._read: ReadParts = in_turn

    def count(self) -> int | None:
        """The number of rows, as the files state it."""
        return self._count

    def passed_over(self) -> Mapping[str, int]:
        """The files of a folder that are no Parquet, by suffix."""
        return self._passed_over.kinds

    def divide(self, read: ReadParts) -> None:
        """See `Divisible`; each row group is a part."""
        self._read = read

    def __iter__(self) -> Entries:
        """Yield the rows, in order; those of a damaged row group, and a damaged file, are rejected."""
        lost: Counter[str] = Counter()
        self._reading = Reading()
        reader = RowReader(self._columns, self._folder)
        groups, asked = tee(self._groups())
        read = iter(self._read(each.part for each in asked if isinstance(each, _Group)))
        for group in groups:
            if isinstance(group, Rejected):
                yield group
            else:
                yield from _entries(group, next(read), reader, lost, self._columns.vector)
        self._reading.notes = notes(lost)

    def _groups(self) -> Iterator[_Group | Rejected]:
        """Yield the row groups of all files, in order, and the files that are damaged."""
        for file in self._files:
            place = printable(str(file.relative_to(self._folder)))
            if file in self._damaged:
                yield Rejected(place, self._damaged[file])
                continue
            with _open(file) as opened:
                schema, metadata = opened.schema_arrow, opened.metadata
            names, labels = unique_names(schema.names, place), namers(features_of(schema.metadata))
            number = 0
            for group in range(metadata.num_row_groups):
                count = metadata.row_group(group).num_rows
                yield _Group(place, number, count, names, labels, partial(_pieces, file, metadata, group))
                number += count


class _Group(NamedTuple):
    """A row group: its file, the rows before it and in it, and what reads it.

    Attributes:
        place: the name of the file.
        before: rows of the file before it.
        size: the rows in it.
        names: of its columns.
        labels: what names the classes of a column.
        part: what reads it; see `embedsearch.sources.parts`.
    """

    place: str
    before: int
    size: int
    names: list[str]
    labels: dict[str, Namer]
    part: Part


def _pieces(file: Path, metadata: pq.FileMetaData, group: int) -> Iterator[pa.RecordBatch | str]:
    """Yield the batches of a row group, and at damage why there are no more."""
    try:
        with pq.ParquetFile(file, metadata=metadata, pre_buffer=False, buffer_size=BUFFER) as opened:
            yield from opened.iter_batches(BATCH_ROWS, row_groups=[group])
    except (OSError, pa.ArrowException) as error:
        yield f"row group {group} of the file is damaged: {error}"


def _entries(
    group: _Group, pieces: Iterable[pa.RecordBatch | str], reader: RowReader, lost: Counter[str], vector: str
) -> Iterator[Entry]:
    number = group.before
    for piece in pieces:
        if isinstance(piece, str):
            for place in range(number + 1, group.before + group.size + 1):
                yield Rejected(f"{group.place}:{place}", piece)
            return
        for row in rows(piece, group.names, lost, vector):
            number += 1
            for column in group.labels.keys() & row.keys():
                row[column] = group.labels[column](row[column])
            yield reader.entry(row, f"{group.place}:{number}")


def _files(folder: Path, passed_over: PassedOver) -> list[Path]:
    """Return the Parquet files in a folder and the folders in it, sorted."""
    found = [
        folder / name
        for name, _ in walk(folder, lambda entry: entry.name.lower().endswith(SUFFIX), passed_over)
    ]
    if not found:
        raise SourceError(f"{folder} holds no Parquet files ({SUFFIX}).")
    return found


def _open(path: Path) -> pq.ParquetFile:
    try:
        # Streamed through a small buffer; `pre_buffer` would load whole row groups.
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(
            f"{path} can't be read as Parquet: {error}. Expected a .parquet file; "
            "for a CSV, TSV or JSON Lines file, give it its own suffix."
        ) from None
